"""Predictors around predictors: turned tiles, the mean of several, and how far they differ."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from cervseg.arrays import RGB, Probabilities
from cervseg.contract import Augment, Contract, Predictor
from cervseg.errors import ModelError

Value = TypeVar("Value", np.uint8, np.float32)


class Turn(NamedTuple):
    """A symmetry of the square: rows and columns exchanged, then mirrored.

    Args:
        transposed: Rows become columns.
        upside_down: Top becomes bottom.
        mirrored: Left becomes right.
    """

    transposed: bool
    upside_down: bool
    mirrored: bool

    def apply(self, tiles: NDArray[Value]) -> NDArray[Value]:
        """Turn tiles (n, height, width, channels); a view."""
        return self._flip(tiles.swapaxes(1, 2) if self.transposed else tiles)

    def undo(self, tiles: NDArray[Value]) -> NDArray[Value]:
        """Turn them back; a view."""
        flipped = self._flip(tiles)
        return flipped.swapaxes(1, 2) if self.transposed else flipped

    def _flip(self, tiles: NDArray[Value]) -> NDArray[Value]:
        down, across = (-1 if flip else 1 for flip in (self.upside_down, self.mirrored))
        return tiles[:, ::down, ::across]


_ALL = tuple(Turn(*bits) for bits in product((False, True), repeat=3))
TURNS: dict[Augment, tuple[Turn, ...]] = {"none": _ALL[:1], "flips": _ALL[:4], "dihedral": _ALL}
"""Which turns a tile is seen in; the first leaves it as it is."""


def turned(predict: Predictor, turn: Turn) -> Predictor:
    """Answer tiles by their turned copies, turned back."""
    if not any(turn):
        return predict
    return lambda tiles: turn.undo(predict(turn.apply(tiles)))


def mean(predictors: Sequence[Predictor], *, disagreement: bool = False) -> Predictor:
    """The mean of several predictors, in probability.

    Args:
        predictors: Of one contract.
        disagreement: Append one channel, how far they differ: for each channel the standard
            deviation over the predictors, `sqrt(Σ(p - mean)² / n)`, of which the largest counts.
            0 where all agree, 0.5 where half of them say 0 and half 1.
    """
    if len(predictors) == 1 and not disagreement:
        return predictors[0]
    count = np.float32(len(predictors))

    def predict(tiles: RGB) -> Probabilities:
        first = predictors[0](tiles)
        # Differences to the first: exactly 0 where all agree, and no digits lost by squares.
        total, squares = np.zeros_like(first), np.zeros_like(first)
        for other in predictors[1:]:
            difference = other(tiles) - first
            total += difference
            if disagreement:
                squares += difference * difference
        total /= count
        answer = first + total
        if not disagreement:
            return answer
        variance = np.maximum(squares / count - total * total, 0)
        return np.concatenate([answer, np.sqrt(variance).max(axis=-1, keepdims=True)], axis=-1)

    return predict


def _told(contract: Contract, key: str) -> object:
    return ", ".join(contract.classes.names) if key == "classes" else getattr(contract, key)


def merge_contracts(contracts: Sequence[Contract], paths: Sequence[Path]) -> Contract:
    """The contract that holds for the mean of several models.

    Raises:
        ModelError: They differ in classes, scale or activation.
    """
    first = contracts[0]
    if len(contracts) == 1:
        return first
    for contract, path in zip(contracts, paths, strict=True):
        for key in ("classes", "activation", "scale"):
            ours, theirs = _told(first, key), _told(contract, key)
            if ours != theirs:
                raise ModelError(f"{path}: its {key} is {theirs}, that of {paths[0]} is {ours}")
    margins = [contract.margin for contract in contracts]
    align = math.lcm(*(contract.align for contract in contracts))
    return replace(
        first,
        align=align,
        tile_size=-(-max(c.tile_size for c in contracts) // align) * align,
        margin=None if None in margins else max(m for m in margins if m is not None),
        threshold=tuple(np.mean([c.threshold for c in contracts], axis=0).tolist()),
        trained_on=tuple(image for contract in contracts for image in contract.trained_on),
    )

"""Predictors around predictors."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cervseg.arrays import RGB, Probabilities
from cervseg.contract import Contract, Predictor
from cervseg.errors import ModelError


def _told(contract: Contract, key: str) -> object:
    return ", ".join(contract.classes.names) if key == "classes" else getattr(contract, key)


def average(
    members: Sequence[tuple[Contract, Predictor]], paths: Sequence[Path]
) -> tuple[Contract, Predictor]:
    """The mean of several models, and the contract that holds for all.

    Raises:
        ModelError: They differ in classes, scale or activation.
    """
    first = members[0][0]
    for (contract, _), path in zip(members, paths, strict=True):
        for key in ("classes", "activation", "scale"):
            ours, theirs = _told(first, key), _told(contract, key)
            if ours != theirs:
                raise ModelError(f"{path}: its {key} is {theirs}, that of {paths[0]} is {ours}")
    contracts = [contract for contract, _ in members]
    margins = [contract.margin for contract in contracts]
    align = math.lcm(*(contract.align for contract in contracts))
    merged = replace(
        first,
        align=align,
        tile_size=-(-max(c.tile_size for c in contracts) // align) * align,
        margin=None if None in margins else max(m for m in margins if m is not None),
        threshold=tuple(np.mean([c.threshold for c in contracts], axis=0).tolist()),
        trained_on=tuple(image for contract in contracts for image in contract.trained_on),
    )

    def predict(tiles: RGB) -> Probabilities:
        total = np.sum([member(tiles) for _, member in members], axis=0)
        return np.asarray(total / len(members), np.float32)

    return merged, predict

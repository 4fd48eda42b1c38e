"""Which samples make which batch: a pure function of seed, epoch and step."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeVar

import numpy as np

T = TypeVar("T")

# Streams of random numbers.
_ALL, _FOREGROUND, _SAMPLE, _ANYWHERE, _CLASSES, _ON_CLASS, _DONOR = range(7)

BLOCK = 1000
"""Samples over which the weights of classes are kept exactly."""


@dataclass(frozen=True)
class TileSampler:
    """Draws tiles for training so that a share of them holds foreground.

    Both pools, that of all tiles and that of tiles with foreground, are walked in a new random
    order on each pass, so no tile is left out.

    Args:
        foreground: For each tile, whether it holds any.
        batch_size: Tiles a batch.
        steps: Batches an epoch; None for one pass over all tiles.
        foreground_fraction: Share of the samples that is drawn from tiles with foreground.
        seed: Of all draws.
    """

    foreground: tuple[bool, ...]
    batch_size: int
    steps: int | None = None
    foreground_fraction: float = 0.0
    seed: int = 0

    def __len__(self) -> int:
        free = self.batch_size * (1 - self._share)  # places a batch for any tile, in the mean
        free = free if free >= 0.5 else self.batch_size  # hardly any: as many steps as for all
        return self.steps or math.ceil(len(self.foreground) / free - 1e-9)

    @property
    def _share(self) -> float:
        return self.foreground_fraction if any(self.foreground) else 0.0

    def draw(self, epoch: int, step: int) -> list[int]:
        """The tiles of one batch, as indices."""
        rich = [i for i, has in enumerate(self.foreground) if has]
        batch = epoch * len(self) + step
        first, end = (_kept_before(b, self.batch_size, self._share) for b in (batch, batch + 1))
        chosen = walk(rich, first, count=end - first, seed=(self.seed, _FOREGROUND))
        start, rest = batch * self.batch_size - first, self.batch_size - len(chosen)
        everything = range(len(self.foreground))
        return chosen + walk(everything, start, count=rest, seed=(self.seed, _ALL))


def _kept_before(batch: int, batch_size: int, share: float) -> int:
    """Places of all earlier batches that are kept for foreground: none is lost to rounding."""
    return math.floor(batch * batch_size * share + 0.5)


class Pick(NamedTuple):
    """Where one sample comes from.

    Args:
        field: Index of the field.
        label: The class on one of whose pixels the sample is centred; None: anywhere.
    """

    field: int
    label: int | None = None


@dataclass(frozen=True)
class FieldSampler:
    """Draws fields for training, and for a share of the samples a class to be centred on.

    Fields are walked in shuffled passes, one for samples anywhere and one for each class. A field
    of so many tiles' area stands so often in a pass, so that every place is seen equally often,
    whatever the sizes of the fields. Classes follow their weights exactly in every thousand
    samples that are centred on one.

    Args:
        tiles: For each field, how many tiles its area is worth, at least 1.
        holds: For each field, the classes in it.
        batch_size: Samples a batch.
        steps: Batches an epoch; None for as many samples as cover the fields once.
        foreground_fraction: Share of the samples that are centred on a class.
        weights: Of the classes from 1 on; only ratios count. A class that no field holds has none.
        seed: Of all draws.
    """

    tiles: tuple[int, ...]
    holds: tuple[tuple[int, ...], ...]
    batch_size: int
    steps: int | None = None
    foreground_fraction: float = 0.0
    weights: tuple[float, ...] = (1.0,)
    seed: int = 0

    def __len__(self) -> int:
        return self.steps or -(-sum(self.tiles) // self.batch_size)

    def draw(self, epoch: int, step: int) -> list[Pick]:
        """The samples of one batch, those centred on a class first."""
        batch = epoch * len(self) + step
        share = self.foreground_fraction if self.has_foreground else 0.0
        first, end = (_kept_before(b, self.batch_size, share) for b in (batch, batch + 1))
        picks = [self._on_class(position) for position in range(first, end)]
        free = self.batch_size - len(picks)
        start = batch * self.batch_size - first
        fields = walk(self._pools[None], start, count=free, seed=(self.seed, _ANYWHERE))
        return picks + [Pick(field) for field in fields]

    def _on_class(self, position: int) -> Pick:
        """The sample at a position in the endless row of those that are centred on a class."""
        block, place = divmod(position, BLOCK)
        classes = [index for index, quota in self._quotas.items() for _ in range(quota)]
        order = np.random.default_rng((self.seed, _CLASSES, block)).permutation(classes)
        index = int(order[place])
        earlier = block * self._quotas[index] + int(np.count_nonzero(order[:place] == index))
        seed = (self.seed, _ON_CLASS, index)
        (field,) = walk(self._pools[index], earlier, count=1, seed=seed)
        return Pick(field, index)

    def draw_rich(self, rng: np.random.Generator) -> Pick:
        """Any field that holds a class, and the class; there must be one."""
        classes, quotas = list(self._quotas), list(self._quotas.values())
        index = int(rng.choice(classes, p=np.divide(quotas, sum(quotas))))
        return Pick(int(rng.choice(self._pools[index])), index)

    @property
    def has_foreground(self) -> bool:
        """Whether any sample can be centred on a class."""
        return bool(self._quotas)

    @cached_property
    def _pools(self) -> dict[int | None, list[int]]:
        """The fields of a pass, repeated by area: of all, and of those that hold a class."""
        times = [field for field, count in enumerate(self.tiles) for _ in range(count)]
        known = range(1, len(self.weights) + 1)
        on_class = {c: [field for field in times if c in self.holds[field]] for c in known}
        return {None: times, **{c: fields for c, fields in on_class.items() if fields}}

    @cached_property
    def _quotas(self) -> dict[int, int]:
        """How many samples of a block each class has: its weight, by largest remainder."""
        weights = {c: self.weights[c - 1] for c in self._pools if c and self.weights[c - 1] > 0}
        shares = {c: BLOCK * weight / sum(weights.values()) for c, weight in weights.items()}
        quotas = {c: int(share) for c, share in shares.items()}
        by_remainder = sorted(shares, key=lambda c: quotas[c] - shares[c])
        for c in by_remainder[: BLOCK - sum(quotas.values())]:
            quotas[c] += 1
        return quotas


def walk(items: Sequence[T], first: int, *, count: int, seed: tuple[int, ...]) -> list[T]:
    """Positions `first` to `first + count` of an endless walk through shuffled passes."""
    chosen = []
    for position in range(first, first + count):
        lap, place = divmod(position, len(items))
        order = np.random.default_rng((*seed, lap)).permutation(len(items))
        chosen.append(items[order[place]])
    return chosen


def sample_rng(seed: int, epoch: int, *, step: int, place: int) -> np.random.Generator:
    """The random numbers of one sample, whichever thread makes it, whenever."""
    return np.random.default_rng((seed, _SAMPLE, epoch, step, place))


def donor_rng(seed: int, epoch: int, *, step: int, place: int) -> np.random.Generator:
    """The random numbers of the sample that lends cells to another one."""
    return np.random.default_rng((seed, _DONOR, epoch, step, place))

"""Training samples, varied: each a pure function of seed, epoch, step and place."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from cervseg.arrays import RGB, Mask
from cervseg.classes import Classes
from cervseg.config.augmentation import AugmentationConfig
from cervseg.config.training import TrainConfig
from cervseg.data.augmentation import augment
from cervseg.data.geometry import margins
from cervseg.data.labelled import Labelled, labelled_tiles, read_labelled, require_unchanged
from cervseg.data.manifest import Dataset
from cervseg.data.pool import Census, FieldOptions, FieldPool, draw_pixel
from cervseg.data.sampling import FieldSampler, Pick, TileSampler, donor_rng, sample_rng
from cervseg.data.windows import window_about
from cervseg.errors import ConfigError, DataError
from cervseg.images.image import whole
from cervseg.reports import SILENT, Progress

Sample = tuple[RGB, Mask]
"""Pixels (size, size, 3) and class indices (size, size)."""

WHOLE = slice(None)
"""All places of a batch."""


class Samples(Protocol):
    """Makes the samples of any batch."""

    @property
    def batch_size(self) -> int:
        """Samples a batch."""
        ...

    def __len__(self) -> int:
        """Batches an epoch."""
        ...

    def batch(self, epoch: int, step: int, *, share: slice = WHOLE) -> list[Sample]:
        """The samples of one batch: the same whenever and by whichever thread they are made.

        Args:
            epoch: From 0.
            step: From 0.
            share: The places of the batch that are made.
        """
        ...


@dataclass(frozen=True)
class TileSamples:
    """Tiles that were cut.

    Args:
        tiles: All of them.
        classes: For reading masks.
        sampler: Which make which batch.
        augmentation: How far they are varied.
        known: Tiles that were compared with what was cut.
    """

    tiles: Sequence[Labelled]
    classes: Classes
    sampler: TileSampler
    augmentation: AugmentationConfig
    known: set[Path] = field(default_factory=set, compare=False)

    @property
    def batch_size(self) -> int:
        """See `Samples`."""
        return self.sampler.batch_size

    def __len__(self) -> int:
        return len(self.sampler)

    def batch(self, epoch: int, step: int, *, share: slice = WHOLE) -> list[Sample]:
        """See `Samples`."""
        drawn = list(enumerate(self.sampler.draw(epoch, step)))
        return [self._sample(tile, epoch, step=step, place=place) for place, tile in drawn[share]]

    def _sample(self, tile: int, epoch: int, *, step: int, place: int) -> Sample:
        rich = [i for i, has in enumerate(self.sampler.foreground) if has]

        def donor() -> Sample:
            rng = donor_rng(self.sampler.seed, epoch, step=step, place=place)
            lender = self.tiles[rich[rng.integers(len(rich))]]
            return read_tile(lender, self.classes, self.known)

        image, mask = read_tile(self.tiles[tile], self.classes, self.known)
        rng = sample_rng(self.sampler.seed, epoch, step=step, place=place)
        return augment(image, mask, self.augmentation, rng=rng, donor=donor if rich else None)


def read_tile(tile: Labelled, classes: Classes, known: set[Path] | None = None) -> Sample:
    """Read a tile as it is.

    Args:
        tile: Its files.
        classes: Of the mask.
        known: Tiles that were compared with what was cut already; grows. None: it is compared.

    Raises:
        DataError: A file is broken, or another than when the dataset was cut.
    """
    read = read_labelled(tile, classes)
    pixels = read.image.read(whole(read.image))
    if known is None or tile.image not in known:
        require_unchanged(tile, pixels)
        if known is not None:
            known.add(tile.image)
    return pixels, read.mask


@dataclass(frozen=True)
class FieldSamples:
    """Windows of whole fields at the model's scale, at random places.

    What is read is larger than the tile by all that its warp may look at, so that a turned or
    reduced sample shows what lies there; only what lies outside the field is mirrored, and
    ignored.

    Args:
        pool: The fields.
        census: Where the classes lie in them.
        sampler: Which fields make which batch.
        size: Side of a sample, pixels.
        augmentation: How far they are varied.
    """

    pool: FieldPool
    census: tuple[Census, ...]
    sampler: FieldSampler
    size: int
    augmentation: AugmentationConfig

    @property
    def batch_size(self) -> int:
        """See `Samples`."""
        return self.sampler.batch_size

    def __len__(self) -> int:
        return len(self.sampler)

    def batch(self, epoch: int, step: int, *, share: slice = WHOLE) -> list[Sample]:
        """See `Samples`."""
        drawn = list(enumerate(self.sampler.draw(epoch, step)))
        return [self._sample(pick, epoch, step=step, place=place) for place, pick in drawn[share]]

    def _sample(self, pick: Pick, epoch: int, *, step: int, place: int) -> Sample:
        seed, size = self.sampler.seed, (self.size, self.size)

        def donor() -> Sample:
            rng = donor_rng(seed, epoch, step=step, place=place)
            return self.read(self.sampler.draw_rich(rng), self.size, rng=rng)

        rng = sample_rng(seed, epoch, step=step, place=place)
        side = self.size + 2 * max(margins(self.augmentation, size))
        image, mask = self.read(pick, side, rng=rng)
        lender = donor if self.sampler.has_foreground else None
        return augment(image, mask, self.augmentation, rng=rng, size=size, donor=lender)

    def read(self, pick: Pick, side: int, *, rng: np.random.Generator) -> Sample:
        """Read a square of so many pixels a side about a drawn place of a field.

        About a class, it is one of its pixels, moved by up to an eighth of a sample. A sample
        hangs over the border by at most a quarter of its side.
        """
        census, field = self.census[pick.field], self.pool.open(pick.field)
        spare = [min(self.size // 4, (n - 1) // 2) for n in (census.height, census.width)]
        first, last = spare, [census.height - 1 - spare[0], census.width - 1 - spare[1]]
        if pick.label is None:
            place = rng.integers(first, last, endpoint=True)
        else:
            near = self.size // 8
            place = np.asarray(draw_pixel(field, census, pick.label, rng=rng))
            place = np.clip(place + rng.integers(-near, near, 2, endpoint=True), first, last)
        return field.read(window_about(int(place[0]), int(place[1]), side))


def tile_samples(dataset: Dataset, config: TrainConfig, *, seed: int) -> TileSamples:
    """Samples of the training tiles of a dataset.

    Raises:
        ConfigError: Classes are to be balanced.
        DataError: There is no training tile.
    """
    if config.class_sampling:
        raise ConfigError(
            "'train.class_sampling' needs 'data.sampling' fields",
            hint="tiles are drawn by whether they hold any class: train.foreground_fraction",
        )
    rows = dataset.tiles_of("train")
    if not rows:
        raise DataError(f"{dataset.folder}: no training tiles in it")
    sampler = TileSampler(
        tuple(row.foreground > 0 for row in rows),
        config.batch_size,
        config.steps_per_epoch,
        config.foreground_fraction,
        seed,
    )
    return TileSamples(labelled_tiles(dataset, rows), dataset.classes, sampler, config.augmentation)


def field_samples(
    dataset: Dataset,
    config: TrainConfig,
    options: FieldOptions,
    *,
    seed: int,
    workers: int = 1,
    progress: Progress = SILENT,
) -> FieldSamples:
    """Samples of the training fields of a dataset; each field is read once.

    Args:
        dataset: Whose fields.
        config: Section `train`.
        options: Cache, and how masks are scaled.
        seed: Of all draws.
        workers: Threads that read the fields.
        progress: For a bar.

    Raises:
        ConfigError: `train.class_sampling` names no class of the dataset, or leaves none.
        DataError: There is no training field, or one is broken.
    """
    weights = class_weights(config, dataset.classes)
    pool = FieldPool.of(dataset, options)
    census = pool.survey(workers=workers, progress=progress)
    area = dataset.tile_size**2
    sampler = FieldSampler(
        tuple(-(-one.height * one.width // area) for one in census),
        tuple(tuple(one.below) for one in census),
        config.batch_size,
        config.steps_per_epoch,
        config.foreground_fraction,
        weights,
        seed,
    )
    if config.class_sampling and any(sampler.holds) and not sampler.has_foreground:
        raise ConfigError(
            "'train.class_sampling' has the weight 0 for every class that the training images hold"
        )
    return FieldSamples(pool, census, sampler, dataset.tile_size, config.augmentation)


def class_weights(config: TrainConfig, classes: Classes) -> tuple[float, ...]:
    """The weight of each class; 1 where none is written.

    Raises:
        ConfigError: A name is no class, or all weights are 0.
    """
    unknown = [name for name in config.class_sampling if name not in classes.names]
    if unknown:
        raise ConfigError(
            f"'train.class_sampling' names {unknown[0]!r}, which is no class",
            hint=f"the classes are {', '.join(classes.names)}",
        )
    weights = tuple(config.class_sampling.get(name, 1.0) for name in classes.names)
    if not any(weights):
        raise ConfigError("'train.class_sampling' has the weight 0 for every class")
    return weights

"""The training fields at the model's scale: opened by number, each place in them findable."""

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from cervseg.arrays import Mask
from cervseg.classes import Classes
from cervseg.config.data import DataConfig
from cervseg.data.cache import Entry, FieldCache, make_entry
from cervseg.data.labelled import Labelled, labelled_sources, read_labelled, require_unchanged
from cervseg.data.manifest import Dataset
from cervseg.data.windows import ScaledField, scale_field
from cervseg.digests import content_digest
from cervseg.errors import DataError
from cervseg.grid import Window
from cervseg.images.image import Image, whole
from cervseg.images.photo import Photo
from cervseg.images.resampling import Interpolation
from cervseg.images.views import scaled_length
from cervseg.machine import cache_folder
from cervseg.reports import SILENT, Progress, track

log = logging.getLogger("cervseg")


class FieldOptions(NamedTuple):
    """How whole fields are read for training.

    Args:
        cache: Bytes on disk for decoded fields; 0 is off.
        interpolation: Of masks at another scale.
    """

    cache: int = 0
    interpolation: Interpolation = "nearest"


def field_options(config: DataConfig) -> FieldOptions | None:
    """What section `data` says of whole fields; None where training samples are tiles."""
    if config.sampling == "tiles":
        return None
    number, unit = config.cache[:-2], config.cache[-2:]
    cache = int(float(number) * {"MB": 10**6, "GB": 10**9}[unit])
    return FieldOptions(cache, config.masks.interpolation)


class Census(NamedTuple):
    """Where the classes of a field lie: small, and enough to draw any of their pixels.

    Args:
        height: At the model's scale, pixels.
        width: Likewise.
        below: For each class in the field, its pixels in the rows up to each, cumulative.
    """

    height: int
    width: int
    below: dict[int, NDArray[np.int64]]


def take_census(field: ScaledField, classes: int) -> Census:
    """Count the pixels of each class in each row.

    Args:
        field: To count in.
        classes: How many there are, without background.
    """
    mask = field.read_mask(Window(0, 0, field.height, field.width))
    present = [int(value) for value in np.unique(mask) if 0 < value <= classes]
    below = {c: np.count_nonzero(mask == c, axis=1).cumsum() for c in present}
    return Census(field.height, field.width, below)


def draw_pixel(
    field: ScaledField, census: Census, index: int, *, rng: np.random.Generator
) -> tuple[int, int]:
    """Draw a pixel of a class, each with equal chance: its row and column."""
    below = census.below[index]
    number = int(rng.integers(below[-1]))
    row = int(np.searchsorted(below, number, side="right"))
    number -= int(below[row - 1]) if row else 0
    labels: Mask = field.read_mask(Window(row, 0, 1, field.width))[0]
    return row, int(np.flatnonzero(labels == index)[number])


@dataclass(frozen=True)
class FieldPool:
    """Fields by number.

    Args:
        items: Their files.
        classes: For reading masks.
        scale: The model's: target pixels per full-size pixel.
        interpolation: Of masks.
        entries: Of the fields in the cache, with their sizes at the model's scale.
        cache: Of decoded fields.
    """

    items: tuple[Labelled, ...]
    classes: Classes
    scale: float
    interpolation: Interpolation
    entries: tuple[Entry, ...]
    cache: FieldCache

    @classmethod
    def of(cls, dataset: Dataset, options: FieldOptions) -> Self:
        """The fields to train on, none of them read yet.

        Raises:
            DataError: There is none, or a file is gone.
        """
        rows = dataset.sources_of("train")
        if not rows:
            raise DataError(f"{dataset.folder}: no image in split train")
        dataset.require_sources("train")
        items, scale = labelled_sources(dataset, rows), dataset.scale
        entries = []
        for row, item in zip(rows, items, strict=True):
            height = scaled_length(row.height, row.vertical * scale)
            width = scaled_length(row.width, row.horizontal * scale)
            sources = [item.name]
            if options.cache:
                sources = _digests(item, dataset.classes, options.interpolation)
            entries.append(make_entry(sources, height, width))
        cache = FieldCache(cache_folder() / "fields", options.cache, entries)
        return cls(
            tuple(items), dataset.classes, scale, options.interpolation, tuple(entries), cache
        )

    def survey(self, *, workers: int = 1, progress: Progress = SILENT) -> tuple[Census, ...]:
        """Read each field once: fill the cache and count where the classes lie.

        Args:
            workers: Threads.
            progress: For a bar.

        Raises:
            DataError: A file is broken, or another picture than when the dataset was made.
        """
        numbers = range(len(self.items))
        with ThreadPoolExecutor(workers) as threads:
            counts = threads.map(self.count, numbers)
            census = tuple(track(counts, "reading fields", total=len(numbers), progress=progress))
        left_out = len(set(self.entries) - self.cache.kept)
        if self.cache.limit and left_out:
            log.warning(
                "'data.cache' has no room for %d of %d training fields: they are decoded for "
                "each sample", left_out, len(set(self.entries)),
            )  # fmt: skip
        return census

    def __len__(self) -> int:
        return len(self.items)

    def count(self, number: int) -> Census:
        """Open a field for the first time: into the cache with it, and count."""
        entry = self.entries[number]
        field = self._cached(entry, check=True)
        if field is None:
            item, image, field = self._decode(number)
            require_unchanged(item, image.read(whole(image)))
            if entry in self.cache.kept:
                self.cache.store(entry, *field.read(Window(0, 0, field.height, field.width)))
        return take_census(field, len(self.classes))

    def open(self, number: int) -> ScaledField:
        """Open a field: mapped from the cache, else decoded."""
        return self._cached(self.entries[number]) or self._decode(number)[2]

    def _cached(self, entry: Entry, *, check: bool = False) -> ScaledField | None:
        found = self.cache.load(entry, check=check)
        return found and ScaledField(Photo(found[0]), found[1])

    def _decode(self, number: int) -> tuple[Labelled, Image, ScaledField]:
        item = self.items[number]
        read = read_labelled(item, self.classes)
        scale = (item.scale[0] * self.scale, item.scale[1] * self.scale)
        field = scale_field(read.image, read.mask, scale, interpolation=self.interpolation)
        return item, read.image, field


def _digests(item: Labelled, classes: Classes, interpolation: Interpolation) -> list[str]:
    """Of all that the pixels of a field depend on besides its size."""
    mask: list[str] = []
    if item.mask is not None:
        how = repr((item.reading, item.options, classes.colours))
        mask = [content_digest(item.mask), how, interpolation]
    return [item.sha256 or content_digest(item.image), *mask]

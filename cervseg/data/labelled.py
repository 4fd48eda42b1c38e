"""Images whose truth is known: what validation and evaluation read."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cervseg.arrays import Mask
from cervseg.classes import BACKGROUND, Classes
from cervseg.data.fields import list_problems, repeated_names
from cervseg.data.manifest import Dataset, SourceRow, TileRow
from cervseg.errors import DataError
from cervseg.images.image import Image, find_images
from cervseg.images.masks import Reading, read_mask
from cervseg.images.readers import open_image


class Labelled(NamedTuple):
    """An image file and its mask file.

    Args:
        name: For tables and file names.
        image: The photograph.
        mask: None stands for background only.
        reading: How the mask's pixels become classes.
        scale: Full-size pixels per file pixel, vertical and horizontal.
        sha256: Of the decoded pixels, where it is known already.
    """

    name: str
    image: Path
    mask: Path | None
    reading: Reading
    scale: tuple[float, float] = (1.0, 1.0)
    sha256: str | None = None


def labelled_sources(dataset: Dataset, rows: Sequence[SourceRow]) -> list[Labelled]:
    """The photographs of a dataset."""
    return [
        Labelled(
            row.name,
            dataset.path(row.image),
            dataset.path(row.mask) if row.mask else None,
            dataset.reading,
            (row.vertical, row.horizontal),
            row.sha256,
        )
        for row in rows
    ]


def labelled_tiles(dataset: Dataset, rows: Sequence[TileRow]) -> list[Labelled]:
    """The tiles of a dataset."""
    return [
        Labelled(
            Path(row.tile).stem,
            dataset.path(row.tile),
            dataset.path(row.mask) if row.mask else None,
            dataset.tile_reading,
        )
        for row in rows
    ]


def labelled_folders(images: Path, masks: Path, reading: Reading) -> list[Labelled]:
    """Two folders paired by stem.

    Raises:
        DataError: A folder is missing or empty, an image has no mask of its name, or two files
            have one name.
    """
    found, mask_files = find_images(images), find_images(masks)
    if not found:
        raise DataError(f"{images}: no images in it")
    problems = [
        *repeated_names((path.stem, path) for path in found),
        *repeated_names((path.stem, path) for path in mask_files),
    ]
    if problems:
        raise DataError(list_problems("images and masks do not pair", problems))
    by_stem = {path.stem: path for path in mask_files}
    missing = [path for path in found if path.stem not in by_stem]
    if missing:
        raise DataError(f"{missing[0]}: no mask of this name in {masks} ({len(missing)} in all)")
    return [Labelled(path.stem, path, by_stem[path.stem], reading) for path in found]


class Read(NamedTuple):
    """An image opened, its mask, and the share of mask pixels that had no exact class value."""

    image: Image
    mask: Mask
    changed: float


def read_labelled(item: Labelled, classes: Classes) -> Read:
    """Open an image and read its mask.

    Raises:
        DataError: A file is broken, or the two differ in size.
    """
    image = open_image(item.image)
    if item.mask is None:
        return Read(image, np.full((image.height, image.width), BACKGROUND, np.uint8), 0.0)
    mask, changed = read_mask(item.mask, classes, item.reading)
    if mask.shape != (image.height, image.width):
        raise DataError(
            f"{item.mask}: {mask.shape[1]} x {mask.shape[0]} pixels, "
            f"its image {item.image} has {image.width} x {image.height}"
        )
    return Read(image, mask, changed)

"""Images whose truth is known: what validation and evaluation read."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cervseg.arrays import RGB, Mask
from cervseg.classes import Classes
from cervseg.data.fields import list_problems, repeated_names
from cervseg.data.manifest import Dataset, SourceRow, TileRow
from cervseg.data.pairing import by_stem, own_names
from cervseg.data.truth import MaskFile, empty_mask
from cervseg.digests import pixel_digest
from cervseg.errors import DataError
from cervseg.images.image import Image
from cervseg.images.masks import PLAIN, MaskOptions, Reading
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
        objects: A label image of the objects, where they are known.
        options: Details of the reading.
    """

    name: str
    image: Path
    mask: Path | None
    reading: Reading
    scale: tuple[float, float] = (1.0, 1.0)
    sha256: str | None = None
    objects: Path | None = None
    options: MaskOptions = PLAIN


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
            dataset.path(row.objects) if row.objects else None,
            dataset.options,
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
            dataset.reading,
            sha256=row.sha256,
            options=dataset.options,
        )
        for row in rows
    ]


def labelled_folders(
    images: Path, masks: Path, reading: Reading, *, options: MaskOptions = PLAIN
) -> list[Labelled]:
    """Two folders paired by stem, and by folders where a stem occurs in several.

    Raises:
        DataError: A folder is missing or empty, an image has no mask of its name, or two files
            have one name.
    """
    files, wrong, _ = by_stem(images, masks)
    if not files:
        raise DataError(f"{images}: no images in it")
    names = own_names([(path.stem, path) for path in files])
    problems = [*repeated_names(zip(names, files, strict=True)), *wrong]
    if problems:
        raise DataError(list_problems("images and masks do not pair", problems))
    missing = [path for path, mask in files.items() if mask is None]
    if missing:
        raise DataError(f"{missing[0]}: no mask of this name in {masks} ({len(missing)} in all)")
    return [
        Labelled(name, path, mask, reading, options=options)
        for name, (path, mask) in zip(names, files.items(), strict=True)
    ]


def require_unchanged(item: Labelled, pixels: RGB) -> str:
    """Check that an image is the one that was cut, and return the digest of its pixels.

    Raises:
        DataError: It is another.
    """
    digest = pixel_digest(pixels)
    if item.sha256 is not None and digest != item.sha256:
        raise DataError(
            f"{item.image}: changed since the dataset was cut",
            hint="cut it again: cervseg dataset-tile CONFIG --overwrite",
        )
    return digest


class Read(NamedTuple):
    """An image opened, and the truth of it.

    Args:
        image: The photograph.
        mask: Class indices of its size.
        changed: Share of mask pixels that had no exact class value.
        objects: A number for each object, where they are known.
    """

    image: Image
    mask: Mask
    changed: float
    objects: NDArray[np.uint16] | None = None


def read_labelled(item: Labelled, classes: Classes) -> Read:
    """Open an image and read its mask.

    Raises:
        DataError: A file is broken, or the two differ in size.
    """
    image = open_image(item.image)
    if item.mask is None:
        return Read(image, empty_mask(image.height, image.width), 0.0)
    truth = MaskFile(item.mask, item.reading, item.options, item.objects)
    mask, objects, changed = truth.read(image.height, image.width, classes)
    return Read(image, mask, changed, objects)

"""What somebody said is on a photograph, of whatever form, as class indices and objects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from cervseg.annotations.coco import CocoFile
from cervseg.annotations.geojson import LOOK_FIRST, read_geojson
from cervseg.annotations.label_images import read_label_image
from cervseg.annotations.shapes import Labels, Shape, paint
from cervseg.annotations.sipakmed import Contours, SipakmedField, read_contours
from cervseg.arrays import Mask
from cervseg.bounds import one_line
from cervseg.classes import BACKGROUND, IGNORE, Classes
from cervseg.config.data import MaskReading
from cervseg.errors import CervsegError, DataError
from cervseg.images.masks import (
    PLAIN,
    MaskOptions,
    MaskPicture,
    Reading,
    ReadMask,
    interpret_mask,
    open_mask,
)
from cervseg.images.mistaken import find_mistake

IGNORED = "Ignore*"
"""What QuPath calls a region that nothing should be learnt from."""


class Found(NamedTuple):
    """The truth of an image.

    Args:
        mask: Class indices, shape (height, width); 255 is ignored.
        objects: A number for each object, same shape; None where only classes are known.
        changed: Share of pixels that had no exact class value.
    """

    mask: Mask
    objects: NDArray[np.uint16] | None = None
    changed: float = 0.0


class Truth(Protocol):
    """Reads what is on one image."""

    def read(self, height: int, width: int, classes: Classes) -> Found:
        """Give class indices for an image of this size.

        Raises:
            DataError: A file is broken, or does not fit the image or the classes.
        """
        ...


def mask_options(masks: MaskReading) -> MaskOptions:
    """The details of `data.masks`."""
    return MaskOptions(masks.threshold, masks.blur, masks.luma)


def empty_mask(height: int, width: int) -> Mask:
    """Background only."""
    return np.full((height, width), BACKGROUND, np.uint8)


@dataclass(frozen=True)
class MaskFile:
    """A picture of the image's size, and the numbers of its objects where they are kept too."""

    path: Path
    reading: Reading
    options: MaskOptions = PLAIN
    objects: Path | None = None

    def read(self, height: int, width: int, classes: Classes) -> Found:
        """See `Truth`."""
        mask, changed = self.interpret(open_mask(self.path), classes)
        _check_size(self.path, mask.shape, (height, width))
        return Found(mask, self.read_objects(height, width), changed)

    def interpret(self, picture: MaskPicture, classes: Classes) -> ReadMask:
        """The class indices of the decoded file.

        Raises:
            DataError: Its values do not fit the reading, or can't be meant so.
        """
        if mistake := find_mistake(picture, classes, self.reading, options=self.options):
            raise DataError(f"{self.path}: {mistake.message}", hint=mistake.hint)
        return interpret_mask(picture, classes, self.reading, options=self.options)

    def read_objects(self, height: int, width: int) -> NDArray[np.uint16] | None:
        """The numbers of objects, where they are kept."""
        if self.objects is None:
            return None
        objects = read_label_image(self.objects)
        _check_size(self.objects, objects.shape, (height, width))
        return objects


@dataclass(frozen=True)
class LabelImage:
    """A number for each object, all of one class."""

    path: Path
    index: int

    def read(self, height: int, width: int, classes: Classes) -> Found:
        """See `Truth`."""
        objects = read_label_image(self.path)
        _check_size(self.path, objects.shape, (height, width))
        return Found((objects > 0).astype(np.uint8) * np.uint8(self.index), objects)


@dataclass(frozen=True)
class SipakmedContours:
    """The contour files of one SIPaKMeD field."""

    record: SipakmedField
    contours: Contours
    rename: Mapping[str, str]

    def read(self, height: int, width: int, classes: Classes) -> Found:
        """See `Truth`."""
        shapes = read_contours(self.record, self.contours)
        return _painted(
            shapes, (height, width), classes=classes, rename=self.rename, where=self.record.image
        )


@dataclass(frozen=True)
class GeojsonFile:
    """QuPath's annotations of one image."""

    path: Path
    rename: Mapping[str, str]

    def read(self, height: int, width: int, classes: Classes) -> Found:
        """See `Truth`."""
        shapes = read_geojson(self.path)
        if LOOK_FIRST not in self.rename:  # left over from the correction
            shapes = [shape for shape in shapes if shape.name != LOOK_FIRST]
        return _painted(
            shapes, (height, width), classes=classes, rename=self.rename, where=self.path
        )


@dataclass(frozen=True)
class CocoImage:
    """One image's annotations in a COCO file."""

    file: CocoFile
    image: str
    rename: Mapping[str, str]

    def read(self, height: int, width: int, classes: Classes) -> Found:
        """See `Truth`."""
        shapes = self.file.shapes(self.image, height, width)
        where = self.file.path
        return _painted(shapes, (height, width), classes=classes, rename=self.rename, where=where)


def class_index(classes: Classes, rename: Mapping[str, str]) -> dict[str, int]:
    """What each name in an annotation means: the classes' own names, and those renamed."""
    own = {name: number for number, name in enumerate(classes.names, start=1)}
    targets = {**own, "background": BACKGROUND, "ignore": IGNORE}
    return {IGNORED: IGNORE, **own, **{theirs: targets[ours] for theirs, ours in rename.items()}}


def _painted(
    shapes: Sequence[Shape],
    size: tuple[int, int],
    *,
    classes: Classes,
    rename: Mapping[str, str],
    where: Path,
) -> Found:
    index = class_index(classes, rename)
    unknown = sorted({shape.name for shape in shapes} - set(index))
    if unknown:
        strange = one_line(", ".join(map(repr, unknown)))
        raise DataError(
            f"{where}: classes that the config does not name: {strange}; "
            f"it names {', '.join(map(repr, classes.names))}",
            hint="name them in data.classes, or say in data.source.rename what they are",
        )
    try:
        labels: Labels = paint(shapes, *size, index=index)
    except CervsegError as exc:
        raise DataError(f"{where}: {exc}", hint=exc.hint) from exc
    return Found(labels.mask, labels.objects)


def _check_size(path: Path, found: tuple[int, ...], wanted: tuple[int, int]) -> None:
    if found != wanted:
        raise DataError(
            f"{path}: {found[1]} x {found[0]} pixels, its image has {wanted[1]} x {wanted[0]}"
        )

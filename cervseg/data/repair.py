"""A cleaned copy of a dataset: upright RGB images, masks of class indices, and what was changed."""

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cervseg.annotations.label_images import write_label_image
from cervseg.classes import Classes
from cervseg.data.fields import Field
from cervseg.data.truth import Found, MaskFile, empty_mask
from cervseg.errors import DataError
from cervseg.files import write_csv, writing
from cervseg.images.image import whole
from cervseg.images.masks import open_mask, write_mask
from cervseg.images.overlays import write_picture
from cervseg.images.photo import Photo, PhotoForm
from cervseg.images.readers import open_image
from cervseg.reports import SILENT, Progress, track

LOG = "repair.csv"

TURNS: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    5: lambda labels: labels.T,
    6: lambda labels: np.rot90(labels, 3),
    7: lambda labels: np.rot90(labels, 2).T,
    8: lambda labels: np.rot90(labels, 1),
}
"""What EXIF's orientations that swap height and width do to pixels, or to their labels."""

EXACT_MODES = ("1", "L", "P", "RGB")
"""Of images whose pixels look the same as 8-bit RGB."""


class Repaired(NamedTuple):
    """What became of one file.

    Args:
        file: As written, relative to the output folder; empty where it was left out.
        source: What it was made from.
        change: In words: `copied`, or what was done.
        pixels: That have another value, or were given one they did not exactly have.
    """

    file: str
    source: str
    change: str
    pixels: int


def repair_all(
    fields: Sequence[Field], classes: Classes, folder: Path, *, progress: Progress = SILENT
) -> list[Repaired]:
    """Write cleaned copies of all fields, and the log.

    Args:
        fields: To copy.
        classes: What masks can mean.
        folder: Empty and claimed; the fields themselves are never written to.
        progress: Draws a bar.
    """
    done: list[Repaired] = []
    counts = Counter(field.name for field in fields)
    for field in track(fields, "repairing", total=len(fields), progress=progress):
        if counts[field.name] > 1:  # nobody knows which of them the mask belongs to
            done.append(Repaired("", str(field.image), "left out: two files with one stem", 0))
        else:
            done += repair_field(field, classes, folder)
    write_csv(folder / LOG, Repaired._fields, done)
    return done


def repair_field(field: Field, classes: Classes, folder: Path) -> list[Repaired]:
    """Write an upright RGB image and a mask of class indices of a field.

    An image that is both already is copied byte by byte, any other becomes PNG. A mask that does
    not fit its image is turned if the image's EXIF says how. Specks and holes stay: they are
    somebody's drawing. A field that can't be read or does not fit is left out.

    Args:
        field: With `split`, its files go to `SPLIT/images` and `SPLIT/masks`.
        classes: What masks can mean.
        folder: Where `images`, `masks` and, where objects are known, `objects` are.

    Returns:
        A line for each file.
    """
    place = folder / field.split if field.split else folder
    try:
        image = open_image(field.image)
        form = image.form if isinstance(image, Photo) else None
        size = (image.height, image.width)
        found, change = _read_truth(field, size, turn=form.turn if form else 1, classes=classes)
    except DataError as exc:
        return [Repaired("", str(field.image), f"left out: {exc}", 0)]
    file_name, what, pixels = _image_change(field, form, image.height * image.width)
    path = place / "images" / file_name
    if what == "copied":
        with writing(path) as partial:
            shutil.copyfile(field.image, partial)
    else:
        write_picture(path, image.read(whole(image)))
    done = [Repaired(path.relative_to(folder).as_posix(), str(field.image), what, pixels)]
    return done + _write_truth(field, found, change, palette=classes.palette(), folder=folder)


def _write_truth(
    field: Field, found: Found, change: str, *, palette: list[int], folder: Path
) -> list[Repaired]:
    below = f"{field.split}/" if field.split else ""
    mask, objects = (f"{below}{kind}/{field.name}.png" for kind in ("masks", "objects"))
    write_mask(folder / mask, found.mask, palette)
    pixels = round(found.changed * found.mask.size)
    done = [Repaired(mask, str(field.origin or ""), change, pixels)]
    if found.objects is not None:
        write_label_image(folder / objects, found.objects)
        source, change = str(field.origin), "painted"
        if isinstance(field.truth, MaskFile):
            source, change = str(field.truth.objects), "numbered from 1"
        done.append(Repaired(objects, source, change, 0))
    return done


def _image_change(field: Field, form: PhotoForm | None, size: int) -> tuple[str, str, int]:
    """The name of the copy, what is done to it, and to how many pixels."""
    if form is None:
        return f"{field.name}.png", "written as PNG", 0
    if form.mode == "RGB" and form.turn == 1 and not form.transparent:
        return f"{field.name}{field.image.suffix}", "copied", 0
    is_exact = form.mode in EXACT_MODES and not form.transparent
    done = []
    if form.turn != 1:
        done.append("turned as EXIF says")
    if form.transparent:
        done.append("laid over white")
    elif form.mode != "RGB":
        done.append(f"{form.mode} to RGB")
    return f"{field.name}.png", ", ".join(done), 0 if is_exact else size


def _read_truth(
    field: Field, size: tuple[int, int], *, turn: int, classes: Classes
) -> tuple[Found, str]:
    """What is on the image, and how its mask came about."""
    if field.truth is None:
        return Found(empty_mask(*size)), "empty, as no mask was there"
    if not isinstance(field.truth, MaskFile):
        return field.truth.read(*size, classes), "painted"
    file = field.truth
    picture = open_mask(file.path)
    mask, changed = file.interpret(picture, classes)
    objects = file.read_objects(*mask.shape)
    change = "decided by the nearest class" if changed else "to indices"
    if file.reading == "threshold" and changed:
        change = "decided by the threshold"
    is_turned = mask.shape == size[::-1] and mask.shape != size
    if is_turned and turn in TURNS and picture.form.turn == 1:
        mask = np.ascontiguousarray(TURNS[turn](mask))
        objects = None if objects is None else np.ascontiguousarray(TURNS[turn](objects))
        change += ", turned as the image's EXIF says"
    if mask.shape != size:
        raise DataError(
            f"{file.path}: {mask.shape[1]} x {mask.shape[0]} pixels, "
            f"its image has {size[1]} x {size[0]}"
        )
    return Found(mask, objects, changed), change

"""Mask files: pixel values to class indices and back, without guessing."""

import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageOps

from cervseg.arrays import Mask
from cervseg.classes import IGNORE, Classes
from cervseg.errors import DataError
from cervseg.files import writing
from cervseg.images.image import decoding
from cervseg.images.photo import PhotoForm, eight_bit, form_of, open_pillow

Reading = Literal["index", "colour", "threshold", "luma"]

Values = NDArray[np.uint8] | NDArray[np.int64]
"""Of a mask file: bytes, but for files of 16 and 32 bits."""

THRESHOLD = 128
"""Foreground from this value of the largest channel on."""

DARK = 4095
"""Up to this, grey levels of 16 bits are rather of 12, or numbers of objects."""

INDEX_LIMIT = 32
"""A mask whose brightest value is below holds indices, not grey levels."""


class MaskOptions(NamedTuple):
    """Details of a reading.

    Args:
        threshold: Foreground from this grey level on, 1 to 255, or found for each mask.
        blur: Sigma of a Gaussian before the threshold, pixels; 0 is off.
        luma: Shares of red, green and blue in a grey level.
    """

    threshold: int | Literal["otsu", "triangle"] = THRESHOLD
    blur: float = 0.0
    luma: tuple[float, float, float] = (0.299, 0.587, 0.114)


PLAIN = MaskOptions()


class ReadMask(NamedTuple):
    """A mask, and the share of its pixels that had no exact class value."""

    mask: Mask
    changed: float


def read_mask(
    path: Path, classes: Classes, reading: Reading, *, options: MaskOptions = PLAIN
) -> ReadMask:
    """Read a mask file.

    Args:
        path: Any format Pillow opens; a palette is not expanded.
        classes: What the values can mean.
        reading: `index`: values are class indices, 255 is ignored; `colour`: the nearest of
            black and the class colours; `threshold`: the largest channel, one class from
            `options.threshold` on; `luma`: the nearest of the grey levels that the class
            colours have.
        options: Details.

    Raises:
        DataError: The file is missing or broken, or its values do not fit the reading.
    """
    return interpret_mask(open_mask(path), classes, reading, options=options)


@dataclass(frozen=True)
class MaskPicture:
    """A mask file, decoded and upright, that means nothing yet.

    Args:
        path: For errors.
        picture: Its palette not expanded, what is transparent black.
        form: How the file held it.
    """

    path: Path
    picture: Pillow.Image
    form: PhotoForm

    @cached_property
    def values(self) -> Values:
        """Raw values of one-channel files, the largest channel of others: (height, width)."""
        return _values(self.picture)

    @cached_property
    def colours(self) -> NDArray[np.uint8]:
        """Shape (height, width, 3)."""
        return np.asarray(self.picture.convert("RGB"))


def open_mask(path: Path) -> MaskPicture:
    """Decode a mask file.

    Raises:
        DataError: It is missing or broken.
    """
    with decoding(path), open_pillow(path) as file:
        upright = _opaque(ImageOps.exif_transpose(file))
        return MaskPicture(path, upright, form_of(file))


def interpret_mask(
    mask: MaskPicture, classes: Classes, reading: Reading, *, options: MaskOptions = PLAIN
) -> ReadMask:
    """Give the pixels of a mask file their meaning; see `read_mask`."""
    path = mask.path
    if reading == "colour" and is_ours(mask.picture, classes):
        reading = "index"
    if reading == "colour":
        return _nearest_colour(mask.colours, classes)
    if reading == "luma":
        return _nearest_grey(mask.colours, classes, options.luma)
    values = mask.values
    if reading == "index":
        # One bit: background, class 1.
        values = values // 255 if mask.picture.mode == "1" else values
        return ReadMask(_check_indices(values, classes, path), 0.0)
    values = _as_bytes(values, path)
    if options.threshold == THRESHOLD and (seen := _seen_indices(values, classes)):
        raise DataError(
            f"{path}: {seen}, so this looks like class indices",
            hint="set data.masks.read: index",
        )
    foreground = _bright(values, options)
    exact = np.where(foreground, values == 255, values == 0)
    return ReadMask(foreground.astype(np.uint8), float(np.mean(~exact)))


def is_ours(picture: Pillow.Image, classes: Classes) -> bool:
    """Whether a picture has a palette as `write_mask` writes it, and uses nothing else of it."""
    if picture.mode != "P":
        return False
    ours, theirs = classes.palette(), picture.getpalette("RGB") or []
    known = {*range(len(classes) + 1), IGNORE}
    used = [level for level, count in enumerate(picture.histogram()) if count]
    alike = (theirs[3 * i :][:3] == ours[3 * i :][:3] for i in used)
    return known.issuperset(used) and all(alike)


def _seen_indices(values: Values, classes: Classes) -> str:
    """What of the values says that they are class indices, not grey levels; nothing: empty."""
    brightest = int(values.max(initial=0))
    if 0 < brightest < INDEX_LIMIT:
        return f"the largest value is {brightest}"
    if brightest == IGNORE and 0 < values[values < IGNORE].max(initial=0) <= len(classes):
        return "it holds 255, ignored, beside classes"
    return ""


def _as_bytes(values: Values, path: Path) -> Values:
    """Grey levels of 0 to 255; of 16 bits the upper half.

    Raises:
        DataError: Several levels, the brightest of which is far from white.
    """
    brightest = int(values.max(initial=0))
    if brightest <= 255:
        return values
    if ((values == 0) | (values == brightest)).all():  # whatever number stands for white
        return np.where(values > 0, np.uint8(255), np.uint8(0))
    if brightest <= DARK or brightest > 65535:
        raise DataError(
            f"{path}: values up to {brightest}, neither of 8 nor of all 16 bits",
            hint="save it with 8 bits; numbers of objects are read by kind: label_images",
        )
    return eight_bit(values)


def _bright(values: Values, options: MaskOptions) -> NDArray[np.bool_]:
    """What lies at or above the threshold, after the blur."""
    if options == PLAIN:
        return values >= THRESHOLD
    grey = values.astype(np.uint8)
    if options.blur:
        grey = np.asarray(cv2.GaussianBlur(grey, (0, 0), options.blur), np.uint8)
    level = options.threshold
    if isinstance(level, str):
        found = cv2.THRESH_OTSU if level == "otsu" else cv2.THRESH_TRIANGLE
        is_flat = grey.min() == grey.max()  # nothing to find
        level = THRESHOLD if is_flat else int(cv2.threshold(grey, 0, 255, found)[0]) + 1
    return np.asarray(grey >= level)


def _opaque(image: Pillow.Image) -> Pillow.Image:
    """What is transparent is not drawn: black."""
    if image.mode not in ("RGBA", "LA", "PA"):
        return image
    rgba = image.convert("RGBA")
    return Pillow.alpha_composite(Pillow.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba)


def _values(image: Pillow.Image) -> Values:
    """Raw values of one-channel files, the largest channel of others."""
    if image.mode == "1":
        return np.asarray(image).astype(np.uint8) * np.uint8(255)
    if image.mode in ("L", "P"):
        return np.asarray(image)
    if image.mode.startswith("I"):
        return np.asarray(image, np.int64)
    red, green, blue = cv2.split(np.asarray(image.convert("RGB")))
    return np.asarray(np.maximum(np.maximum(red, green), blue), np.uint8)


def _check_indices(values: Values, classes: Classes, path: Path) -> Mask:
    legal = np.zeros(256, np.bool_)
    legal[[*range(len(classes) + 1), IGNORE]] = True
    if values.dtype == np.uint8 and legal[values].all():  # much faster than to list the values
        return np.array(values, np.uint8)
    strange = [int(v) for v in np.unique(values) if not (0 <= v < 256 and legal[v])]
    if strange:
        shown = ", ".join(map(str, strange[:5])) + (", …" if len(strange) > 5 else "")
        raise DataError(
            f"{path}: value {shown} is no class; {len(classes)} named, so 0 to {len(classes)} "
            f"and {IGNORE} are known",
            hint="name the classes in data.classes, or choose another data.masks.read",
        )
    return values.astype(np.uint8)


def _nearest_colour(pixels: NDArray[np.uint8], classes: Classes) -> ReadMask:
    table = np.array([(0, 0, 0), *classes.colours], np.int32)
    flat = pixels.reshape(-1, 3)
    colours, inverse = np.unique(
        flat @ np.array([65536, 256, 1], np.int32), return_inverse=True
    )  # a mask has few colours: compare each once
    split = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=-1)
    distances = ((split[:, None] - table[None]) ** 2).sum(axis=-1)
    nearest, exact = distances.argmin(axis=1).astype(np.uint8), distances.min(axis=1) == 0
    return ReadMask(nearest[inverse].reshape(pixels.shape[:2]), float(np.mean(~exact[inverse])))


def _nearest_grey(
    pixels: NDArray[np.uint8], classes: Classes, luma: tuple[float, float, float]
) -> ReadMask:
    weights = np.asarray(luma)
    levels = np.array([(0, 0, 0), *classes.colours]) @ weights  # of each class
    distances = np.abs(np.arange(256)[:, None] - np.rint(levels))
    # A grey file holds the level itself, whatever the shares add up to.
    is_grey = (pixels == pixels[..., :1]).all()
    grey = pixels[..., 0] if is_grey else np.rint(pixels @ weights).clip(0, 255).astype(np.uint8)
    nearest, exact = distances.argmin(axis=1).astype(np.uint8), distances.min(axis=1) == 0
    return ReadMask(nearest[grey], float(np.mean(~exact[grey])))


def write_mask(path: Path, mask: Mask, palette: list[int]) -> None:
    """Write class indices as a palette PNG, whole or not at all."""
    image = Pillow.fromarray(mask)
    image.putpalette(palette)
    with writing(path) as partial:
        image.save(partial, format="PNG", compress_type=zlib.Z_RLE)  # smaller and twice as fast


def read_prediction(path: Path, classes: Classes) -> Mask:
    """Read a mask that somebody predicted: indices where it is dark, else as classes show it.

    A mask whose brightest value is below 32 holds class indices; any other is thresholded for one
    class, and matched to the class colours for several.

    Raises:
        DataError: The file is missing or broken, or its values are no classes.
    """
    with decoding(path), open_pillow(path) as file:
        values = _values(_opaque(file))
    if values.max(initial=0) == IGNORE and _seen_indices(values, classes):
        problem = f"{path}: class indices or black and white? It holds 255 beside classes"
        raise DataError(problem, hint="predict a class for every pixel")
    if values.max(initial=0) < INDEX_LIMIT:
        return read_mask(path, classes, "index").mask
    return read_mask(path, classes, "threshold" if classes.is_binary else "colour").mask

"""Mask files: pixel values to class indices and back, without guessing."""

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageOps

from cervseg.arrays import Mask
from cervseg.classes import IGNORE, Classes
from cervseg.errors import DataError
from cervseg.files import writing
from cervseg.images.image import decoding
from cervseg.images.photo import open_pillow
from cervseg.images.resampling import nearest_indices

Reading = Literal["index", "colour", "threshold"]

THRESHOLD = 128
"""Foreground from this value of the largest channel on."""

INDEX_LIMIT = 32
"""A mask whose brightest value is below holds indices, not grey levels."""


class ReadMask(NamedTuple):
    """A mask, and the share of its pixels that had no exact class value."""

    mask: Mask
    changed: float


def read_mask(path: Path, classes: Classes, reading: Reading) -> ReadMask:
    """Read a mask file.

    Args:
        path: Any format Pillow opens; a palette is not expanded.
        classes: What the values can mean.
        reading: `index`: values are class indices, 255 is ignored; `colour`: the nearest of
            black and the class colours; `threshold`: the largest channel, one class from 128 on.

    Raises:
        DataError: The file is missing or broken, or its values do not fit the reading.
    """
    with decoding(path), open_pillow(path) as file:
        upright = _opaque(ImageOps.exif_transpose(file))
        if reading == "colour":
            return _nearest_colour(np.asarray(upright.convert("RGB")), classes)
        values = _values(upright)
    if reading == "index":
        values = values // 255 if upright.mode == "1" else values  # one bit: background, class 1
        return ReadMask(_check_indices(values, classes, path), 0.0)
    brightest = int(values.max(initial=0))
    if 0 < brightest < INDEX_LIMIT:
        raise DataError(
            f"{path}: the largest value is {brightest}, so this looks like class indices",
            hint="set data.masks.read: index",
        )
    return ReadMask(
        (values >= THRESHOLD).astype(np.uint8), float(np.mean((values != 0) & (values != 255)))
    )


def _opaque(image: Pillow.Image) -> Pillow.Image:
    """What is transparent is not drawn: black."""
    if image.mode not in ("RGBA", "LA", "PA"):
        return image
    rgba = image.convert("RGBA")
    return Pillow.alpha_composite(Pillow.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba)


def _values(image: Pillow.Image) -> NDArray[np.int64]:
    """Raw values of one-channel files, the largest channel of others."""
    if image.mode == "1":
        return np.asarray(image, np.int64) * 255
    if image.mode in ("L", "P") or image.mode.startswith("I"):
        return np.asarray(image, np.int64)
    return np.asarray(np.asarray(image.convert("RGB")).max(axis=-1), np.int64)


def _check_indices(values: NDArray[np.int64], classes: Classes, path: Path) -> Mask:
    found = np.unique(values)
    strange = [int(v) for v in found if not (0 <= v <= len(classes) or v == IGNORE)]
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


def scale_mask(mask: Mask, height: int, width: int) -> Mask:
    """Bring a mask to another size: the class under each pixel's centre."""
    rows = nearest_indices(0, height, source=mask.shape[0], target=height)
    columns = nearest_indices(0, width, source=mask.shape[1], target=width)
    return mask[np.ix_(rows, columns)]


def write_mask(path: Path, mask: Mask, palette: list[int]) -> None:
    """Write class indices as a palette PNG, whole or not at all."""
    image = Pillow.fromarray(mask)
    image.putpalette(palette)
    with writing(path) as partial:
        image.save(partial, format="PNG", optimize=False, compress_level=6)


def read_prediction(path: Path, classes: Classes) -> Mask:
    """Read a mask that somebody predicted: indices where it is dark, else as classes show it.

    A mask whose brightest value is below 32 holds class indices; any other is thresholded for one
    class, and matched to the class colours for several.

    Raises:
        DataError: The file is missing or broken, or its values are no classes.
    """
    with decoding(path), open_pillow(path) as file:
        brightest = int(_values(_opaque(file)).max(initial=0))
    if brightest < INDEX_LIMIT:
        return read_mask(path, classes, "index").mask
    return read_mask(path, classes, "threshold" if classes.is_binary else "colour").mask

"""A photograph: decoded once, kept in memory as RGB."""

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageOps
from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    PHOTOMETRIC_INTERPRETATION,
    PLANAR_CONFIGURATION,
    TiffImageFile,
)

from cervseg.arrays import RGB
from cervseg.errors import DataError
from cervseg.grid import Window
from cervseg.images.image import Image, decoding

MAX_PIXELS = 400_000_000
"""Larger files are refused before they are decoded: 1.2 GB of RGB."""

_DEFLATE = 1032
"""A byte that PNG's compression writes holds at most as many, or eight times as many pixels."""

PLANES = 2
"""TIFF's number for colours that lie one plane after another."""

ORIENTATION = 0x0112
"""EXIF's number for how the camera was held."""


class PhotoForm(NamedTuple):
    """How a file holds its pixels.

    Args:
        mode: Pillow's name of it; `RGB` is 3 x 8 bits.
        turn: What EXIF says must be done to see it upright, 1 (nothing) to 8.
        kind: Pillow's name of the format: `JPEG`, `PNG`.
        transparent: Whether pixels may be anything but opaque.
    """

    mode: str
    turn: int
    kind: str
    transparent: bool


def form_of(file: Pillow.Image) -> PhotoForm:
    """Describe an opened file; of a PNG, that decodes it, as its EXIF may come last."""
    turn = file.getexif().get(ORIENTATION, 1)
    return PhotoForm(
        file.mode,
        turn if turn in range(1, 9) else 1,
        file.format or "",
        file.mode in ("RGBA", "LA", "PA") or "transparency" in file.info,
    )


@dataclass(frozen=True)
class Photo:
    """Pixels in memory, and how their file held them."""

    pixels: RGB
    mpp: float | None = None
    form: PhotoForm | None = None

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return int(self.pixels.shape[1])

    @property
    def levels(self) -> tuple[Image, ...]:
        """None."""
        return ()

    def working_set(self, height: int) -> int:
        """Nothing: the pixels are in memory as long as the photograph is."""
        return 0

    def read(self, window: Window) -> RGB:
        """Read pixels, shape (window.height, window.width, 3)."""
        return self.pixels[window.top : window.bottom, window.left : window.right]


def open_photo(path: Path) -> Photo:
    """Decode a photograph to RGB uint8, upright.

    EXIF orientation is applied; the first frame counts; 16-bit grey is divided by 257; anything
    transparent is laid over white, the colour of an empty slide; CMYK, palette and grey become
    RGB as Pillow converts them.

    Raises:
        DataError: The file is missing, broken, too large, or holds floats.
    """
    with decoding(path), open_pillow(path) as file:
        form = form_of(file)
        upright = file if form.turn == 1 else ImageOps.exif_transpose(file)  # which would copy
        return Photo(_to_rgb(upright, path), form=form)


def open_pillow(path: Path) -> Pillow.Image:
    """Open a file with our limit on its size instead of Pillow's, pixels not yet decoded."""
    Pillow.MAX_IMAGE_PIXELS = None  # ours follows; Pillow's own warns on stderr from 89 MP on
    warnings.filterwarnings("ignore", module=r"PIL\.TiffImagePlugin")  # of tags that are broken
    logging.getLogger("PIL").setLevel(
        logging.CRITICAL + 1
    )  # what it says there, its errors say too
    file = Pillow.open(path)
    pixels, size = file.width * file.height, path.stat().st_size
    if pixels > MAX_PIXELS:
        file.close()
        raise DataError(
            f"{path}: {pixels / 1e6:.0f} megapixels, at most {MAX_PIXELS / 1e6:.0f} can be decoded",
            hint="cut the image into parts",
        )
    if file.format == "PNG" and pixels > 8 * _DEFLATE * size:
        shape = f"{file.width} x {file.height}"
        file.close()  # Pillow would fill in for many seconds what is not there
        raise DataError(f"{path}: damaged, as {size} bytes can't hold {shape} pixels")
    if isinstance(file, TiffImageFile) and (problem := _misread(file)):
        file.close()
        raise DataError(f"{path}: {problem}", hint="save it as plain 8 or 16 bits")
    return file


def _misread(file: TiffImageFile) -> str | None:
    """What Pillow would decode to other values, without a word."""
    tags = file.tag_v2
    if file.mode.startswith("I") and tags.get(PHOTOMETRIC_INTERPRETATION) == 0:
        return "16 bits in which 0 is white can't be read"
    wide = set(tags.get(BITSPERSAMPLE, ())) == {16}
    if wide and tags.get(PLANAR_CONFIGURATION) == PLANES and file.tile[0][0] == "raw":
        return "16-bit colours, one plane after another, can't be read here"
    return None


def _to_rgb(image: Pillow.Image, path: Path) -> RGB:
    if image.mode in ("F", "RGBa", "La"):
        raise DataError(f"{path}: pixels of mode {image.mode} have no known range")
    if image.mode.startswith("I"):
        grey = np.asarray(image).astype(np.int64)
        if grey.min() < 0 or grey.max() > 65535:
            raise DataError(f"{path}: 32-bit pixels have no known range")
        return np.repeat(eight_bit(grey)[..., None], 3, axis=-1)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        return over_white(image.convert("RGBA"))
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def eight_bit(grey: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Sixteen bits as eight: divided by 257 and rounded, so that 65535 is 255."""
    return ((grey.astype(np.int64) + 128) // 257).astype(np.uint8)


def over_white(rgba: Pillow.Image) -> RGB:
    """What is transparent laid over the colour of an empty slide."""
    ground = Pillow.new("RGBA", rgba.size, (255, 255, 255, 255))
    return np.asarray(Pillow.alpha_composite(ground, rgba).convert("RGB"))

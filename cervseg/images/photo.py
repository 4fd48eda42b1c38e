"""A photograph: decoded once, kept in memory as RGB."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps

from cervseg.arrays import RGB
from cervseg.errors import DataError
from cervseg.grid import Window
from cervseg.images.image import decoding

MAX_PIXELS = 400_000_000
"""Larger files are refused before they are decoded: 1.2 GB of RGB."""


@dataclass(frozen=True)
class Photo:
    """Pixels in memory."""

    pixels: RGB
    mpp: float | None = None

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return int(self.pixels.shape[1])

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
        upright = ImageOps.exif_transpose(file)
        return Photo(_to_rgb(upright, path))


def open_pillow(path: Path) -> Pillow.Image:
    """Open a file with our limit on its size instead of Pillow's, pixels not yet decoded."""
    Pillow.MAX_IMAGE_PIXELS = None  # ours follows; Pillow's own warns on stderr from 89 MP on
    file = Pillow.open(path)
    if file.width * file.height > MAX_PIXELS:
        megapixels = file.width * file.height / 1e6
        file.close()
        raise DataError(
            f"{path}: {megapixels:.0f} megapixels, at most {MAX_PIXELS / 1e6:.0f} can be decoded",
            hint="cut the image into parts",
        )
    return file


def _to_rgb(image: Pillow.Image, path: Path) -> RGB:
    if image.mode in ("F", "RGBa", "La"):
        raise DataError(f"{path}: pixels of mode {image.mode} have no known range")
    if image.mode.startswith("I"):
        grey = np.asarray(image).astype(np.int64)
        if grey.min() < 0 or grey.max() > 65535:
            raise DataError(f"{path}: 32-bit pixels have no known range")
        eight = ((grey + 128) // 257).astype(np.uint8)
        return np.repeat(eight[..., None], 3, axis=-1)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        ground = Pillow.new("RGBA", rgba.size, (255, 255, 255, 255))
        image = Pillow.alpha_composite(ground, rgba)
    return np.asarray(image.convert("RGB"))

"""Open an image file with the reader of its format."""

from collections.abc import Callable
from pathlib import Path

from cervseg.images.image import Image
from cervseg.images.photo import open_photo

READERS: dict[str, Callable[[Path], Image]] = {"photo": open_photo}
"""Format to a function that opens a file of it."""


def open_image(path: Path) -> Image:
    """Open an image file.

    Raises:
        DataError: It is missing, broken, or too large to decode.
    """
    return READERS["photo"](path)

"""An image of any kind: what it must offer, how files are found, how decoders fail."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from PIL import UnidentifiedImageError

from cervseg.arrays import RGB
from cervseg.errors import CervsegError, DataError
from cervseg.grid import Window

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
"""Of image files, in any case."""


class Image(Protocol):
    """A picture that is read in windows.

    Law: a window read alone equals the same window of the whole, bit for bit.
    """

    @property
    def height(self) -> int:
        """Rows of pixels."""
        ...

    @property
    def width(self) -> int:
        """Columns of pixels."""
        ...

    @property
    def mpp(self) -> float | None:
        """Micrometres per pixel, where the file says so."""
        ...

    def read(self, window: Window) -> RGB:
        """Read pixels, shape (window.height, window.width, 3)."""
        ...


def whole(image: Image) -> Window:
    """The window that is all of an image."""
    return Window(0, 0, image.height, image.width)


def find_images(folder: Path) -> list[Path]:
    """List the image files below a folder, sorted; hidden and unfinished ones are left out.

    Raises:
        DataError: There is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and not path.stem.endswith(".partial")
        and path.is_file()
    )


@contextmanager
def decoding(path: Path) -> Iterator[None]:
    """Turn whatever a foreign decoder raises into one line that names the file."""
    try:
        yield
    except CervsegError:
        raise
    except FileNotFoundError as exc:
        raise DataError(f"{path}: no such file") from exc
    except UnidentifiedImageError as exc:
        raise DataError(f"{path}: can't be decoded: not an image of a known kind") from exc
    except MemoryError as exc:
        raise DataError(f"{path}: can't be decoded: not enough memory") from exc
    except struct.error as exc:
        raise DataError(f"{path}: can't be decoded: the file is truncated") from exc
    except Exception as exc:  # Pillow raises anything on a broken file
        reason = str(exc).replace(str(path), "it").strip() or type(exc).__name__
        raise DataError(f"{path}: can't be decoded: {reason}") from exc

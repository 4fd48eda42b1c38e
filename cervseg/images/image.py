"""An image of any kind: what it must offer, how files are found, how decoders fail."""

import logging
import os
import re
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from json import JSONDecodeError
from pathlib import Path
from typing import Protocol

from PIL import UnidentifiedImageError

from cervseg.arrays import RGB
from cervseg.bounds import one_line, refuse_special
from cervseg.errors import CervsegError, DataError
from cervseg.grid import Window

log = logging.getLogger("cervseg")

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"),
    *(".btf", ".tf8", ".svs", ".ndpi", ".scn", ".bif", ".mrxs", ".vms", ".vmu", ".svslide", ".czi"),
    ".zarr",
)
"""Of images in a folder, in any case; what a file is, its first bytes decide."""

ZARR_FILES = frozenset({".zgroup", ".zarray", ".zattrs", "zarr.json"})
"""One of them makes a folder a Zarr, which is an image of its own."""

_WRITTEN = (
    {"dataset.json", "sources.csv"},
    {"scores.json", "scores.csv"},
    {"run.json", "config.yaml"},
    {"findings.csv", "fields.csv"},
)
"""Such files side by side say that we wrote a folder; others too have a `dataset.json`."""

_INFERENCE = re.compile(r"inference(_\d+_of_\d+)?\.json")


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

    @property
    def levels(self) -> tuple["Image", ...]:
        """Coarser copies that the file holds, largest first; none of a photograph or a view."""
        ...

    def working_set(self, height: int) -> int:
        """Bytes of decoded pixels that are kept, at most, while windows of a height are read.

        Read from left to right, such a row of windows decodes nothing twice. Pixels that are in
        memory anyway (a photograph's) do not count.
        """
        ...

    def read(self, window: Window) -> RGB:
        """Read pixels, shape (window.height, window.width, 3)."""
        ...


def whole(image: Image) -> Window:
    """The window that is all of an image."""
    return Window(0, 0, image.height, image.width)


def find_images(folder: Path) -> list[Path]:
    """List the images below a folder, sorted; hidden and unfinished ones are left out.

    A Zarr is a folder, and one image: nothing in it is looked at. Folders below that we wrote
    (`is_output`) hold masks and overlays, no photographs. Links to folders elsewhere are followed,
    each folder once. Of a folder within that can't be listed, a warning tells.

    Raises:
        DataError: There is no such folder, or it can't be listed.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")

    def tell(exc: OSError) -> None:
        if exc.filename == str(folder):
            raise _unreadable(folder, exc) from exc
        log.warning("%s: not looked at: %s", exc.filename, (exc.strerror or str(exc)).lower())

    found, seen = [], set()
    for root, folders, files in os.walk(folder, onerror=tell, followlinks=True):
        here = Path(root)
        if (place := here.resolve()) in seen or (here != folder and _leads_back(here, folder)):
            folders.clear()
            continue
        seen.add(place)
        if ZARR_FILES & {*files}:
            found.append(here)
            folders.clear()
            continue
        if here != folder and is_output(files):
            log.info("%s: not looked at, as a command of cervseg wrote it", here)
            folders.clear()
            continue
        zarrs = [name for name in folders if name.lower().endswith(".zarr")]
        folders[:] = sorted(n for n in folders if n not in zarrs and not _is_hidden(n))
        items = [here / name for name in zarrs + files]
        found += [path for path in items if _is_finished(path) and path.exists()]
    return sorted(found)


def is_output(files: Iterable[str]) -> bool:
    """Whether a folder of these files was written by one of our commands."""
    names = {*files}
    return any(map(_INFERENCE.fullmatch, names)) or any(marks <= names for marks in _WRITTEN)


def _leads_back(link: Path, folder: Path) -> bool:
    """Whether a link leads into the folder that is looked through anyway, or to one around it."""
    if not link.is_symlink():
        return False
    place, whole = link.resolve(), folder.resolve()
    return place.is_relative_to(whole) or whole.is_relative_to(place)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.endswith(".partial")


def _is_finished(path: Path) -> bool:
    hidden = path.name.startswith(".") or path.stem.endswith(".partial")
    return path.suffix.lower() in SUFFIXES and not hidden


def is_zarr(path: Path) -> bool:
    """Whether a folder is one image: a Zarr by its suffix or by its metadata."""
    named = path.suffix.lower() == ".zarr"
    return path.is_dir() and (named or any((path / name).exists() for name in ZARR_FILES))


def image_name(path: Path) -> str:
    """What an image is called by: its name without suffix, without `.ome` before that either."""
    if path.suffix.lower() not in SUFFIXES and path.is_dir():
        return path.name  # a Zarr that is not called so
    is_ome = path.suffix.lower() in (".tif", ".tiff", ".btf", ".tf8", ".zarr")
    ome = ".ome" if is_ome and path.stem.lower().endswith(".ome") else ""
    return path.stem[: len(path.stem) - len(ome)] or path.stem


def place_of(path: Path, name: str, *, root: Path, counts: Counter[str]) -> str:
    """A name, and before one that several images have the folders that the file lies in."""
    return path.relative_to(root).with_name(name).as_posix() if counts[name] > 1 else name


def _unreadable(path: Path, exc: OSError) -> DataError:
    """Tell in the system's words why a path can't be read."""
    return DataError(f"{path}: can't be read: {(exc.strerror or str(exc)).lower()}")


@contextmanager
def decoding(path: Path) -> Iterator[None]:
    """Turn whatever a foreign decoder raises into one line that names the file.

    Raises:
        DataError: Also for a pipe or a device, which might never end.
    """
    refuse_special(path)
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
    except (JSONDecodeError, UnicodeDecodeError) as exc:
        raise DataError(
            f"{path}: can't be decoded: its metadata is damaged: {one_line(exc)}"
        ) from exc
    except (TypeError, AttributeError, OverflowError) as exc:  # a text where a number should be
        raise DataError(f"{path}: can't be decoded: its header makes no sense") from exc
    except Exception as exc:  # Pillow raises anything on a broken file
        if isinstance(exc, OSError) and exc.strerror:  # of the system, not of Pillow
            raise _unreadable(path, exc) from exc
        reason = str(exc).replace(str(path), "it").strip() or type(exc).__name__
        raise DataError(f"{path}: can't be decoded: {one_line(reason)}") from exc

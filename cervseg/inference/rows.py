"""Pictures as rows that are read in pieces, from memory or from a file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cervseg.errors import DataError
from cervseg.files import output_error

PIECE = 1_000_000
"""Pixels that are worked on at once, about: four times as many took no less time."""


KEPT = 4_000_000
"""Pixels of a picture that is kept in memory, at most."""


class Rows(Protocol):
    """Rows of full width; law: rows read alone equal the same rows of the whole."""

    @property
    def height(self) -> int:
        """Rows of pixels."""
        ...

    @property
    def width(self) -> int:
        """Columns of pixels."""
        ...

    def read(self, top: int, height: int) -> NDArray[Any]:
        """Read rows, shape (height, width) or (height, width, channels)."""
        ...


class WritableRows(Rows, Protocol):
    """Rows that can be replaced."""

    def write(self, top: int, rows: NDArray[Any]) -> None:
        """Replace rows from `top` on."""
        ...


def pieces(rows: Rows, pixels: int = PIECE) -> Iterator[tuple[int, int]]:
    """Divide rows into pieces of about so many pixels: the top and the height of each."""
    step = max(1, pixels // rows.width)
    for top in range(0, rows.height, step):
        yield top, min(step, rows.height - top)


class RowArray:
    """Rows in memory."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return int(self.array.shape[0])

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return int(self.array.shape[1])

    def read(self, top: int, height: int) -> NDArray[Any]:
        """Read rows; a view, not to be written to."""
        return self.array[top : top + height]

    def write(self, top: int, rows: NDArray[Any]) -> None:
        """Replace rows from `top` on."""
        self.array[top : top + len(rows)] = rows


def keep_small(rows: Rows) -> Rows:
    """Read a small picture once: what is read several times would be computed as often."""
    if isinstance(rows, RowArray) or rows.height * rows.width > KEPT:
        return rows
    return RowArray(np.ascontiguousarray(np.concatenate([rows.read(*p) for p in pieces(rows)])))


class RowFile:
    """Rows in a raw file. Not mapped into memory: its pages would count as ours.

    Args:
        path: Made, or grown to size, if need be.
        shape: Height and width.
        dtype: Of a pixel.
    """

    def __init__(self, path: Path, shape: tuple[int, int], dtype: DTypeLike) -> None:
        self.path, (self.height, self.width), self.dtype = path, shape, np.dtype(dtype)
        try:
            self._file = path.open("r+b" if path.exists() else "w+b", buffering=0)
            self._file.truncate(self.height * self.width * self.dtype.itemsize)
        except OSError as exc:
            raise output_error(exc, path) from exc

    def read(self, top: int, height: int) -> NDArray[Any]:
        """Read rows, shape (height, width)."""
        rows = np.empty((height, self.width), self.dtype)
        self._file.seek(top * self.width * self.dtype.itemsize)
        view = rows.data.cast("B")
        while view:
            if not (count := self._file.readinto(view)):
                raise DataError(f"{self.path}: it has become shorter")
            view = view[count:]
        return rows

    def write(self, top: int, rows: NDArray[Any]) -> None:
        """Replace rows from `top` on."""
        view = np.ascontiguousarray(rows, self.dtype).data.cast("B")
        try:
            self._file.seek(top * self.width * self.dtype.itemsize)
            while view:
                view = view[self._file.write(view) :]
        except OSError as exc:
            raise output_error(exc, self.path) from exc

    def close(self) -> None:
        """Let the file go; it stays on disk."""
        self._file.close()

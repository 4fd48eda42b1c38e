"""Finished bands: kept in a list, or as files from which an interrupted run goes on."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from cervseg.arrays import Probabilities
from cervseg.errors import ConfigError, DataError, ModelError, OutputError
from cervseg.files import read_json, write_json, writing
from cervseg.grid import TileGrid
from cervseg.inference.bands import Band
from cervseg.reports import JSON

STEPS = 65535
"""A probability is kept as a whole number of steps, 2 bytes: off by at most 8e-6."""

_ROWS = 32
_DIGEST = 32  # bytes in front of each band file
_SKIPPED = 8  # bytes after them


def to_steps(probabilities: Probabilities) -> NDArray[np.uint16]:
    """Round probabilities to the steps in which they are kept.

    Raises:
        ModelError: One is no number.
    """
    steps = np.empty(probabilities.shape, "<u2")
    for top in range(0, len(steps), _ROWS):  # in pieces, as a band may be large
        rows = probabilities[top : top + _ROWS]
        if np.isnan(rows).any():
            raise ModelError("the model's answer is no number (nan): its weights are broken")
        steps[top : top + _ROWS] = np.rint(np.clip(rows, 0, 1) * np.float32(STEPS))
    return steps


class Parts(Protocol):
    """The bands of one image, by number; rows of steps in the model's grid.

    Args:
        grid: Of the tiles.
        channels: Of the probabilities.
    """

    grid: TileGrid
    channels: int

    def add(self, number: int, band: Band) -> None:
        """Keep a finished band."""
        ...

    def missing(self) -> list[int]:
        """Numbers of the bands that are not kept, ascending."""
        ...

    def read(self, top: int, height: int) -> NDArray[np.uint16]:
        """Read rows of steps, shape (height, grid.width, channels)."""
        ...

    def skipped(self) -> int:
        """Tiles of all bands that were not predicted."""
        ...


class Bands(NamedTuple):
    """What there is of the bands of an image.

    Args:
        missing: Numbers of those that are not kept, ascending.
        total: Bands in all.
    """

    missing: list[int]
    total: int


def _across(
    tops: list[int], *, top: int, height: int, read: Callable[[int, int, int], NDArray[np.uint16]]
) -> NDArray[np.uint16]:
    """Read one row or more, from one band or several: `read(number, first row, rows)`."""
    found, bottom = [], top + height
    number = int(np.searchsorted(tops, top, side="right")) - 1
    while top < bottom:
        end = min(bottom, tops[number + 1])
        found.append(read(number, top - tops[number], end - top))
        top, number = end, number + 1
    return found[0] if len(found) == 1 else np.concatenate(found)


class BandList:
    """Bands in memory."""

    def __init__(self, grid: TileGrid, channels: int) -> None:
        self.grid, self.channels = grid, channels
        self._tops = [*grid.starts(grid.height), grid.height]
        self._bands: dict[int, NDArray[np.uint16]] = {}
        self._skipped = 0

    def add(self, number: int, band: Band) -> None:
        """Keep a finished band."""
        self._bands[number] = to_steps(band.probabilities)
        self._skipped += band.skipped

    def missing(self) -> list[int]:
        """Numbers of the bands that are not kept, ascending."""
        return [n for n in range(len(self._tops) - 1) if n not in self._bands]

    def read(self, top: int, height: int) -> NDArray[np.uint16]:
        """Read rows of steps, shape (height, grid.width, channels)."""

        def rows(number: int, first: int, count: int) -> NDArray[np.uint16]:
            return self._bands[number][first : first + count]

        return _across(self._tops, top=top, height=height, read=rows)

    def skipped(self) -> int:
        """Tiles of all bands that were not predicted."""
        return self._skipped


class BandFolder:
    """Bands as files, each with a checksum, beside the fingerprint of what they depend on.

    Args:
        folder: `NAME.partial`; made if missing.
        grid: Of the tiles.
        channels: Of the probabilities.
        fingerprint: What must be the same for bands to go together.

    Raises:
        ConfigError: The folder holds bands of another model, image, grid or engine.
        OutputError: It can't be written.
    """

    def __init__(
        self, folder: Path, grid: TileGrid, channels: int, *, fingerprint: Mapping[str, JSON]
    ) -> None:
        self.folder, self.grid, self.channels = folder, grid, channels
        self._tops = [*grid.starts(grid.height), grid.height]
        record = folder / "bands.json"
        ours = {"grid": repr(grid), "channels": channels, **fingerprint}
        if record.is_file():
            _check(record, ours)
        else:
            write_json(record, ours)

    def path(self, number: int) -> Path:
        """The file of a band."""
        return self.folder / f"{number:05d}.band"

    def add(self, number: int, band: Band) -> None:
        """Write a band; it has its name only when it is whole."""
        rows = to_steps(band.probabilities)
        skipped = band.skipped.to_bytes(_SKIPPED, "little")
        with writing(self.path(number)) as partial, partial.open("wb") as file:
            file.write(_digest(skipped, rows.data.cast("B")))
            file.write(skipped)
            file.write(rows.data.cast("B"))

    def missing(self) -> list[int]:
        """Numbers of the bands that are not there, or whose checksum is wrong."""
        return [n for n in range(len(self._tops) - 1) if not self._is_whole(n)]

    def read(self, top: int, height: int) -> NDArray[np.uint16]:
        """Read rows of steps, shape (height, grid.width, channels).

        Raises:
            DataError: A band has vanished or become shorter.
        """
        return _across(self._tops, top=top, height=height, read=self._rows)

    def skipped(self) -> int:
        """Tiles of all bands that were not predicted."""
        total = 0
        for number in range(len(self._tops) - 1):
            with self._open(number) as file:
                file.seek(_DIGEST)
                total += int.from_bytes(file.read(_SKIPPED), "little")
        return total

    def _rows(self, number: int, first: int, count: int) -> NDArray[np.uint16]:
        rows = np.empty((count, self.grid.width, self.channels), "<u2")
        length = self.grid.width * self.channels * rows.itemsize
        with self._open(number) as file:
            file.seek(_DIGEST + _SKIPPED + first * length)
            if file.readinto(rows.data.cast("B")) != rows.nbytes:
                raise DataError(f"{file.name}: it has become shorter")
        return rows

    @contextmanager
    def _open(self, number: int) -> Iterator[FileIO]:
        try:
            with self.path(number).open("rb", buffering=0) as file:
                yield file
        except FileNotFoundError as exc:
            raise DataError(f"{self.path(number)}: this finished band has vanished") from exc
        except OSError as exc:
            reason = (exc.strerror or str(exc)).lower()
            raise DataError(f"{self.path(number)}: can't be read: {reason}") from exc

    def _is_whole(self, number: int) -> bool:
        rows = self._tops[number + 1] - self._tops[number]
        size = rows * self.grid.width * self.channels * np.dtype("<u2").itemsize
        try:
            content = self.path(number).read_bytes()
        except OSError:
            return False
        body = memoryview(content)[_DIGEST:]
        whole = len(body) == _SKIPPED + size
        return whole and content[:_DIGEST] == _digest(body[:_SKIPPED], body[_SKIPPED:])


def _digest(skipped: bytes | memoryview, rows: memoryview) -> bytes:
    digest = hashlib.blake2b(skipped, digest_size=_DIGEST)
    digest.update(rows)
    return digest.digest()


def _check(record: Path, ours: Mapping[str, JSON]) -> None:
    try:
        theirs = read_json(record, what="record of bands")
    except DataError as exc:
        raise OutputError(str(exc), hint="remove the folder, or add --overwrite") from exc
    wanted = json.loads(json.dumps(ours))
    changed = [key for key in wanted if theirs.get(key) != wanted[key]]
    if changed:
        raise ConfigError(
            f"{record.parent}: its bands were made with another {changed[0]}",
            hint="add --overwrite to begin anew, or restore what was changed",
        )

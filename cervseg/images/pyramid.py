"""Write masks and probabilities of any height as tiled, compressed OME-TIFF with levels."""

import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from io import FileIO
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tifffile
from numpy.typing import DTypeLike, NDArray

from cervseg.files import writing

TILE = 512
"""Side of the tiles of every level, pixels."""

SMALLEST = 1024
"""Levels are halved until no side is longer."""

STRIP = 64
"""Rows that are asked for at once: what makes them on the way may need much more than they."""

CLASSIC = 4_000_000_000
"""Bytes of pixels from which on the file is a BigTIFF: offsets of TIFF have 32 bits."""

BUFFER = 4_000_000
"""Bytes of tiles that are compressed in one go by all threads."""


class PixelRows(Protocol):
    """Full-width rows of a picture; `inference.rows.Rows` is one."""

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


def level_sizes(height: int, width: int) -> list[tuple[int, int]]:
    """Height and width of each level, the full size first.

    Each is half of the one before, rounded up, so that no pixel is left out.
    """
    sizes = [(height, width)]
    while max(sizes[-1]) > SMALLEST:
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    return sizes


def scratch_size(height: int, width: int, *, channels: int = 1, dtype: DTypeLike) -> int:
    """Bytes that `write_pyramid` needs in its scratch folder at most."""
    pixels = [rows * columns for rows, columns in level_sizes(height, width)]
    waiting = (channels - 1) * pixels[0] + channels * sum(pixels[1:2])
    return np.dtype(dtype).itemsize * max(waiting, channels * sum(pixels[1:3]))


def pyramid_memory(width: int, *, channels: int = 1, dtype: DTypeLike) -> int:
    """Bytes that `write_pyramid` takes at most, whatever the height; not those of reading the rows.

    Measured with widths of 20 000 and 40 000: 3.4 strips of a tile's height, and what it waits for.
    """
    row = width * np.dtype(dtype).itemsize
    return 17 * TILE * row // 5 + STRIP * row * channels + BUFFER


def write_pyramid(
    path: Path,
    rows: PixelRows,
    *,
    dtype: DTypeLike,
    identity: str,
    scratch: Path,
    palette: Sequence[int] | None = None,
    names: Sequence[str] = (),
    mpp: float | None = None,
    threads: int = 1,
) -> None:
    """Write a picture in tiles, with levels that are each half as large as the one before.

    The rows are read once, from the top. Memory follows from the width alone. The same rows and
    arguments make the same bytes. Tiles are compressed without loss by deflate, which TIFF readers
    know best. Several channels become planes. Levels of class indices (uint8) hold the class of
    most of four pixels, of equals the one with the largest index, so that small objects stay to be
    seen; other levels hold the mean of four.

    Args:
        path: The file, `NAME.ome.tiff`.
        rows: uint8 class indices, shape (height, width); or uint16 probabilities, shape (height,
            width) or (height, width, channels).
        dtype: Theirs.
        identity: What the file's UUID is made from, for files that belong to one another or may
            stand in one place: a name, not the content.
        scratch: A folder for nameless files, gone with the process: see `scratch_size`.
        palette: 768 bytes, red first; the mask is shown in these colours.
        names: Of the channels.
        mpp: Micrometres per pixel.
        threads: That compress.

    Raises:
        BudgetError: The disk is full.
        OutputError: The file can't be written.
    """
    kind, first = np.dtype(dtype), rows.read(0, 1)
    planes = first.shape[2] if first.ndim == 3 else 1
    sizes = level_sizes(rows.height, rows.width)
    big = sum(height * width for height, width in sizes) * planes * kind.itemsize > CLASSIC
    options = _options(kind, palette, mpp, threads=threads)
    options["metadata"] = _metadata(identity, path.name, names=names, mpp=mpp)
    with writing(path) as partial:
        scratch.mkdir(parents=True, exist_ok=True)
        with tifffile.TiffWriter(partial, bigtiff=big, ome=True) as writer:
            _write_levels(writer, rows, (planes, kind), scratch=scratch, options=options)


def _write_levels(
    writer: tifffile.TiffWriter,
    rows: PixelRows,
    form: tuple[int, np.dtype[Any]],
    *,
    scratch: Path,
    options: dict[str, Any],
) -> None:
    """Write the full size, and in doing so leave the next level behind; then that, and so on."""
    sizes, (planes, kind) = level_sizes(rows.height, rows.width), form
    first = {"metadata": options.pop("metadata"), "subifds": len(sizes) - 1}
    with ExitStack() as stack:

        def wait(size: tuple[int, int]) -> _Planes:
            file = stack.enter_context(tempfile.TemporaryFile(dir=scratch, buffering=0))
            return _Planes(file, size, kind)

        above: _Source = _FirstLevel(rows, kind, wait(sizes[0]))
        for number, size in enumerate(sizes):
            below = wait(sizes[number + 1]) if number + 1 < len(sizes) else None
            writer.write(
                _tiles(above, planes, size, below=below),
                shape=(planes, *size),
                dtype=kind,
                **({"metadata": None, "subfiletype": 1} if number else first),
                **options,
            )
            above.close()  # its room on the disk is free for the next
            above = below or above


def _options(
    dtype: np.dtype[Any], palette: Sequence[int] | None, mpp: float | None, *, threads: int
) -> dict[str, Any]:
    """What all levels have in common."""
    options: dict[str, Any] = {
        "tile": (TILE, TILE),
        "compression": "zlib",
        # A higher level makes masks a third smaller, probabilities 5 % in twice the time.
        "compressionargs": {"level": 1 if dtype.itemsize > 1 else 6},
        "predictor": dtype.itemsize > 1,  # neighbouring probabilities are alike, classes are equal
        "photometric": "minisblack" if palette is None else "palette",
        "software": False,
        "maxworkers": threads,
        "buffersize": BUFFER,
    }
    if palette is not None:
        options["colormap"] = np.array(palette, np.uint16).reshape(256, 3).T * 257
    if mpp is not None:
        options |= {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"}
    return options


def _metadata(
    identity: str, name: str, *, names: Sequence[str], mpp: float | None
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "axes": "CYX",
        "Name": name,
        "UUID": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, identity)}",  # a random one by default
    }
    if names:
        found["Channel"] = {"Name": list(names)}
    if mpp is not None:
        found |= {"PhysicalSizeX": mpp, "PhysicalSizeXUnit": "µm"}
        found |= {"PhysicalSizeY": mpp, "PhysicalSizeYUnit": "µm"}
    return found


class _Source(Protocol):
    """Planes of a level, read from the first row of the first plane on."""

    def read(self, plane: int, top: int, height: int) -> NDArray[Any]: ...

    def close(self) -> None: ...


class _Planes:
    """A level that waits in a nameless file."""

    def __init__(self, file: FileIO, size: tuple[int, int], dtype: np.dtype[Any]) -> None:
        self._file, (self._height, self._width), self._dtype = file, size, dtype

    def _seek(self, plane: int, top: int) -> None:
        self._file.seek((plane * self._height + top) * self._width * self._dtype.itemsize)

    def read(self, plane: int, top: int, height: int) -> NDArray[Any]:
        rows = np.empty((height, self._width), self._dtype)
        self._seek(plane, top)
        view = rows.data.cast("B")
        while view:  # a call moves at most 2 GB
            view = view[self._file.readinto(view) :]
        return rows

    def write(self, plane: int, top: int, rows: NDArray[Any]) -> None:
        self._seek(plane, top)
        view = np.ascontiguousarray(rows).data.cast("B")
        while view:
            view = view[self._file.write(view) :]

    def close(self) -> None:
        self._file.close()


class _FirstLevel:
    """The full size: the first channel comes from the rows, the others wait until it is done."""

    def __init__(self, rows: PixelRows, dtype: np.dtype[Any], waiting: _Planes) -> None:
        self._rows, self._dtype, self._waiting = rows, dtype, waiting

    def read(self, plane: int, top: int, height: int) -> NDArray[Any]:
        if plane:
            return self._waiting.read(plane - 1, top, height)
        strip = np.empty((height, self._rows.width), self._dtype)
        for start in range(0, height, STRIP):
            part = self._rows.read(top + start, min(STRIP, height - start))
            part = part if part.ndim == 3 else part[..., None]
            strip[start : start + STRIP] = part[..., 0]
            for other in range(1, part.shape[2]):
                self._waiting.write(other - 1, top + start, part[..., other])
        return strip

    def close(self) -> None:
        self._waiting.close()


def _tiles(
    above: _Source, planes: int, size: tuple[int, int], *, below: _Planes | None
) -> Iterator[NDArray[Any]]:
    """Yield the tiles of a level in the order of the file, and leave the next level behind."""
    height, width = size
    for plane in range(planes):
        for top in range(0, height, TILE):
            strip = above.read(plane, top, min(TILE, height - top))
            if below is not None:
                for start in range(0, len(strip), STRIP):
                    rows = halve(strip[start : start + STRIP])
                    below.write(plane, (top + start) // 2, rows)
            for left in range(0, width, TILE):
                yield strip[:, left : left + TILE]


def halve(pixels: NDArray[Any]) -> NDArray[Any]:
    """Take 2 x 2 pixels together, at an odd edge those that are there.

    Args:
        pixels: uint8 class indices: the most frequent, of equals the largest; or uint16: the mean,
            half rounded up. Shape (height, width).

    Returns:
        Shape (height / 2, width / 2), rounded up.
    """
    pixels = np.pad(pixels, [(0, length % 2) for length in pixels.shape], "edge")
    four = [pixels[i::2, j::2] for i in (0, 1) for j in (0, 1)]
    if pixels.dtype != np.uint8:
        total = sum(part.astype(np.uint32) for part in four)
        return np.asarray((total + 2) // 4, pixels.dtype)
    a, b, c, d = four
    a, b, c, d = np.minimum(a, b), np.maximum(a, b), np.minimum(c, d), np.maximum(c, d)
    least, most = np.minimum(a, c), np.maximum(b, d)
    low, high = np.maximum(a, c), np.minimum(b, d)
    low, high = np.minimum(low, high), np.maximum(low, high)
    # least <= low <= high <= most: equal ones are neighbours. Two pairs: the larger pair wins;
    # four different: the largest.
    pair = np.where(low == high, low, np.where(least == low, low, most))
    return np.asarray(np.where(high == most, most, pair))

"""A page of a TIFF file: which ones can be read in regions, and how a segment is decoded."""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffPage

from cervseg.errors import DataError
from cervseg.images.segments import MAX_SEGMENT, Samples

MIN_IS_BLACK, RED_GREEN_BLUE, YCBCR = 1, 2, 6
NONE, LZW, JPEG, PACKBITS, LZMA = 1, 5, 7, 32773, 34925
DEFLATE, ZSTD, JPEG2000 = {8, 32946}, {50000, 34926}, {33005, 34712}
COMPRESSIONS = {NONE, LZW, JPEG, PACKBITS, LZMA, *DEFLATE, *ZSTD, *JPEG2000}
ORIENTATION, EXTRA_SAMPLES = 274, 338
STRAIGHT_ALPHA = 2

STRIP_BYTES = 1_000_000
"""Uncompressed pixels in one piece are read in strips of about so many bytes."""


def is_sound(page: TiffPage) -> bool:
    """Whether the numbers that say how a page is cut are numbers, and not zero."""
    cut = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, 1)
    kinds = (
        page.compression,
        page.photometric,
        page.planarconfig,
        page.fillorder,
        page.subfiletype,
    )
    sizes = (page.imagelength, page.imagewidth, page.samplesperpixel, *cut)
    # A damaged tag gives several numbers, or a fraction.
    return all(isinstance(n, int) for n in (*kinds, *sizes)) and min(sizes) > 0


def refusal(page: TiffPage) -> str | None:
    """Why a page can't be read in regions; None if it can."""
    if page.dtype not in (np.uint8, np.uint16) or page.imagedepth != 1:
        return f"pixels of type {page.dtype}, {page.imagedepth} deep"
    if (page.compression, page.fillorder) not in {(kind, 1) for kind in COMPRESSIONS}:
        return f"compression {int(page.compression)}"
    if page.tags.valueof(ORIENTATION, 1) != 1:
        return "a turned image"
    if not _has_known_colours(page):
        return f"{page.samplesperpixel} samples of colour kind {int(page.photometric)}"
    rows, columns = segment_shape(page)
    if rows * columns > MAX_SEGMENT:
        return f"a piece of {columns} x {rows} pixels"
    return None


def _has_known_colours(page: TiffPage) -> bool:
    samples, kind = page.samplesperpixel, page.photometric
    if kind == RED_GREEN_BLUE:
        extra = page.tags.valueof(EXTRA_SAMPLES, ())
        extra = extra if isinstance(extra, tuple) else (extra,)
        with_alpha = samples == 4 and page.dtype == np.uint8 and extra == (STRAIGHT_ALPHA,)
        return with_alpha or samples == 3
    in_jpeg = kind == YCBCR and page.compression == JPEG and samples == 3
    return in_jpeg or (kind == MIN_IS_BLACK and samples == 1)


def segment_shape(page: TiffPage) -> tuple[int, int]:
    """Height and width of a tile or strip, pixels."""
    if page.is_tiled:
        return page.tilelength, page.tilewidth
    rows = min(page.rowsperstrip, page.imagelength)
    return (min(rows, _raw_rows(page)) if _is_one_piece(page) else rows), page.imagewidth


def _is_one_piece(page: TiffPage) -> bool:
    """Whether rows can be fetched from anywhere, as nothing is compressed."""
    is_raw = page.compression == NONE and page.predictor == 1 and not page.is_tiled
    return is_raw and page.rowsperstrip >= page.imagelength


def _raw_rows(page: TiffPage) -> int:
    return max(1, STRIP_BYTES // max(1, _row_bytes(page)))


def _row_bytes(page: TiffPage) -> int:
    samples = page.samplesperpixel if page.planarconfig == 1 else 1
    return page.imagewidth * samples * page.bitspersample // 8


@dataclass(frozen=True)
class PageSegments:
    """Where the tiles or strips of a page lie in its file, and what decodes them.

    Args:
        path: The file.
        size: Height and width of the image, pixels.
        segment: Height and width of a segment.
        planes: 1, or the samples if each has segments of its own.
        samples: In a segment, for each pixel.
        dtype: Of a sample.
        places: First byte and number of bytes of each segment.
        decode: Bytes and number of a segment to (height, width, samples).
    """

    path: Path
    size: tuple[int, int]
    segment: tuple[int, int]
    planes: int
    samples: int
    dtype: type[np.uint8] | type[np.uint16]
    places: NDArray[np.int64]
    decode: Callable[[bytes, int], Samples]

    def load(self, row: int, column: int) -> Samples:
        """Decode the segment of a row and column, all planes of it.

        Raises:
            DataError: It is truncated, or not of the size it should be.
        """
        down, across = (ceil(n / s) for n, s in zip(self.size, self.segment, strict=True))
        first = row * across + column
        planes = [self._decode(first + i * down * across, row, column) for i in range(self.planes)]
        return planes[0] if self.planes == 1 else np.concatenate(planes, axis=-1)

    def _decode(self, number: int, row: int, column: int) -> Samples:
        rows, columns = self.segment
        start, count = map(int, self.places[number])
        height = min(rows, self.size[0] - row * rows)
        width = min(columns, self.size[1] - column * columns)
        if count == 0:  # left out by the scanner: empty slide
            return np.full((height, width, self.samples), np.iinfo(self.dtype).max, self.dtype)
        with self.path.open("rb") as file:
            file.seek(start)
            data = file.read(count)
        if len(data) < count:
            raise DataError(f"{self.path}: can't be decoded: the file is truncated")
        pixels = self.decode(data, number)
        fits = pixels.ndim == 3 and pixels.shape[2] == self.samples and pixels.dtype == self.dtype
        if not fits or pixels.shape[0] < height or pixels.shape[1] < width:
            raise DataError(f"{self.path}: damaged, as piece {number} is of another size")
        return pixels[:height, :width]


def page_segments(path: Path, page: TiffPage) -> PageSegments:
    """Describe a page that `refusal` has nothing against, while its file is open.

    Raises:
        DataError: The file is shorter than its own tables say.
    """
    size, segment = (page.imagelength, page.imagewidth), segment_shape(page)
    planes = page.samplesperpixel if page.planarconfig == 2 else 1
    raw = _is_one_piece(page)
    expected = planes * ceil(size[0] / segment[0]) * ceil(size[1] / segment[1])
    starts, counts = (_raw_places(page, planes) if raw
                      else (page.dataoffsets, page.databytecounts))  # fmt: skip
    if min(len(starts), len(counts)) < expected:
        there = min(len(starts), len(counts))
        raise DataError(f"{path}: damaged, as {expected - there} of {expected} pieces are missing")
    places = np.array([starts[:expected], counts[:expected]], np.int64).T
    if places.min() < 0 or (places.sum(axis=1) > page.parent.filehandle.size).any():
        raise DataError(f"{path}: can't be decoded: the file is truncated")
    decode = _raw_decoder(page) if raw else _decoder(path, page, segment)
    return PageSegments(
        path=path,
        size=size,
        segment=segment,
        planes=planes,
        samples=page.samplesperpixel // planes,
        dtype=np.uint8 if page.dtype == np.uint8 else np.uint16,
        places=places,
        decode=decode,
    )


def _raw_places(page: TiffPage, planes: int) -> tuple[list[int], list[int]]:
    height, rows = page.imagelength, segment_shape(page)[0]
    starts, counts = [], []
    for offset in page.dataoffsets[:planes]:
        for top in range(0, height, rows):
            starts.append(offset + top * _row_bytes(page))
            counts.append(min(rows, height - top) * _row_bytes(page))
    return starts, counts


def _raw_decoder(page: TiffPage) -> Callable[[bytes, int], Samples]:
    samples = page.samplesperpixel if page.planarconfig == 1 else 1
    width, dtype = page.imagewidth, np.dtype(page.dtype).newbyteorder(page.parent.byteorder)

    def decode(data: bytes, number: int) -> Samples:
        pixels: Samples = np.frombuffer(data, dtype).reshape(-1, width, samples)
        return pixels.astype(dtype.newbyteorder("="), copy=False)

    return decode


def _decoder(
    path: Path, page: TiffPage, segment: tuple[int, int]
) -> Callable[[bytes, int], Samples]:
    foreign, tables = page.decode, page.jpegtables  # both need the file open, once
    limit = (segment[0] + 16) * (segment[1] + 16)

    def decode(data: bytes, number: int) -> Samples:
        if _coded_pixels(data) > limit:
            raise DataError(f"{path}: damaged, as piece {number} is of another size")
        pixels: Samples = np.asarray(foreign(data, number, jpegtables=tables)[0])
        return pixels.reshape(pixels.shape[-3:])  # of (depth, height, width, samples), depth is 1

    return decode


_STANDALONE = {0x01, *range(0xD0, 0xDA)}
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


def _coded_pixels(data: bytes) -> int:
    """Samples that a JPEG or JPEG 2000 says it holds, 0 of anything else.

    A decoder believes it and asks for as much memory.
    """
    if match := re.search(rb"\xff\x4f\xff\x51.{4}(.{16})", data[:4096], re.DOTALL):
        right, bottom, left, top = struct.unpack(">4I", match[1])
        return int(max(0, right - left) * max(0, bottom - top))
    place = 2 if data[:2] == b"\xff\xd8" else len(data)
    while (place := data.find(b"\xff", place)) >= 0 and place + 9 <= len(data):
        marker = data[place + 1]
        if marker in _FRAMES:
            height, width = struct.unpack(">2H", data[place + 5 : place + 9])
            return int(height * width)
        if marker in (0x00, 0xFF) or marker in _STANDALONE:
            place += 1 if marker == 0xFF else 2
        else:
            place += 2 + int.from_bytes(data[place + 2 : place + 4])
    return 0

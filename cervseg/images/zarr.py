"""OME-Zarr: an image in a folder of chunks."""

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cervseg.arrays import RGB
from cervseg.errors import ConfigError, DataError
from cervseg.images.chunks import open_store
from cervseg.images.image import ZARR_FILES, decoding
from cervseg.images.scale import from_lengths
from cervseg.images.segments import MAX_SEGMENT, Segmented, is_reduced, to_rgb
from cervseg.images.slide import EXTRA
from cervseg.reports import JSON

if TYPE_CHECKING:
    import zarr

AXES = ("t", "c", "z", "y", "x")

BLOSC = struct.Struct("<12xI")
"""What a chunk compressed by Blosc begins with; the number is its length in bytes."""


def open_zarr(path: Path) -> Segmented:
    """Open an OME-Zarr (NGFF 0.4 and 0.5) of 8 or 16 bits with one channel or three.

    Of several times and depths the first is read. A chunk that is not there has the fill value:
    the format can't tell one that was lost.

    Raises:
        DataError: It is missing, broken, or no image of this kind.
        ConfigError: `zarr` is not installed.
    """
    try:
        import zarr
    except ImportError as exc:
        raise ConfigError(f"{path}: OME-Zarr needs the library zarr", hint=EXTRA) from exc
    with decoding(path):
        if not path.exists():
            raise FileNotFoundError
        if not any((path / name).exists() for name in ZARR_FILES):
            raise DataError(f"{path}: no Zarr, as it holds none of {', '.join(sorted(ZARR_FILES))}")
        group = zarr.open(open_store(path), mode="r")
        if not isinstance(group, zarr.Group):
            raise DataError(f"{path}: an array without OME's metadata, no OME-Zarr")
        group, image = _find_image(path, group)
        axes = _axes(path, image)
        images: list[Segmented] = []
        for dataset in _records(image, "datasets"):
            array = group.get(str(dataset.get("path")))
            if not isinstance(array, zarr.Array):
                raise DataError(f"{path}: damaged, as its level {dataset.get('path')!r} is missing")
            mpp = _mpp(image, dataset, axes)
            level = _level(path, array, axes=[str(axis.get("name")) for axis in axes], mpp=mpp)
            if not images or _fits(level, images):
                images.append(level)
        if not images:
            raise DataError(f"{path}: OME's metadata names no array")
        return replace(images[0], levels=tuple(images[1:]))


def _find_image(path: Path, group: "zarr.Group") -> tuple["zarr.Group", Mapping[str, JSON]]:
    """The group that holds the first image, and what OME says of it."""
    for place in (group, group.get("0")):  # converters of other formats put images into 0, 1, …
        attributes = {} if place is None else place.attrs.asdict()
        ome = attributes.get("ome")
        images = _records(ome if isinstance(ome, dict) else attributes, "multiscales")
        if images and place is not None and not hasattr(place, "shape"):
            return place, images[0]
    raise DataError(f"{path}: without 'multiscales' in its metadata, no OME-Zarr")


def _records(record: Mapping[str, JSON], key: str) -> list[Mapping[str, JSON]]:
    """A list of JSON objects; whatever else stands there counts as none."""
    values = record.get(key)
    found = values if isinstance(values, list) else []
    return [value for value in found if isinstance(value, dict)]


def _axes(path: Path, image: Mapping[str, JSON]) -> list[Mapping[str, JSON]]:
    axes = _records(image, "axes")
    names = [str(axis.get("name")) for axis in axes]
    if names[-2:] != ["y", "x"] or len({*names}) < len(names) or not {*names} <= {*AXES}:
        raise DataError(f"{path}: axes {', '.join(names) or 'unknown'}; y, x at the end expected")
    return axes


def _mpp(
    image: Mapping[str, JSON], dataset: Mapping[str, JSON], axes: Sequence[Mapping[str, JSON]]
) -> float | None:
    """Micrometres per pixel: the scales of a level and of the image, times the axes' units."""
    sizes = [1.0, 1.0]  # across, down
    known = False
    for record in (dataset, image):
        for transform in _records(record, "coordinateTransformations"):
            scale = transform.get("scale")
            if isinstance(scale, list) and len(scale) == len(axes):
                numbers = [float(n) if isinstance(n, int | float) else 0.0 for n in scale[:-3:-1]]
                sizes = [size * n for size, n in zip(sizes, numbers, strict=True)]
                known = True
    units = [axis.get("unit") for axis in axes[:-3:-1]]
    return from_lengths(sizes, units) if known and all(units) else None


def _level(
    path: Path, array: "zarr.Array[Any]", *, axes: list[str], mpp: float | None
) -> Segmented:
    """One array as an image."""
    _refuse_unreadable(path, array, axes)
    height, width = array.shape[-2:]
    segment = min(array.chunks[-2], height), min(array.chunks[-1], width)
    load = _loader(path, array, axes)
    return Segmented(path, height, width, segment=segment, load=load, mpp=mpp)


def _refuse_unreadable(path: Path, array: "zarr.Array[Any]", axes: list[str]) -> None:
    shape = tuple(array.shape)
    if len(shape) != len(axes) or 0 in shape:
        raise DataError(f"{path}: an array of shape {shape} for axes {', '.join(axes)}")
    if array.dtype not in (np.uint8, np.uint16):
        raise DataError(f"{path}: pixels of type {array.dtype}, 8 or 16 bits expected")
    channels = shape[axes.index("c")] if "c" in axes else 1
    if channels not in (1, 3):
        raise DataError(f"{path}: {channels} channels, 1 or 3 expected")
    if prod(array.chunks) > MAX_SEGMENT * channels:
        raise DataError(
            f"{path}: chunks of {prod(array.chunks) / 1e6:.0f} megapixels are too large"
        )


def _loader(path: Path, array: "zarr.Array[Any]", axes: list[str]) -> Callable[[int, int], RGB]:
    (height, width), (rows, columns) = array.shape[-2:], array.chunks[-2:]
    before = tuple(slice(None) if name == "c" else 0 for name in axes[:-2])
    is_blosc = "blosc" in str(array.compressors).lower() and array.shards is None
    counts = zip(axes[:-2], array.cdata_shape, strict=False)
    chunks = [range(count) if name == "c" else range(1) for name, count in counts]

    def load(row: int, column: int) -> RGB:
        for place in product(*chunks, [row], [column]) if is_blosc else ():
            _refuse_cut(path, path / array.path / array.metadata.encode_chunk_key(place))
        top, left = row * rows, column * columns
        region = (slice(top, min(top + rows, height)), slice(left, min(left + columns, width)))
        pixels = np.asarray(array[(*before, *region)])
        return to_rgb([pixels[..., None] if pixels.ndim == 2 else np.moveaxis(pixels, 0, -1)])

    return load


def _refuse_cut(path: Path, file: Path) -> None:
    """Refuse a chunk that is shorter than it says: Blosc would read on in memory beyond it."""
    if not file.exists():
        return  # it has the fill value
    with file.open("rb") as chunk:
        start = chunk.read(BLOSC.size)
    if len(start) < BLOSC.size or BLOSC.unpack(start)[0] != file.stat().st_size:
        raise DataError(f"{path}: damaged, as chunk {file.relative_to(path)} is truncated")


def _fits(level: Segmented, larger: Sequence[Segmented]) -> bool:
    full = larger[0]
    smaller = level.height < larger[-1].height
    return smaller and is_reduced((level.height, level.width), (full.height, full.width))

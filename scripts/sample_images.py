"""Small images of every kind that is read in regions: for the tests and for the fuzzer.

    python scripts/sample_images.py FOLDER

writes one of each. Slides of real scanners are not among them: Aperio's pages are imitated.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile
import zarr
from numpy.typing import NDArray

from cervseg.arrays import RGB

HEIGHT, WIDTH = 211, 307
MPP = 0.25

Options = Any  # of tifffile's writer


def smooth(height: int = HEIGHT, width: int = WIDTH) -> RGB:
    """Draw soft colours, which JPEG keeps nearly, shape (height, width, 3)."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 17 + k) + np.cos(y / (13 + k)) for k in range(3)]
    return np.asarray(127 + 60 * np.stack(waves, -1), dtype=np.uint8)


def coarser(pixels: NDArray[Any], times: int) -> NDArray[Any]:
    """Leave every second pixel, so many times; sides are rounded down, as scanners do."""
    for _ in range(times):
        pixels = pixels[: len(pixels) // 2 * 2 : 2, : pixels.shape[1] // 2 * 2 : 2]
    return np.ascontiguousarray(pixels)


def write_tiled(path: Path, pixels: RGB, **options: Options) -> None:
    """Write a plain tiled TIFF."""
    tifffile.imwrite(path, pixels, **{"photometric": "rgb", "tile": (64, 48), **options})


def write_ome(
    path: Path,
    pixels: RGB,
    *,
    levels: int = 2,
    axes: str = "YXS",
    metadata: dict[str, Any] | None = None,
    **options: Options,
) -> None:
    """Write an OME-TIFF with its levels in SubIFDs; `axes` may put the channels first."""
    options = {"photometric": "rgb", "tile": (64, 48), **options}
    sizes = {"PhysicalSizeX": MPP, "PhysicalSizeXUnit": "µm"}
    with tifffile.TiffWriter(path, ome=True) as writer:
        for level in range(levels + 1):
            small = coarser(pixels, level)
            small = small if axes == "YXS" else np.ascontiguousarray(np.moveaxis(small, -1, 0))
            if level:
                writer.write(small, subfiletype=1, metadata=None, **options)
            else:
                about = {"axes": axes, **sizes, **(metadata or {})}
                writer.write(small, subifds=levels, metadata=about, **options)


def write_svs(path: Path, pixels: RGB, **options: Options) -> None:
    """Write pages as Aperio's scanners leave them: image, thumbnail, levels, label, overview."""
    about = f"Aperio Image Library v11.2.1\r\n{pixels.shape[1]}x{pixels.shape[0]}|MPP = {MPP}"
    options = {"photometric": "rgb", "compression": "jpeg", "metadata": None, **options}
    tiles = {"tile": (64, 64), **options}
    strips = {**options, "rowsperstrip": 16}
    label = np.full((40, 40, 3), 9, np.uint8)
    with tifffile.TiffWriter(path) as writer:
        writer.write(pixels, description=about, **tiles)
        writer.write(coarser(pixels, 2), description=about, **strips)
        for level in (1, 2):
            writer.write(coarser(pixels, level), description=about, **tiles)
        writer.write(label, description="Aperio\nlabel 40x40", subfiletype=1, **strips)
        writer.write(label, description="Aperio\nmacro 40x40", subfiletype=9, **strips)


def write_zarr(
    path: Path,
    pixels: RGB,
    *,
    version: str = "0.4",
    levels: int = 2,
    unit: str | None = "micrometer",
    **options: Options,
) -> None:
    """Write an OME-Zarr with axes t, c, z, y, x."""
    group = zarr.create_group(path, zarr_format=2 if version == "0.4" else 3)
    datasets = []
    for level in range(levels + 1):
        planes = np.moveaxis(coarser(pixels, level), -1, 0)[None, :, None]
        group.create_array(str(level), data=planes, **{"chunks": (1, 1, 1, 64, 48), **options})
        scale = {"type": "scale", "scale": [1.0, 1.0, 1.0, MPP * 2**level, MPP * 2**level]}
        datasets.append({"path": str(level), "coordinateTransformations": [scale]})
    axes = [{"name": "t"}, {"name": "c", "type": "channel"}, {"name": "z"}]
    axes += [{"name": name, **({"unit": unit} if unit else {})} for name in "yx"]
    image = {"version": version, "axes": axes, "datasets": datasets}
    found: dict[str, Any] = {"multiscales": [image]}
    group.attrs.update(found if version == "0.4" else {"ome": {"version": version, **found}})


class Kind(NamedTuple):
    """A sort of file.

    Args:
        reader: Name of the reader that reads it.
        suffix: Of the file.
        write: Writes pixels to a path.
        lossless: Whether they come back as they were.
        levels: Coarser copies in it.
    """

    reader: str
    suffix: str
    write: Callable[[Path, RGB], None]
    lossless: bool = True
    levels: int = 0


def _tiled(**options: Options) -> Callable[[Path, RGB], None]:
    return lambda path, pixels: write_tiled(path, pixels, **options)


def _ome(**options: Options) -> Callable[[Path, RGB], None]:
    return lambda path, pixels: write_ome(path, pixels, **options)


def _zarr(**options: Options) -> Callable[[Path, RGB], None]:
    return lambda path, pixels: write_zarr(path, pixels, **options)


_IN_STRIPS = {"levels": 0, "tile": None}

KINDS: dict[str, Kind] = {
    "photo": Kind("photo", "tif", _tiled(tile=None)),
    "tiled": Kind("tiff", "tif", _tiled()),
    "tiled-jpeg": Kind("tiff", "tif", _tiled(tile=(64, 64), compression="jpeg"), lossless=False),
    "bigtiff-lzw": Kind("tiff", "btf", _tiled(compression="lzw", bigtiff=True)),
    "big-endian": Kind("tiff", "tif", _tiled(compression="packbits", byteorder=">")),
    "strips-zstd": Kind("tiff", "ome.tif", _ome(**_IN_STRIPS, rowsperstrip=7, compression="zstd")),
    "one-strip": Kind("tiff", "ome.tif", _ome(**_IN_STRIPS, rowsperstrip=HEIGHT)),
    "ome": Kind("tiff", "ome.tif", _ome(compression="deflate", predictor=True), levels=2),
    "ome-pages": Kind("tiff", "ome.tif", _ome(axes="CYX", photometric="minisblack"), levels=2),
    "ome-planes": Kind("tiff", "ome.tif", _ome(axes="SYX", planarconfig="separate"), levels=2),
    "svs": Kind("tiff", "svs", write_svs, lossless=False, levels=2),
    "svs-openslide": Kind("slide", "svs", write_svs, lossless=False),
    "tiff-openslide": Kind("slide", "tif", _tiled(tile=(64, 64), compression="deflate")),
    "zarr-0.4": Kind("zarr", "zarr", _zarr(), levels=2),
    "zarr-0.5": Kind("zarr", "zarr", _zarr(version="0.5"), levels=2),
    "zarr-shards": Kind("zarr", "zarr", _zarr(version="0.5", shards=(1, 3, 1, 128, 96)), levels=2),
}
"""Name to what is written under it."""


def write_samples(folder: Path) -> list[Path]:
    """Write one of each kind."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, kind in KINDS.items():
        paths.append(folder / f"{name}.{kind.suffix}")
        kind.write(paths[-1], smooth())
    return paths


def main(argv: list[str] | None = None) -> int:
    """Write the samples and name them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    print(*write_samples(parser.parse_args(argv).folder), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

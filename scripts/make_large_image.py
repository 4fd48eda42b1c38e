"""Write a textured tiled TIFF of any size, with cell-like blobs everywhere, for measurements.

    python scripts/make_large_image.py HEIGHT WIDTH OUT.tif [--tile 512] [--compression jpeg]
        [--levels 1] [--glass 0] [--mpp 0.25] [--seed 0]

A pool of tiles is drawn; each place of the image takes one of them, mirrored, turned,
brightened or dimmed, so that no two neighbours are alike. Memory depends on the width alone (a row
of tiles), and the same arguments make the same file. Levels are halves of halves, mean of 2 x 2,
one page after another, as OpenSlide and tifffile read them. `--glass` leaves a share of the tiles
empty, in patches.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from cervseg.arrays import RGB

POOL = 24
"""Tiles that are drawn, of cells and of glass each."""

GLASS = np.array([204, 236, 250], np.float32)
STAINS = np.array([[0.35, 0.2, 0.1], [0.12, 0.3, 0.15], [0.2, 0.32, 0.1]], np.float32)
NUCLEUS = np.array([0.6, 0.6, 0.35], np.float32)
PATCH = 6
"""Tiles along a side of a patch of empty glass."""


def draw_tile(rng: np.random.Generator, side: int, *, cells: bool) -> RGB:
    """A tile of cells, or of empty glass, shape (side, side, 3)."""
    density = np.zeros((side, side, 3), np.float32)
    for _ in range(max(1, side * side // 9000) if cells else 0):
        y, x = rng.integers(0, side, 2).tolist()
        radius, angle = int(rng.integers(22, 48)), float(rng.uniform(0, 180))
        top, left = max(0, y - radius), max(0, x - radius)
        here = density[top : y + radius + 1, left : x + radius + 1]
        stain = STAINS[rng.integers(len(STAINS))] * rng.uniform(0.4, 0.8)
        for size, colour in ((1.0, stain), (rng.uniform(0.2, 0.5), NUCLEUS * 0.7)):
            axes = (int(radius * size), int(radius * size * 0.8))
            blob = np.zeros(here.shape[:2], np.uint8)
            cv2.ellipse(blob, (x - left, y - top), axes, angle, 0, 360, 1, -1)
            here += blob[..., None] * colour.astype(np.float32)
    grain = cv2.GaussianBlur(rng.normal(0, 1, (side, side)).astype(np.float32), (0, 0), 1.5)
    strength = 0.12 if cells else 0.006
    density = cv2.GaussianBlur(density, (0, 0), 1.2) + strength * grain[..., None]
    light = GLASS * 10 ** -np.maximum(density, 0)
    noisy = light + rng.normal(0, 2, light.shape)
    return np.asarray(np.clip(noisy, 0, 255), np.uint8)


class Mosaic:
    """An image that is made tile by tile: a pure function of its arguments and the place."""

    def __init__(self, side: int, *, glass: float, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.side, self.glass, self.seed = side, glass, seed
        self.pools = [
            [draw_tile(rng, side, cells=cells) for _ in range(POOL)] for cells in (True, False)
        ]

    def tile(self, row: int, column: int) -> RGB:
        """The tile of a place, shape (side, side, 3)."""
        patch = np.random.default_rng((self.seed, 1, row // PATCH, column // PATCH))
        rng = np.random.default_rng((self.seed, 2, row, column))
        pool = self.pools[int(patch.random() < self.glass)]
        picture = pool[rng.integers(POOL)]
        picture = np.rot90(picture, int(rng.integers(4)))[:: 1 - 2 * int(rng.integers(2))]
        lighter = np.full(4, rng.integers(-6, 6), np.float64)
        return np.asarray(cv2.add(np.ascontiguousarray(picture), lighter), np.uint8)


def halve(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Mean of 2 x 2 pixels; an odd last row or column is left out."""
    height, width = (n // 2 for n in pixels.shape[:2])
    even = np.ascontiguousarray(pixels[: 2 * height, : 2 * width])
    return np.asarray(cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def level_tiles(
    strips: Iterator[RGB], side: int, below: BinaryIO | None
) -> Iterator[NDArray[np.uint8]]:
    """Cut strips of a level into tiles; their halves go into a scratch file."""
    for strip in strips:
        if below is not None:
            below.write(halve(strip).tobytes())
        for left in range(0, strip.shape[1], side):
            yield np.ascontiguousarray(strip[:, left : left + side])


def drawn_strips(mosaic: Mosaic, height: int, width: int) -> Iterator[RGB]:
    """The full size, a row of tiles at a time."""
    side = mosaic.side
    for top in range(0, height, side):
        row = [mosaic.tile(top // side, column) for column in range(-(-width // side))]
        yield np.concatenate(row, axis=1)[: height - top, :width]


def stored_strips(file: BinaryIO, size: tuple[int, int], side: int) -> Iterator[RGB]:
    """A level that waits in a scratch file, as many rows at a time as tiles are high."""
    file.seek(0)
    height, width = size
    for top in range(0, height, side):
        rows = min(side, height - top)
        strip = np.frombuffer(file.read(rows * width * 3), np.uint8)
        yield strip.reshape(rows, width, 3)


def write_image(
    path: Path,
    size: tuple[int, int],
    mosaic: Mosaic,
    *,
    compression: Literal["jpeg", "deflate"] = "jpeg",
    levels: int = 1,
    mpp: float | None = None,
) -> None:
    """Write the image with its levels."""
    is_jpeg = compression == "jpeg"
    options: dict[str, Any] = {
        "tile": (mosaic.side, mosaic.side),
        "photometric": "rgb",  # tifffile itself stores JPEG as YCbCr
        "compression": "jpeg" if is_jpeg else "zlib",
        "compressionargs": {"level": 85} if is_jpeg else {"level": 1},
        "metadata": None,
        "software": False,
        "buffersize": 16_000_000,
    }
    if mpp is not None:
        options |= {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"}
    strips = drawn_strips(mosaic, *size)
    above: BinaryIO | None = None
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for level in range(levels):
            last = level + 1 == levels
            below = None if last else tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115
            writer.write(
                level_tiles(strips, mosaic.side, below),
                shape=(*size, 3),
                dtype=np.uint8,
                subfiletype=int(level > 0),
                **options,
            )
            if above is not None:
                above.close()
            if below is not None:
                size = (size[0] // 2, size[1] // 2)
                strips, above = stored_strips(below, size, mosaic.side), below
    if above is not None:
        above.close()


def main() -> None:
    """Write the file and say how large it is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("height", type=int)
    parser.add_argument("width", type=int)
    parser.add_argument("out", type=Path)
    parser.add_argument("--tile", type=int, default=512, help="side, a multiple of 16 pixels")
    parser.add_argument("--compression", choices=["jpeg", "deflate"], default="jpeg")
    parser.add_argument("--levels", type=int, default=1, help="of the pyramid, the full size too")
    parser.add_argument("--glass", type=float, default=0.0, help="share of empty tiles, 0 to 1")
    parser.add_argument("--mpp", type=float, help="micrometres per pixel")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.tile % 16 or options.tile < 16:
        parser.error(f"--tile {options.tile} is no multiple of 16")
    if min(options.height, options.width) < 2 ** max(0, options.levels - 1) or options.levels < 1:
        parser.error(f"--levels {options.levels}: 1 or more, none smaller than a pixel")
    mosaic = Mosaic(options.tile, glass=options.glass, seed=options.seed)
    write_image(
        options.out,
        (options.height, options.width),
        mosaic,
        compression=options.compression,
        levels=options.levels,
        mpp=options.mpp,
    )
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()

"""Measure what skipping empty glass saves, and that it loses no annotated pixel.

    python scripts/measure_background.py --data FOLDER [--tile 128 256 512] [--scale 1 0.5 0.25]

FOLDER holds, at any depth, folders `images` and `masks` side by side whose files have one stem.
Every image is cut into tiles, neighbours sharing half a tile, and each is judged as `tiled-infer`
with `skip_background: true` does. A table on stdout: tiles, the share skipped, and the annotated
pixels that lie in skipped tiles (a mask's value of 128 and more). Exit code 1 if there are any.

The last lines are of a drawn slide, for what no field shows: four fifths of it are empty glass,
uneven and noisy, and its cells are paler than any of the fields' (density 0.12 at most). They don't
count for the exit code.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from cervseg.arrays import RGB
from cervseg.grid import TileGrid
from cervseg.images.image import find_images
from cervseg.images.photo import Photo, open_photo
from cervseg.images.views import Padded, Scaled, scale_image
from cervseg.inference.background import background_judge


class Counts(NamedTuple):
    """Tiles of an image, those skipped, and the annotated pixels in these and in all."""

    tiles: int
    skipped: int
    lost: int
    annotated: int

    def plus(self, other: "Counts") -> "Counts":
        """Sums."""
        return Counts(*(a + b for a, b in zip(self, other, strict=True)))


def find_pairs(data: Path) -> Iterator[tuple[Path, Path]]:
    """Images and masks of every folder that has both."""
    for images in sorted(data.rglob("images")):
        masks = images.parent / "masks"
        if images.is_dir() and masks.is_dir():
            by_stem = {path.stem: path for path in find_images(masks)}
            for path in find_images(images):
                if path.stem in by_stem:
                    yield path, by_stem[path.stem]


def read_annotated(path: Path) -> NDArray[np.bool_]:
    """Where a mask is bright, shape (height, width)."""
    with Pillow.open(path) as file:
        return np.asarray(np.asarray(file.convert("RGB")).max(axis=-1) >= 128)


def reduce_any(annotated: NDArray[np.bool_], view: Scaled) -> NDArray[np.bool_]:
    """Pixels of a view in which any annotated one lies."""
    found = np.zeros((view.height, view.width), np.bool_)
    rows, columns = np.nonzero(annotated)
    height, width = annotated.shape
    found[rows * view.height // height, columns * view.width // width] = True
    return found


def measure(photo: Photo, annotated: NDArray[np.bool_], *, tile: int, scale: float) -> Counts:
    """Judge every tile of an image."""
    view = scale_image(photo, scale, scale)
    height, width = (TileGrid.padded(n, tile) for n in (view.height, view.width))
    marked = np.zeros((height, width), np.bool_)
    marked[: view.height, : view.width] = reduce_any(annotated, view)
    padded, is_background = Padded(view, height, width), background_judge(view)
    skipped, tiles, count = np.zeros_like(marked), 0, 0
    for window in TileGrid(height, width, tile, tile // 2):
        tiles += 1
        if is_background(padded.read(window)):
            count += 1
            skipped[window.top : window.bottom, window.left : window.right] = True
    return Counts(tiles, count, int((marked & skipped).sum()), int(marked.sum()))


def draw_slide(side: int = 4096, seed: int = 0) -> tuple[RGB, NDArray[np.bool_]]:
    """Glass, lit unevenly, and pale cells with a faint nucleus in its upper left part."""
    rng = np.random.default_rng(seed)
    density = np.zeros((side, side, 3), np.float32)
    annotated = np.zeros((side, side), np.uint8)
    reach = int(side * 0.2**0.5)
    for y, x in rng.integers(90, reach - 90, (40, 2)).tolist():
        radius = int(rng.integers(40, 80))
        for part, colour in ((radius, (0.05, 0.12, 0.03)), (radius // 5, (0.35, 0.35, 0.2))):
            blob = np.zeros((side, side), np.uint8)
            cv2.circle(blob, (x, y), part, 1, -1)
            density[blob > 0] = np.maximum(density[blob > 0], colour)
            annotated |= blob
    ramp = np.linspace(0, 0.03, side, dtype=np.float32)  # the lamp is 7 % dimmer at one side
    light = np.array([204, 236, 254]) * 10 ** -(
        cv2.GaussianBlur(density, (0, 0), 1) + ramp[:, None]
    )
    noisy = light + rng.normal(0, 3, light.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), annotated > 0


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tile", type=int, nargs="+", default=[128, 256, 512])
    parser.add_argument("--scale", type=float, nargs="+", default=[1.0, 0.5, 0.25])
    options = parser.parse_args()
    cv2.setNumThreads(1)
    sums: dict[tuple[str, float, int], Counts] = {}
    for image, mask in find_pairs(options.data):
        photo, annotated = open_photo(image), read_annotated(mask)
        folder = str(image.parent.parent.relative_to(options.data))
        for scale in options.scale:
            for tile in options.tile:
                found = measure(photo, annotated, tile=tile, scale=scale)
                key = (folder, scale, tile)
                sums[key] = found.plus(sums[key]) if key in sums else found
    failed = any(found.lost for found in sums.values())
    pixels, annotated = draw_slide()
    for tile in options.tile:
        key = ("drawn, four fifths empty", 1.0, tile)
        sums[key] = measure(Photo(pixels), annotated, tile=tile, scale=1.0)
    print(f"{'images':32} scale  tile   tiles  skipped  annotated pixels  of these lost")
    for (folder, scale, tile), found in sums.items():
        share = f"{found.skipped / found.tiles:.1%}"
        print(
            f"{folder:32} {scale:5g} {tile:5} {found.tiles:7} {share:>8} {found.annotated:17} "
            f"{found.lost:14}"
        )
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())

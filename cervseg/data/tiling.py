"""Cut a field into tiles at the model's scale."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from cervseg.arrays import RGB, Mask
from cervseg.classes import BACKGROUND, IGNORE
from cervseg.grid import TileGrid, Window
from cervseg.images.image import Image, whole
from cervseg.images.photo import Photo
from cervseg.images.resampling import Interpolation, scale_mask
from cervseg.images.views import Padded, fit_image, scale_image


class Tile(NamedTuple):
    """A tile as cut.

    Args:
        image: Shape (size, size, 3).
        mask: Shape (size, size); 255 in the padding.
        window: Where it lies in the field at `scale`, before padding.
        kind: A window, or the whole field reduced.
        scale: Model pixels per full-size pixel.
        padding: Share of its pixels that are reflected.
    """

    image: RGB
    mask: Mask
    window: Window
    kind: Literal["window", "reduced"]
    scale: float
    padding: float


@dataclass(frozen=True)
class Tiling:
    """How a field is cut.

    Args:
        size: Side of a tile, pixels.
        overlap: Pixels that neighbours share.
        scales: Model pixels per full-size pixel; one set of tiles each.
        reduced: Also the whole field, letterboxed into one tile.
        once: Each pixel counts in one tile only: in others it is ignored.
        interpolation: Of masks at another scale.
    """

    size: int
    overlap: int
    scales: tuple[float, ...]
    reduced: bool = False
    once: bool = False
    interpolation: Interpolation = "nearest"


def cut_tiles(
    image: Image, mask: Mask, tiling: Tiling, *, file_scale: tuple[float, float] = (1.0, 1.0)
) -> Iterator[Tile]:
    """Cut an image and its mask, both seen at one scale, into equal tiles.

    Args:
        image: The photograph.
        mask: Of its size.
        tiling: Size, overlap, scales.
        file_scale: Full-size pixels per file pixel, vertical and horizontal.
    """
    for scale in tiling.scales:
        view = scale_image(image, file_scale[0] * scale, file_scale[1] * scale)
        yield from _cut(view, mask, tiling=tiling, scale=scale)
    if tiling.reduced:
        view = fit_image(image, tiling.size, file_scale=file_scale)
        scale = view.height / (image.height * file_scale[0])
        one = Tiling(tiling.size, 0, (scale,), interpolation=tiling.interpolation)
        yield from _cut(view, mask, tiling=one, scale=scale, kind="reduced")


def _cut(
    view: Image,
    mask: Mask,
    *,
    tiling: Tiling,
    scale: float,
    kind: Literal["window", "reduced"] = "window",
) -> Iterator[Tile]:
    height = TileGrid.padded(view.height, tiling.size)
    width = TileGrid.padded(view.width, tiling.size)
    pixels = Photo(view.read(whole(view)))  # equal to reading tile by tile, and resampled once
    padded = Padded(pixels, height, width)
    labels = np.full((height, width), IGNORE, np.uint8)
    labels[: view.height, : view.width] = scale_mask(
        mask, view.height, view.width, interpolation=tiling.interpolation
    )
    for window in TileGrid(height, width, tiling.size, tiling.overlap):
        region = np.s_[window.top : window.bottom, window.left : window.right]
        rows = min(window.bottom, view.height) - window.top
        columns = min(window.right, view.width) - window.left
        yield Tile(
            padded.read(window),
            labels[region].copy(),
            Window(window.top, window.left, rows, columns),
            kind,
            scale,
            1 - rows * columns / tiling.size**2,
        )
        if tiling.once:
            labels[region] = IGNORE


def foreground_share(mask: Mask) -> float:
    """Share of the pixels that are not ignored and belong to a class."""
    known = int(np.count_nonzero(mask != IGNORE))
    foreground = int(np.count_nonzero((mask != BACKGROUND) & (mask != IGNORE)))
    return foreground / known if known else 0.0

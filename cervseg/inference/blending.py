"""How much each tile counts at each pixel."""

import numpy as np
from numpy.typing import NDArray

from cervseg.grid import TileGrid


def axis_weights(grid: TileGrid, length: int, margin: int) -> list[NDArray[np.float32]]:
    """Weights along one side, a vector for each tile.

    Zero within `margin` of a cut edge, a Hann window inside, and divided so that they add up to
    one at every pixel; a tile's weight is the product of its two vectors, so no canvas of
    weights is needed. At the border of the image nothing is cut and nothing is lost.

    Args:
        grid: Where the tiles lie.
        length: The side, `grid.height` or `grid.width`.
        margin: Pixels at a cut edge that can't be trusted, at most half the overlap.
    """
    starts, size = grid.starts(length), grid.side(length)
    raw, total = [], np.zeros(length)
    for start in starts:
        first, last = margin * (start > 0), size - margin * (start + size < length)
        hann = np.sin(np.pi * (np.arange(last - first) + 0.5) / (last - first)) ** 2
        raw.append(np.pad(hann, (first, size - last)))
        total[start : start + size] += raw[-1]
    return [
        (weight / total[start : start + size]).astype(np.float32)
        for weight, start in zip(raw, starts, strict=True)
    ]

"""Whether the borders of tiles can be seen in the answer."""

import numpy as np
from numpy.typing import NDArray

from cervseg.inference.parts import Parts

_ROWS = 64
NEAR = 8
"""Pixels beside a border with which it is compared."""


def seam_score(parts: Parts, height: int, width: int, *, margin: int) -> float | None:
    """Mean |change of probability| between neighbours across borders of tiles, over nearby.

    1 is seamless. A border is where a tile begins or ends to count: `margin` pixels within its
    cut edge. Nearby are the pairs of neighbours 2 to 8 pixels beside it: compared with the whole
    image, the score of a field with few cells would tell where these lie.

    Args:
        parts: All bands.
        height: Rows of the view, without its padding.
        width: Columns.
        margin: Pixels at a cut edge that get no weight.

    Returns:
        None where there is no border, or where nothing changes nearby.
    """
    grid = parts.grid
    columns, rows = (np.zeros(max(0, n - 1), np.int64) for n in (width, height))
    above = parts.read(0, 1)[:0, :width].astype(np.int32)
    for top in range(0, height, _ROWS):
        here = parts.read(top, min(_ROWS, height - top))[:, :width].astype(np.int32)
        columns += np.abs(np.diff(here, axis=1)).sum(axis=(0, 2))
        both = np.concatenate([above, here])
        changes = np.abs(np.diff(both, axis=0)).sum(axis=(1, 2))
        first = top - len(above)
        rows[first : first + len(changes)] = changes
        above = here[-1:]
    across = _borders(grid.starts(grid.width), grid.side(grid.width), margin=margin, length=width)
    down = _borders(grid.starts(grid.height), grid.side(grid.height), margin=margin, length=height)
    at = int(columns[across].sum() + rows[down].sum())
    count_at = int(across.sum()) * height + int(down.sum()) * width
    across, down = _beside(across), _beside(down)
    near = int(columns[across].sum() + rows[down].sum())
    count = int(across.sum()) * height + int(down.sum()) * width
    return (at / count_at) / (near / count) if count_at and near else None


def _borders(starts: list[int], size: int, *, margin: int, length: int) -> NDArray[np.bool_]:
    """Between which neighbours, i and i + 1, a tile begins or ends to count."""
    borders = np.zeros(max(0, length - 1), np.bool_)
    places = [s + margin for s in starts[1:]] + [s + size - margin for s in starts[:-1]]
    borders[[place - 1 for place in places if 0 < place < length]] = True
    return borders


def _beside(borders: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pairs of neighbours 2 to 8 pixels beside a border."""
    if not borders.size:
        return borders
    within = (np.convolve(borders, np.ones(2 * n + 1), "same") > 0 for n in (NEAR, 1))
    near, at = (each[: borders.size] for each in within)
    return near & ~at

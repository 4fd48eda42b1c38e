"""Whether the borders of tiles can be seen in the answer."""

import numpy as np
from numpy.typing import NDArray

from cervseg.inference.parts import Parts

_ROWS = 64


def seam_score(parts: Parts, height: int, width: int, *, margin: int) -> float | None:
    """Mean |change of probability| between neighbours across borders of tiles, over elsewhere.

    1 is seamless. A border is where a tile begins or ends to count: `margin` pixels within its
    cut edge.

    Args:
        parts: All bands.
        height: Rows of the view, without its padding.
        width: Columns.
        margin: Pixels at a cut edge that get no weight.

    Returns:
        None where there is no border, or where nothing changes elsewhere.
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
    across = _borders(grid.starts(grid.width), grid.size, margin=margin, length=width)
    down = _borders(grid.starts(grid.height), grid.size, margin=margin, length=height)
    at = int(columns[across].sum() + rows[down].sum())
    count_at = int(across.sum()) * height + int(down.sum()) * width
    elsewhere = int(columns.sum() + rows.sum()) - at
    count = columns.size * height + rows.size * width - count_at
    return (at / count_at) / (elsewhere / count) if count_at and elsewhere else None


def _borders(starts: list[int], size: int, *, margin: int, length: int) -> NDArray[np.bool_]:
    """Between which neighbours, i and i + 1, a tile begins or ends to count."""
    borders = np.zeros(max(0, length - 1), np.bool_)
    places = [s + margin for s in starts[1:]] + [s + size - margin for s in starts[:-1]]
    borders[[place - 1 for place in places if 0 < place < length]] = True
    return borders

"""Change of scale on one global grid, equal to the bit for any window."""

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from cervseg.arrays import RGB

_ONE = 2**14  # weights are multiples of 1/16384


@lru_cache(maxsize=256)
def axis_filter(
    first: int, count: int, *, source: int, target: int
) -> tuple[int, sparse.csr_array[np.float64]]:
    """Weights that make `count` target pixels from source pixels along one axis.

    A triangle filter: bilinear when enlarging; widened by the scale, so free of aliases, when
    reducing. Pixel i of the target looks at (i + 0.5) · source / target, edges are repeated.

    The weights are rounded to multiples of 2^-14 that add up to 1: with 8-bit pixels every
    product and sum is then exact in float64, so no order of summation changes the result.

    Args:
        first: First target pixel.
        count: Number of target pixels.
        source: Length of the source side, pixels.
        target: Length of the target side, pixels.

    Returns:
        The first source pixel, and a sparse matrix (count, source pixels needed).
    """
    step = source / target
    support = max(1.0, step)
    centres = (np.arange(first, first + count) + 0.5) * step - 0.5
    taps = np.arange(int(np.ceil(support)) * 2 + 1)
    positions = np.floor(centres - support).astype(np.int64)[:, None] + 1 + taps  # (count, taps)
    weights = np.maximum(0.0, 1.0 - np.abs(positions - centres[:, None]) / support)
    weights /= weights.sum(axis=1, keepdims=True)
    whole = np.rint(weights * _ONE)
    rows = np.arange(count)
    whole[rows, weights.argmax(axis=1)] += _ONE - whole.sum(axis=1)
    columns = np.clip(positions, 0, source - 1)
    start = int(columns.min())
    shape = (count, int(columns.max()) - start + 1)
    entries = (np.repeat(rows, taps.size), (columns - start).ravel())
    matrix = sparse.coo_array(((whole / _ONE).ravel(), entries), shape=shape)
    return start, matrix.tocsr()


def nearest_indices(first: int, count: int, *, source: int, target: int) -> NDArray[np.int64]:
    """The source pixel under the centre of each target pixel, for masks."""
    twice = 2 * np.arange(first, first + count, dtype=np.int64) + 1
    return np.asarray(np.minimum(twice * source // (2 * target), source - 1))


def apply_filters(
    pixels: NDArray[np.float64],
    rows: sparse.csr_array[np.float64],
    columns: sparse.csr_array[np.float64],
) -> NDArray[np.float64]:
    """Filter an array (height, width, channels) along both axes."""
    if rows.shape[0] > rows.shape[1]:  # the sums are exact, so their order is free: the fast one
        return _down(rows, _across(columns, pixels))
    return _across(columns, _down(rows, pixels))


def _down(rows: sparse.csr_array[np.float64], pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    height, width, channels = pixels.shape
    return np.asarray(rows @ pixels.reshape(height, -1)).reshape(-1, width, channels)


def _across(
    columns: sparse.csr_array[np.float64], pixels: NDArray[np.float64]
) -> NDArray[np.float64]:
    height, width, channels = pixels.shape
    turned = np.asarray(columns @ pixels.transpose(1, 0, 2).reshape(width, -1))
    return turned.reshape(-1, height, channels).transpose(1, 0, 2)


def resample_rgb(
    pixels: RGB, rows: sparse.csr_array[np.float64], columns: sparse.csr_array[np.float64]
) -> RGB:
    """Filter 8-bit pixels and round half up."""
    filtered = apply_filters(pixels.astype(np.float64), rows, columns)
    return np.asarray(np.floor(filtered + 0.5), dtype=np.uint8)


def resample_strips(
    strips: Iterable[RGB],
    rows: sparse.csr_array[np.float64],
    columns: sparse.csr_array[np.float64],
) -> RGB:
    """Filter pixels that come in strips of rows, from top to bottom, each let go before the next.

    Equal to `resample_rgb` of all of them at once, bit for bit: the sums are exact in any order.

    Args:
        strips: Each of shape (some rows, source width, 3).
        rows: Weights of all their rows, shape (target height, source rows).
        columns: Weights of the columns, shape (target width, source width).
    """
    filtered = np.zeros((rows.shape[0], columns.shape[0], 3))
    by_column, top = rows.tocsc(), 0
    for strip in strips:
        weights = by_column[:, top : top + len(strip)].tocsr()
        touched = np.flatnonzero(np.diff(weights.indptr))  # few target rows look at a strip
        filtered[touched] += apply_filters(strip.astype(np.float64), weights[touched], columns)
        top += len(strip)
    filtered += 0.5  # in place, as it is eight times as large as the picture
    return np.floor(filtered, out=filtered).astype(np.uint8)

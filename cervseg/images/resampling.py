"""Change of scale on one global grid, equal to the bit for any window."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from cervseg.arrays import RGB, Mask
from cervseg.grid import Window

_ONE = 2**14  # weights are multiples of 1/16384
_SMALL = 2**18  # products that BLAS sums up in the thread that asks; for more it wakes all others
Real = TypeVar("Real", np.float32, np.float64)

Interpolation = Literal["nearest", "area"]


class _Block(NamedTuple):
    """Weights (target pixels, source pixels) of neighbours, which share most of what they see."""

    target: slice
    source: slice
    weights: NDArray[np.float64]


class AxisFilter:
    """Weights along one axis: small dense matrices down a diagonal, which BLAS is fast with.

    Args:
        targets: Length of the result.
        sources: Length of what is filtered.
        blocks: In the order of the target pixels, each of which is in one.
    """

    def __init__(self, targets: int, sources: int, blocks: tuple[_Block, ...]) -> None:
        self.targets, self.sources = targets, sources
        self.blocks = blocks

    def down(self, pixels: NDArray[Real]) -> NDArray[Real]:
        """Filter the columns of arrays (…, sources, n)."""
        *others, _, width = pixels.shape
        result = np.empty((*others, self.targets, width), pixels.dtype)
        for target, source, weights in self.blocks:
            step = max(1, _SMALL // weights.size)
            exact = weights.astype(pixels.dtype)
            for left in range(0, width, step):
                part = slice(left, left + step)
                np.matmul(exact, pixels[..., source, part], out=result[..., target, part])
        return result

    def across(self, pixels: NDArray[Real]) -> NDArray[Real]:
        """Filter the rows of an array (n, sources)."""
        result = np.empty((len(pixels), self.targets), pixels.dtype)
        for target, source, weights in self.blocks:
            step = max(1, _SMALL // weights.size)
            exact = weights.T.astype(pixels.dtype)
            for top in range(0, len(pixels), step):
                part = slice(top, top + step)
                np.matmul(pixels[part, source], exact, out=result[part, target])
        return result

    def part(self, first: int, last: int) -> tuple[slice, "AxisFilter"]:
        """What source pixels from `first` to before `last` add.

        Returns:
            The target pixels that look at them, and the weights of these alone.
        """
        seen = []
        for target, source, weights in self.blocks:
            left, right = max(first, source.start), min(last, source.stop)
            if left < right:
                own = weights[:, left - source.start : right - source.start]
                seen.append(_Block(target, slice(left - first, right - first), own))
        start, stop = seen[0].target.start, seen[-1].target.stop
        moved = tuple(
            block._replace(target=slice(block.target.start - start, block.target.stop - start))
            for block in seen
        )
        return slice(start, stop), AxisFilter(stop - start, last - first, moved)


@lru_cache(maxsize=256)
def axis_filter(first: int, count: int, *, source: int, target: int) -> tuple[int, AxisFilter]:
    """Weights that make `count` target pixels from source pixels along one axis.

    A triangle filter: bilinear when enlarging; widened by the scale, so free of aliases, when
    reducing. Pixel i of the target looks at (i + 0.5) · source / target, edges are repeated.

    The weights are rounded to multiples of 2^-14 that add up to 1, so that no order of summation
    changes the result: filtered along one axis, 8-bit pixels have at most 22 bits, which float32
    holds; along both, or 16-bit ones, fit into float64.

    Args:
        first: First target pixel.
        count: Number of target pixels.
        source: Length of the source side, pixels.
        target: Length of the target side, pixels.

    Returns:
        The first source pixel, and the filter of the source pixels from there on that are needed.
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
    height = 8 if step > 1 else 16  # more would be more zeros than BLAS saves
    blocks = tuple(
        _block(top, whole[top : top + height] / _ONE, columns[top : top + height] - start)
        for top in range(0, count, height)
    )
    return start, AxisFilter(count, int(columns.max()) - start + 1, blocks)


def _block(top: int, weights: NDArray[np.float64], columns: NDArray[np.int64]) -> _Block:
    """Dense weights of target pixels from `top` on, shape (target pixels, taps) each."""
    left, right = int(columns.min()), int(columns.max()) + 1
    dense = np.zeros((len(weights), right - left))
    np.add.at(dense, (np.arange(len(weights))[:, None], columns - left), weights)
    return _Block(slice(top, top + len(weights)), slice(left, right), dense)


def nearest_indices(first: int, count: int, *, source: int, target: int) -> NDArray[np.int64]:
    """The source pixel under the centre of each target pixel, for masks."""
    twice = 2 * np.arange(first, first + count, dtype=np.int64) + 1
    return np.asarray(np.minimum(twice * source // (2 * target), source - 1))


def apply_filters(
    pixels: NDArray[np.generic], rows: AxisFilter, columns: AxisFilter
) -> NDArray[np.float64]:
    """Filter an array (height, width, channels) along both axes.

    The sums are exact, so their order is free: the axis that leaves less for the other is first.
    """
    if pixels.dtype == np.uint8:
        return _apply(pixels.astype(np.float32), rows, columns)
    return _apply(pixels.astype(np.float64), rows, columns)


def _apply(pixels: NDArray[Real], rows: AxisFilter, columns: AxisFilter) -> NDArray[np.float64]:
    height, width, channels = pixels.shape
    if rows.targets > rows.sources:
        planes = np.ascontiguousarray(pixels.transpose(2, 0, 1)).reshape(-1, width)
        wide = columns.across(planes).reshape(channels, height, -1)
        return rows.down(wide.astype(np.float64, copy=False)).transpose(1, 2, 0)
    low = rows.down(pixels.reshape(height, -1)).reshape(-1, width, channels)
    lines = low.transpose(2, 0, 1).astype(np.float64, order="C").reshape(-1, width)
    return columns.across(lines).reshape(channels, rows.targets, -1).transpose(1, 2, 0)


def resample_rgb(pixels: RGB, rows: AxisFilter, columns: AxisFilter) -> RGB:
    """Filter 8-bit pixels and round half up."""
    return np.floor(apply_filters(pixels, rows, columns) + 0.5).astype(np.uint8)


def resample_strips(strips: Iterable[RGB], rows: AxisFilter, columns: AxisFilter) -> RGB:
    """Filter pixels that come in strips of rows, from top to bottom, each let go before the next.

    Equal to `resample_rgb` of all of them at once, bit for bit: the sums are exact in any order.

    Args:
        strips: Each of shape (some rows, source width, 3).
        rows: Weights of all their rows.
        columns: Weights of the columns.
    """
    filtered = np.zeros((rows.targets, columns.targets, 3))
    top = 0
    for strip in strips:
        touched, weights = rows.part(top, top + len(strip))  # few target rows look at a strip
        filtered[touched] += apply_filters(strip, weights, columns)
        top += len(strip)
    filtered += 0.5  # in place, as it is eight times as large as the picture
    return np.floor(filtered, out=filtered).astype(np.uint8)


def scale_mask(
    mask: Mask,
    height: int,
    width: int,
    *,
    window: Window | None = None,
    interpolation: Interpolation = "nearest",
) -> Mask:
    """Bring a mask to another size, or a window of it: equal to that window of the whole.

    Args:
        mask: Class indices.
        height: Of the target, pixels.
        width: Likewise.
        window: Of the target; default: all of it.
        interpolation: `nearest`: the class under each pixel's centre; `area`: the one that covers
            most of the pixel.
    """
    top, left, rows, columns = window or (0, 0, height, width)
    if mask.shape == (height, width):
        return mask[top : top + rows, left : left + columns]
    if interpolation == "area":
        first, down = axis_filter(top, rows, source=mask.shape[0], target=height)
        start, across = axis_filter(left, columns, source=mask.shape[1], target=width)
        part = mask[first : first + down.sources, start : start + across.sources]
        found = np.unique(part)
        shares = apply_filters((part[..., None] == found).view(np.uint8), down, across)
        return np.asarray(found[shares.argmax(axis=-1)], np.uint8)
    below = nearest_indices(top, rows, source=mask.shape[0], target=height)
    beside = nearest_indices(left, columns, source=mask.shape[1], target=width)
    return mask[np.ix_(below, beside)]

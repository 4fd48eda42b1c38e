"""How far the outlines of two masks lie apart."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


@dataclass(frozen=True)
class SurfaceScores:
    """Of the outlines of one class in one image.

    The outline of a mask is those of its pixels that have one of their four neighbours outside
    the mask; beyond the edge of the image all is outside. With T and P the outlines of truth and
    prediction, and d(x, S) the distance from the centre of x to the nearest centre in S:

        surface_dice  (|{t: d(t, P) ≤ tolerance}| + |{p: d(p, T) ≤ tolerance}|) / (|T| + |P|)
        hd95          max(95th percentile of d(t, P), 95th percentile of d(p, T))
        assd          (Σ d(t, P) + Σ d(p, T)) / (|T| + |P|)

    surface_dice is 1 where both masks are empty and 0 where one is. A distance needs two
    outlines: hd95 and assd are nan where a mask is empty. A finite value would flatter: 0 for two
    empty masks praises images without the class, and the all-background baseline with them.

    Nikolov et al., 2018, https://arxiv.org/abs/1809.04430 (they weight each piece of outline by
    its length, we count pixels); Heimann et al., 2009, https://doi.org/10.1109/TMI.2009.2013851
    """

    surface_dice: float
    hd95: float
    assd: float


def surface_scores(
    true: NDArray[np.bool_],
    predicted: NDArray[np.bool_],
    *,
    tolerance: float = 2.0,
    spacing: tuple[float, float] = (1.0, 1.0),
) -> SurfaceScores:
    """Compare the outlines of two masks of one class.

    Args:
        true: Shape (height, width).
        predicted: Same shape.
        tolerance: How far an outline may be off in `surface_dice`, in the unit of `spacing`.
        spacing: From one pixel to the next, vertical and horizontal; the unit of all distances.
    """
    if not (true.any() and predicted.any()):
        return SurfaceScores(float(true.any() == predicted.any()), float("nan"), float("nan"))
    box = ndimage.find_objects((true | predicted).view(np.uint8))[0]
    there, here = _outline(true[box]), _outline(predicted[box])
    missed, wrong = _distances(there, here, spacing), _distances(here, there, spacing)
    both = np.concatenate([missed, wrong])
    return SurfaceScores(
        surface_dice=float(np.mean(both <= tolerance)),
        hd95=float(max(np.percentile(missed, 95), np.percentile(wrong, 95))),
        assd=float(both.mean()),
    )


def _outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels of a mask with one of their four neighbours outside it."""
    framed = np.pad(mask, 1)
    inside = framed[:-2, 1:-1] & framed[2:, 1:-1] & framed[1:-1, :-2] & framed[1:-1, 2:]
    return mask & ~inside


def _distances(
    origins: NDArray[np.bool_], targets: NDArray[np.bool_], spacing: tuple[float, float]
) -> NDArray[np.float64]:
    """From each pixel of one outline to the nearest of another, in the order of the rows."""
    # The distances of all pixels would take twice the time of where the nearest one is.
    nearest: NDArray[np.int32] = ndimage.distance_transform_edt(
        ~targets, sampling=spacing, return_distances=False, return_indices=True
    )
    rows, columns = np.nonzero(origins)
    top, left = nearest[:, rows, columns]
    vertical, horizontal = (rows - top) * spacing[0], (columns - left) * spacing[1]
    distances: NDArray[np.float64] = np.hypot(vertical, horizontal)
    return distances

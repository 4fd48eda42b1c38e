"""The threshold that scores best on validation images."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

BINS = 200
LOWEST, HIGHEST = 0.05, 0.95


def best_threshold(
    pairs: Iterable[tuple[NDArray[np.bool_], NDArray[np.float32]]],
) -> tuple[float, float]:
    """Find the threshold of the highest mean Dice over images.

    Args:
        pairs: For each image what is true, and probabilities in [0, 1] of the same shape;
            leave ignored pixels out.

    Returns:
        The threshold, a multiple of 1/200 from 0.05 to 0.95, and the mean Dice there; the middle
        of the best ones where several are equal. 0.5 and nan for no image.
    """
    curves = [_dice_curve(true, probabilities) for true, probabilities in pairs]
    if not curves:
        return 0.5, float("nan")
    mean = np.mean(curves, axis=0)
    allowed = np.arange(round(LOWEST * BINS), round(HIGHEST * BINS) + 1)
    best = allowed[mean[allowed] >= mean[allowed].max() - 1e-12]
    chosen = int(best[len(best) // 2])
    return chosen / BINS, float(mean[chosen])


def _dice_curve(true: NDArray[np.bool_], probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    """Dice at the thresholds 0, 1/200, …, 1: foreground is from the threshold on."""
    # The last digits of float32 must not put 0.265 · 200 below 53.
    bins = np.minimum((probabilities * BINS + 1e-4).astype(np.int64), BINS)
    positives = np.bincount(bins[true], minlength=BINS + 1)[::-1].cumsum()[::-1]
    predicted = np.bincount(bins.ravel(), minlength=BINS + 1)[::-1].cumsum()[::-1]
    total = predicted + int(true.sum())
    return np.where(total > 0, 2 * positives / np.maximum(total, 1), 1.0)

"""How well two masks agree, pixel by pixel."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class PixelScores:
    """Shares in [0, 1] of one class in one image.

    With t true, p predicted and b pixels that are both, of n:

        dice       2·b / (t + p)        1 where both masks are empty
        iou        b / (t + p - b)      1 where both masks are empty
        precision  b / p                without a prediction 1 if t = 0, else 0
        recall     b / t                1 where the truth is empty
        accuracy   (n - t - p + 2·b) / n
        empty_accuracy  (n - t) / n     what an empty prediction would have
    """

    dice: float
    iou: float
    precision: float
    recall: float
    accuracy: float
    empty_accuracy: float


def pixel_scores(
    true: NDArray[np.bool_], predicted: NDArray[np.bool_], valid: NDArray[np.bool_] | None = None
) -> PixelScores:
    """Compare two masks of one class.

    Args:
        true: Shape (height, width).
        predicted: Same shape.
        valid: Same shape; where it is False, a pixel counts nowhere. Without a valid pixel all
            shares are 1.
    """
    if valid is not None:
        true, predicted = true[valid], predicted[valid]
    n, t, p = true.size, int(np.count_nonzero(true)), int(np.count_nonzero(predicted))
    b = int(np.count_nonzero(true & predicted))
    return PixelScores(
        dice=_share(2 * b, t + p),
        iou=_share(b, t + p - b),
        precision=b / p if p else float(t == 0),
        recall=_share(b, t),
        accuracy=_share(n - t - p + 2 * b, n),
        empty_accuracy=_share(n - t, n),
    )


def _share(part: int, whole: int) -> float:
    """1 for nothing of nothing."""
    return part / whole if whole else 1.0

"""Losses on the overlap of two regions."""

from keras import ops

from cervseg.arrays import Tensor


def _sums(y_true: Tensor, y_pred: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    y_true, y_pred = y_true * weights, y_pred * weights
    return ops.sum(y_true * y_pred), ops.sum(y_true) + ops.sum(y_pred)


def dice_loss(y_true: Tensor, y_pred: Tensor, weights: Tensor) -> Tensor:
    """Soft Dice loss over the whole batch.

        1 - (2·Σ(t·p) + 1) / (Σt + Σp + 1)      sums over batch, height, width, channels

    Milletari et al., 2016, https://arxiv.org/abs/1606.04797 (we sum, they sum squares).

    Args:
        y_true: 0 or 1, shape (n, height, width, channels).
        y_pred: Probabilities in [0, 1], same shape.
        weights: 0 where ignored, else 1, shape (n, height, width, 1).

    Returns:
        A scalar in [0, 1); 0 when the prediction is perfect.
    """
    both, total = _sums(y_true, y_pred, weights)
    return 1 - (2 * both + 1) / (total + 1)


def iou_loss(y_true: Tensor, y_pred: Tensor, weights: Tensor) -> Tensor:
    """Soft Jaccard loss over the whole batch.

        1 - (Σ(t·p) + 1) / (Σt + Σp - Σ(t·p) + 1)

    Rahman & Wang, 2016, https://doi.org/10.1007/978-3-319-50835-1_22; the 1 keeps it defined,
    and its gradient useful, on tiles without foreground.

    Args:
        y_true: 0 or 1, shape (n, height, width, channels).
        y_pred: Probabilities in [0, 1], same shape.
        weights: 0 where ignored, else 1, shape (n, height, width, 1).

    Returns:
        A scalar in [0, 1); 0 when the prediction is perfect.
    """
    both, total = _sums(y_true, y_pred, weights)
    return 1 - (both + 1) / (total - both + 1)

"""Losses on each pixel."""

from keras import ops

from cervseg.arrays import Tensor


def _weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Mean over pixels that count; 0 where none does."""
    weights = ops.broadcast_to(weights, ops.shape(values))
    return ops.sum(values * weights) / ops.maximum(ops.sum(weights), 1.0)


def binary_crossentropy(y_true: Tensor, y_pred: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy of independent channels, mean over pixels and channels.

        max(z, 0) - z·t + log(1 + exp(-|z|))      z the logit: never overflows

    Args:
        y_true: 0 or 1, shape (n, height, width, channels).
        y_pred: Logits, same shape.
        weights: 0 where ignored, else 1, shape (n, height, width, 1).

    Returns:
        A scalar, 0 or more.
    """
    values = ops.relu(y_pred) - y_pred * y_true + ops.log1p(ops.exp(-ops.abs(y_pred)))
    return _weighted_mean(values, weights)


def categorical_crossentropy(y_true: Tensor, y_pred: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy of exclusive channels, mean over pixels.

        -Σ t·log softmax(z)      sum over channels

    Args:
        y_true: 0 or 1, one 1 a pixel, shape (n, height, width, channels).
        y_pred: Logits, same shape.
        weights: 0 where ignored, else 1, shape (n, height, width, 1).

    Returns:
        A scalar, 0 or more.
    """
    values = -ops.sum(y_true * ops.log_softmax(y_pred, axis=-1), axis=-1, keepdims=True)
    return _weighted_mean(values, weights)

"""Losses on each pixel."""

from keras import ops

from cervseg.arrays import Tensor


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Mean of what counts; 0 where nothing does."""
    weights = ops.broadcast_to(weights, ops.shape(values))
    total = ops.sum(weights)
    return ops.sum(values * weights) / ops.where(total > 0, total, 1.0)


def binary_crossentropy(y_true: Tensor, y_pred: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy of independent channels, mean over pixels and channels.

        -t·log σ(z) - (1 - t)·log(1 - σ(z))      z the logit, by Keras's stable formula

    Args:
        y_true: 0 or 1, float32, shape (n, height, width, channels).
        y_pred: Logits, same shape.
        weights: 0 where ignored, shape (n, height, width, 1 or channels).

    Returns:
        A scalar, 0 or more.
    """
    return weighted_mean(ops.binary_crossentropy(y_true, y_pred, from_logits=True), weights)


def categorical_crossentropy(y_true: Tensor, y_pred: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy of exclusive channels, mean over pixels.

        -Σ t·log softmax(z)      sum over channels

    A pixel weighs as much as its true class does.

    Args:
        y_true: 0 or 1, float32, one 1 a pixel, shape (n, height, width, channels).
        y_pred: Logits, same shape.
        weights: 0 where ignored, shape (n, height, width, 1 or channels).

    Returns:
        A scalar, 0 or more.
    """
    values = ops.categorical_crossentropy(y_true, y_pred, from_logits=True)
    return weighted_mean(values, ops.sum(y_true * weights, axis=-1))


def binary_focal_loss(
    y_true: Tensor,
    y_pred: Tensor,
    weights: Tensor,
    *,
    gamma: float = 2.0,
    alpha: float | None = None,
) -> Tensor:
    """Focal loss of independent channels, mean over pixels and channels.

        -α_t·(1 - p_t)^γ·log p_t      p_t = σ(z) where t is 1, else σ(-z)

    Lin et al., 2017, https://arxiv.org/abs/1708.02002 (they divide by the number of objects).
    Keras's own clips probabilities: a pixel that is sure and wrong would have no gradient.

    Args:
        y_true: 0 or 1, float32, shape (n, height, width, channels).
        y_pred: Logits, same shape.
        weights: 0 where ignored, shape (n, height, width, 1 or channels).
        gamma: 0 or more; 0 is the cross-entropy.
        alpha: α_t is alpha where t is 1, else 1 - alpha; None: 1 everywhere.

    Returns:
        A scalar, 0 or more.
    """
    towards = y_pred * (2 * y_true - 1)
    values = ops.softplus(-towards) * ops.exp(-gamma * ops.softplus(towards))
    return weighted_mean(values * _balance(y_true, alpha), weights)


def categorical_focal_loss(
    y_true: Tensor,
    y_pred: Tensor,
    weights: Tensor,
    *,
    gamma: float = 2.0,
    alpha: float | None = None,
) -> Tensor:
    """Focal loss of exclusive channels, mean over pixels.

        -α_t·(1 - p_t)^γ·log p_t      p_t = softmax(z) of the true class

    Lin et al., 2017, https://arxiv.org/abs/1708.02002, who have independent channels only.
    log(1 - p_t) is taken from the logits of the other channels: it stays finite at p_t = 1,
    where the gradient of a power below 1 would not.

    Args:
        y_true: 0 or 1, float32, one 1 a pixel, shape (n, height, width, channels).
        y_pred: Logits, same shape.
        weights: 0 where ignored, shape (n, height, width, 1 or channels).
        gamma: 0 or more; 0 is the cross-entropy.
        alpha: α_t is alpha in classes, 1 - alpha in background; None: 1 everywhere.

    Returns:
        A scalar, 0 or more.
    """
    others = ops.where(y_true > 0, -1e9, y_pred)
    rest = ops.logsumexp(others, axis=-1) - ops.logsumexp(y_pred, axis=-1)
    values = ops.categorical_crossentropy(y_true, y_pred, from_logits=True)
    values = values * ops.exp(gamma * rest) * _balance(1 - y_true[..., 0], alpha)
    return weighted_mean(values, ops.sum(y_true * weights, axis=-1))


def _balance(foreground: Tensor, alpha: float | None) -> Tensor | float:
    return 1.0 if alpha is None else alpha * foreground + (1 - alpha) * (1 - foreground)

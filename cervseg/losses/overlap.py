"""Losses on the overlap of two regions, over the whole batch at once or image by image."""

from typing import Literal

from keras import ops

from cervseg.arrays import Tensor

Per = Literal["batch", "image"]
"""batch: the sums go over all images; image: a loss each, then the mean of those that count."""


def total(values: Tensor, per: Per) -> Tensor:
    """Sum over height, width and channels: shape (n,), or (1,) for the whole batch."""
    sums = ops.sum(values, axis=(1, 2, 3))
    return sums if per == "image" else ops.sum(sums, keepdims=True)


def mean_of_known(losses: Tensor, known: Tensor) -> Tensor:
    """Mean over the images that hold a known pixel (`known` > 0); 0 where none does."""
    known = ops.cast(known > 0, "float32")
    return ops.sum(losses * known) / ops.maximum(ops.sum(known), 1.0)


def dice_loss(y_true: Tensor, y_pred: Tensor, weights: Tensor, *, per: Per = "batch") -> Tensor:
    """Soft Dice loss.

        1 - (2·Σ(t·p) + 1) / (Σt + Σp + 1)      sums over height, width, channels

    Milletari et al., 2016, https://arxiv.org/abs/1606.04797 (we sum, they sum squares). Keras's
    own has no weights, and costs 1 where nothing is and nothing is found.

    Args:
        y_true: 0 or 1, float32, shape (n, height, width, channels).
        y_pred: Probabilities in [0, 1], same shape.
        weights: 0 where ignored, shape (n, height, width, 1 or channels); factors in the sums.
        per: batch or image.

    Returns:
        A scalar in [0, 1); 0 when the prediction is perfect.
    """
    both = total(weights * y_true * y_pred, per)
    sizes = total(weights * (y_true + y_pred), per)
    return mean_of_known(1 - (2 * both + 1) / (sizes + 1), total(weights, per))


def iou_loss(y_true: Tensor, y_pred: Tensor, weights: Tensor, *, per: Per = "batch") -> Tensor:
    """Soft Jaccard loss.

        1 - (Σ(t·p) + 1) / (Σt + Σp - Σ(t·p) + 1)      sums over height, width, channels

    Rahman & Wang, 2016, https://doi.org/10.1007/978-3-319-50835-1_22; the 1 keeps it defined,
    and its gradient useful, on tiles without foreground.

    Args:
        y_true: 0 or 1, float32, shape (n, height, width, channels).
        y_pred: Probabilities in [0, 1], same shape.
        weights: 0 where ignored, shape (n, height, width, 1 or channels); factors in the sums.
        per: batch or image.

    Returns:
        A scalar in [0, 1); 0 when the prediction is perfect.
    """
    return tversky_loss(y_true, y_pred, weights, alpha=1.0, beta=1.0, per=per)


def tversky_loss(
    y_true: Tensor,
    y_pred: Tensor,
    weights: Tensor,
    *,
    alpha: float = 0.3,
    beta: float = 0.7,
    per: Per = "batch",
) -> Tensor:
    """Tversky loss: Dice with a price of its own for what is too much and what is missing.

        1 - (Σ(t·p) + 1) / (Σ(t·p) + α·Σ((1 - t)·p) + β·Σ(t·(1 - p)) + 1)

    Sums over height, width, channels. Salehi et al., 2017, https://arxiv.org/abs/1706.05721 (the
    1 is ours). Keras's own has no weights, costs 1 on an empty tile, and has α and β swapped.

    Args:
        y_true: 0 or 1, float32, shape (n, height, width, channels).
        y_pred: Probabilities in [0, 1], same shape.
        weights: 0 where ignored, shape (n, height, width, 1 or channels); factors in the sums.
        alpha: Price of false positives, 0 or more.
        beta: Price of false negatives, 0 or more; 1 and 1 is `iou_loss`.
        per: batch or image.

    Returns:
        A scalar in [0, 1); 0 when the prediction is perfect.
    """
    losses = _tversky(y_true, y_pred, weights, prices=(alpha, beta), per=per)
    return mean_of_known(losses, total(weights, per))


def focal_tversky_loss(
    y_true: Tensor,
    y_pred: Tensor,
    weights: Tensor,
    *,
    alpha: float = 0.3,
    beta: float = 0.7,
    gamma: float = 4 / 3,
    per: Per = "batch",
) -> Tensor:
    """Tversky loss to the power 1/γ: the nearer to perfect, the steeper.

    Abraham & Khan, 2019, https://arxiv.org/abs/1810.07842 (their α is the price of false
    negatives; ours is that of `tversky_loss`; they add up classes).

    Args:
        y_true: 0 or 1, float32, shape (n, height, width, channels).
        y_pred: Probabilities in [0, 1], same shape.
        weights: 0 where ignored, shape (n, height, width, 1 or channels); factors in the sums.
        alpha: Price of false positives, 0 or more.
        beta: Price of false negatives, 0 or more.
        gamma: 1 or more; 1 is `tversky_loss`.
        per: batch or image.

    Returns:
        A scalar in [0, 1); 0 when the prediction is perfect.
    """
    losses = _tversky(y_true, y_pred, weights, prices=(alpha, beta), per=per)
    # At 0 the root is infinitely steep: below rounding it is 0 and flat.
    seen = losses > 1e-7
    losses = ops.where(seen, ops.power(ops.where(seen, losses, 1.0), 1 / gamma), 0.0)
    return mean_of_known(losses, total(weights, per))


def _tversky(
    y_true: Tensor, y_pred: Tensor, weights: Tensor, *, prices: tuple[float, float], per: Per
) -> Tensor:
    """1 - (both + 1) / (both + wrong + 1), written so that a small loss is not a difference."""
    alpha, beta = prices
    both = total(weights * y_true * y_pred, per)
    wrong = alpha * total(weights * (1 - y_true) * y_pred, per)
    wrong += beta * total(weights * y_true * (1 - y_pred), per)
    return wrong / (both + wrong + 1)


def lovasz_hinge_loss(
    y_true: Tensor, y_pred: Tensor, weights: Tensor, *, per: Per = "batch"
) -> Tensor:
    """Lovász hinge of independent channels: the convex surrogate of their IoU.

        Σ max(e, 0)·g(e)      e = 1 - z·(2t - 1), g the gradient of the Lovász extension

    Berman et al., 2018, https://arxiv.org/abs/1705.08790. Mean over all channels: a channel that
    holds nothing costs its largest false positive.

    Args:
        y_true: 0 or 1, float32, shape (n, height, width, channels).
        y_pred: Logits, same shape.
        weights: 0 where ignored, shape (n, height, width, 1 or channels).
        per: batch or image.

    Returns:
        A scalar, 0 or more.
    """
    errors = 1 - y_pred * (2 * y_true - 1)
    return _lovasz(errors, y_true, weights, per=per)


def lovasz_softmax_loss(
    y_true: Tensor, y_pred: Tensor, weights: Tensor, *, per: Per = "batch"
) -> Tensor:
    """Lovász-softmax: the surrogate of the mean IoU of the classes that are present.

        Σ e·g(e)      e = |t - p|, g the gradient of the Lovász extension

    Berman et al., 2018, https://arxiv.org/abs/1705.08790.

    Args:
        y_true: 0 or 1, float32, one 1 a pixel, shape (n, height, width, channels).
        y_pred: Probabilities in [0, 1], same shape.
        weights: 0 where ignored, shape (n, height, width, 1 or channels).
        per: batch or image.

    Returns:
        A scalar in [0, 1]; 0 when the prediction is perfect.
    """
    axes = (1, 2) if per == "image" else (0, 1, 2)
    present = ops.max(y_true * weights, axis=axes, keepdims=True) > 0
    weights = weights * ops.cast(present, "float32")
    return _lovasz(ops.abs(y_true - y_pred), y_true, weights, per=per)


def _lovasz(errors: Tensor, y_true: Tensor, weights: Tensor, *, per: Per) -> Tensor:
    """Mean over channels, each by its weight, of the Lovász extension at the errors."""
    weights = ops.broadcast_to(weights, ops.shape(errors))
    errors = ops.where(weights > 0, errors, -1.0)  # the ignored stand last, and cost nothing
    truth = ops.where(weights > 0, y_true, 0.0)
    errors, truth, weights = (_by_channel(x, per) for x in (errors, truth, weights))
    steps = ops.stop_gradient(_jaccard_steps(errors, truth))
    values = ops.sum(ops.relu(errors) * steps, axis=-1)  # (n or 1, channels)
    shares = ops.max(weights, axis=-1)
    sums = ops.sum(shares, axis=-1)
    losses = ops.sum(values * shares, axis=-1) / ops.where(sums > 0, sums, 1.0)
    return mean_of_known(losses, sums)


def _by_channel(x: Tensor, per: Per) -> Tensor:
    """Move the pixels to the end: (n, channels, pixels), or (1, channels, all pixels)."""
    channels = x.shape[-1]
    if per == "image":
        return ops.reshape(ops.transpose(x, (0, 3, 1, 2)), (ops.shape(x)[0], channels, -1))
    return ops.reshape(ops.transpose(x, (3, 0, 1, 2)), (1, channels, -1))


def _jaccard_steps(errors: Tensor, truth: Tensor) -> Tensor:
    """How much each pixel adds to the Jaccard loss when pixels go wrong, largest error first.

    Of the true pixels `left` are still right, of `union` pixels in all. A true one that goes
    wrong adds 1 / union, another one left / (union·(union - 1)); the first false positive of an
    empty truth adds 1. Differences of two Jaccard losses would be rounding among 10^6 pixels.
    """
    order = ops.argsort(-errors, axis=-1)
    truth = ops.take_along_axis(truth, order, axis=-1)
    size = ops.sum(truth, axis=-1, keepdims=True)
    left = size - ops.cumsum(truth, axis=-1)
    union = size + ops.cumsum(1 - truth, axis=-1)
    before = union - 1
    other = ops.where(before > 0, left / (union * ops.where(before > 0, before, 1.0)), 1.0)
    steps = ops.where(truth > 0, 1 / ops.maximum(union, 1.0), other)
    return ops.take_along_axis(steps, ops.argsort(order, axis=-1), axis=-1)

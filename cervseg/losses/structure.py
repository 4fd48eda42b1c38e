"""Loss on the local structure of two maps, and the windows that ignored pixels spoil."""

from typing import Literal

from keras import ops

from cervseg.arrays import Tensor
from cervseg.losses.entropy import weighted_mean


def window_weights(weights: Tensor, size: int, *, padding: Literal["valid", "same"]) -> Tensor:
    """The smallest weight in each window: 0 as soon as one of its pixels is ignored.

    Args:
        weights: Shape (n, height, width, channels).
        size: Side of the window.
        padding: valid: windows that lie inside; same: one around each pixel, cut at the edge.
    """
    worst = ops.max_pool(-weights, (size, 1), strides=1, padding=padding)
    return -ops.max_pool(worst, (1, size), strides=1, padding=padding)


def ssim_loss(
    y_true: Tensor, y_pred: Tensor, weights: Tensor, *, size: int = 11, sigma: float = 1.5
) -> Tensor:
    """Structural dissimilarity of truth and probabilities, mean over windows and channels.

        1 - (2·μt·μp + C1)·(2·σtp + C2) / ((μt² + μp² + C1)·(σt² + σp² + C2))

    Means, variances and covariance under a Gaussian window, C1 = 0.01², C2 = 0.03². Wang et al.,
    2004, https://doi.org/10.1109/TIP.2003.819861; as a loss in Qin et al., 2019 (BASNet). Only
    windows inside the tile count, and none that touches an ignored pixel.

    Args:
        y_true: 0 or 1, float32, shape (n, height, width, channels).
        y_pred: Probabilities in [0, 1], same shape.
        weights: 0 where ignored, shape (n, height, width, 1 or channels).
        size: Side of the window; on smaller tiles, the tile's smaller side.
        sigma: Of the Gaussian, pixels.

    Returns:
        A scalar in [0, 2); 0 when the prediction is perfect.
    """
    size = min([size, *(side for side in y_pred.shape[1:3] if side is not None)])
    offsets = ops.arange(size, dtype="float32") - (size - 1) / 2
    line = ops.softmax(-0.5 * (offsets / sigma) ** 2)
    products = [y_true * y_true, y_pred * y_pred, y_true * y_pred]
    means = _blur(ops.concatenate([y_true, y_pred, *products], axis=-1), line)
    mean_t, mean_p, square_t, square_p, product = ops.split(means, 5, axis=-1)
    variances = square_t - mean_t * mean_t + square_p - mean_p * mean_p
    covariance = product - mean_t * mean_p
    c1, c2 = 0.01**2, 0.03**2
    above = (2 * mean_t * mean_p + c1) * (2 * covariance + c2)
    below = (mean_t * mean_t + mean_p * mean_p + c1) * (variances + c2)
    return weighted_mean(1 - above / below, window_weights(weights, size, padding="valid"))


def _blur(x: Tensor, line: Tensor) -> Tensor:
    """Weighted mean in each window that lies inside, down and then across."""
    down = ops.tile(ops.reshape(line, (-1, 1, 1, 1)), (1, 1, x.shape[-1], 1))
    x = ops.depthwise_conv(x, down, padding="valid")
    return ops.depthwise_conv(x, ops.transpose(down, (1, 0, 2, 3)), padding="valid")

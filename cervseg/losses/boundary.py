"""Loss on the boundaries of two regions."""

from keras import ops

from cervseg.arrays import Tensor
from cervseg.losses.overlap import Per, mean_of_known, total
from cervseg.losses.structure import window_weights


def boundary_loss(
    y_true: Tensor,
    y_pred: Tensor,
    weights: Tensor,
    *,
    theta0: int = 3,
    theta: int = 5,
    per: Per = "batch",
) -> Tensor:
    """One minus the F1 of boundaries, each allowed to lie a little beside the other.

        b = pool(1 - y, θ0) - (1 - y)      the inner edge of a region
        P = (Σ(bp·pool(bt, θ)) + 1) / (Σbp + 1)
        R = (Σ(bt·pool(bp, θ)) + 1) / (Σbt + 1)
        1 - 2·P·R / (P + R)      sums over height, width, channels

    Bokhovkin & Burnaev, 2019, https://arxiv.org/abs/1905.07852 (each class and image alone; the 1
    is ours: no boundary where there is none is right). An edge pixel counts only where no ignored
    pixel lies in the two windows around it.

    Args:
        y_true: 0 or 1, float32, shape (n, height, width, channels).
        y_pred: Probabilities in [0, 1], same shape.
        weights: 0 where ignored, shape (n, height, width, 1 or channels); factors in the sums.
        theta0: Side of the window that finds edges, odd.
        theta: Side of the window that extends them, odd; 5 forgives 2 pixels.
        per: batch or image.

    Returns:
        A scalar in [0, 1); 0 when the prediction is perfect.
    """
    weights = window_weights(weights, theta0 + theta - 1, padding="same")
    edges_t, edges_p = _edges(y_true, theta0), _edges(y_pred, theta0)
    precision = _share(edges_p, _pool(edges_t, theta), weights, per=per)
    recall = _share(edges_t, _pool(edges_p, theta), weights, per=per)
    losses = 1 - 2 * precision * recall / (precision + recall)
    return mean_of_known(losses, total(weights, per))


def _pool(x: Tensor, size: int) -> Tensor:
    return ops.max_pool(x, size, strides=1, padding="same")


def _edges(x: Tensor, size: int) -> Tensor:
    return _pool(1 - x, size) - (1 - x)


def _share(edges: Tensor, near: Tensor, weights: Tensor, *, per: Per) -> Tensor:
    """How much of the edges lies near the others."""
    return (total(weights * edges * near, per) + 1) / (total(weights * edges, per) + 1)

"""Parts that networks share."""

from typing import Literal

import keras
from keras import layers

from cervseg.arrays import Tensor

Normalization = Literal["none", "batch", "layer", "group"]


def normalize(x: Tensor, kind: Normalization, name: str) -> Tensor:
    """Normalise after a convolution.

    `layer` works over channels at each pixel, so it depends neither on batch mates nor on the
    tile. `group` (Wu & He, 2018) takes its statistics over the whole tile.
    """
    if kind == "batch":
        # Keras's momentum of 0.99 lags behind for hundreds of steps; short trainings end before.
        return layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
    if kind == "layer":
        return layers.LayerNormalization(axis=-1, epsilon=1e-3, name=f"{name}_norm")(x)
    if kind == "group":
        groups = max(g for g in (1, 2, 4, 8) if x.shape[-1] % g == 0)
        return layers.GroupNormalization(groups, name=f"{name}_norm")(x)
    if kind == "none":
        return x
    raise ValueError(f"normalization {kind!r} is not known")


def convolve(
    x: Tensor,
    filters: int,
    *,
    name: str,
    kernel: int = 3,
    dilation: int = 1,
    activation: str = "relu",
    normalization: Normalization = "none",
) -> Tensor:
    """Convolution, normalisation, activation.

    He initialisation (He et al., 2015); no bias before a normalisation that has its own. That over
    channels keeps the bias: without it each pixel's brightness would cancel out (on the demo,
    Dice 0.34 instead of learning).
    """
    x = layers.Conv2D(
        filters,
        kernel,
        padding="same",
        dilation_rate=dilation,
        use_bias=normalization in ("none", "layer"),
        kernel_initializer="he_normal",
        name=name,
    )(x)
    x = normalize(x, normalization, name)
    return layers.Activation(activation, name=f"{name}_act")(x)


def rescale(x: Tensor, kind: Literal["unit", "none"]) -> Tensor:
    """The first layer: [0, 255] to [0, 1], or as it is."""
    if kind == "none":
        return x
    if kind == "unit":
        return layers.Rescaling(1 / 255, name="rescaling")(x)
    raise ValueError(f"rescaling {kind!r} is not known")


def logits(x: Tensor, channels: int) -> Tensor:
    """The last layer: a value each channel, float32 whatever the policy."""
    return layers.Conv2D(channels, 1, dtype="float32", name="logits")(x)


def network(x: Tensor, y: Tensor, name: str) -> Tensor:
    """Close the graph."""
    return keras.Model(x, y, name=name)

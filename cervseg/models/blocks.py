"""Parts that networks share."""

from collections.abc import Sequence
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
    normalize_after: Literal["convolution", "activation"] = "convolution",
) -> Tensor:
    """Convolution, normalisation, activation; or the last two the other way round.

    He initialisation (He et al., 2015); no bias before a normalisation that has its own. That over
    channels keeps the bias: without it each pixel's brightness would cancel out (on the demo,
    Dice 0.34 instead of learning).
    """
    x = layers.Conv2D(
        filters,
        kernel,
        padding="same",
        dilation_rate=dilation,
        use_bias=normalization in ("none", "layer") or normalize_after == "activation",
        kernel_initializer="he_normal",
        name=name,
    )(x)
    activate = layers.Activation(activation, name=f"{name}_act")
    if normalize_after == "activation":
        return normalize(activate(x), normalization, name)
    return activate(normalize(x, normalization, name))


def rescale(x: Tensor, kind: Literal["unit", "none"]) -> Tensor:
    """The first layer: [0, 255] to [0, 1], or as it is."""
    if kind == "none":
        return x
    if kind == "unit":
        return layers.Rescaling(1 / 255, name="rescaling")(x)
    raise ValueError(f"rescaling {kind!r} is not known")


def logits(x: Tensor, channels: int, *, kernel: int = 1, name: str = "logits") -> Tensor:
    """The last layer: a value each channel, float32 whatever the policy."""
    return layers.Conv2D(channels, kernel, padding="same", dtype="float32", name=name)(x)


def resize(x: Tensor, factor: int, name: str) -> Tensor:
    """Enlarge bilinearly by a whole factor; keeps the dtype of its input."""
    if factor == 1:
        return x
    # Without the dtype, a mixed policy would round float32 logits.
    return layers.UpSampling2D(factor, interpolation="bilinear", dtype=x.dtype, name=name)(x)


def network(x: Tensor, y: Tensor | Sequence[Tensor], name: str) -> Tensor:
    """Close the graph; of several outputs the final one stands first."""
    return keras.Model(x, y, name=name)

"""Parts that networks share."""

from collections.abc import Callable, Sequence
from typing import Literal

import keras
from keras import layers

from cervseg.arrays import Tensor
from cervseg.models.normalization import BatchNormalization

MOST_FILTERS = 8192
"""Of a bottleneck; a convolution of that many has 600 million weights already."""

Normalization = Literal["none", "batch", "layer", "group"]


def normalize(x: Tensor, kind: Normalization, name: str) -> Tensor:
    """Normalise after a convolution.

    `layer` works over channels at each pixel, so it depends neither on batch mates nor on the
    tile. `group` (Wu & He, 2018) takes its statistics over the whole tile.
    """
    if kind == "batch":
        # Keras's momentum of 0.99 lags behind for hundreds of steps; short trainings end before.
        return BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
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


def u_shape(
    x: Tensor,
    *,
    base_filters: int,
    num_layers: int,
    conv_at: Callable[[int], Callable[..., Tensor]],
    dropout_rate: float,
    dropout_seed: int | None,
    pass_skip: Callable[[Tensor, Tensor, int], Tensor],
) -> Tensor:
    """Go down and up the levels of a U-Net (Ronneberger et al., 2015), padded.

    Args:
        x: Shape (n, height, width, channels).
        base_filters: Of level 0; level i has 2^i times as many.
        num_layers: Levels, the bottleneck included.
        conv_at: Of a level: `conv(x, filters, name=…)`, of which each has two.
        dropout_rate: In [0, 1); level i drops min(0.9, i · rate) between the two.
        dropout_seed: Of the dropout masks; None draws one.
        pass_skip: From a level's features, those of the level below on the way up, and its
            number, to what is joined there.

    Returns:
        Level 0, shape (n, height, width, base_filters).

    Raises:
        ValueError: The bottleneck would have over 8192 filters.
    """

    def level(x: Tensor, i: int, name: str) -> Tensor:
        filters = base_filters * 2**i
        x = conv_at(i)(x, filters, name=f"{name}_conv1")
        if dropout_rate * i:
            up = num_layers * name.startswith("up")  # no two layers share their masks
            seed = None if dropout_seed is None else dropout_seed + i + up
            rate = min(0.9, dropout_rate * i)
            x = layers.Dropout(rate, seed=seed, name=f"{name}_dropout")(x)
        return conv_at(i)(x, filters, name=f"{name}_conv2")

    if num_layers > 14 or base_filters * 2 ** (num_layers - 1) > MOST_FILTERS:
        raise ValueError(f"the bottleneck would have over {MOST_FILTERS} filters")
    skips = []
    for i in range(num_layers - 1):
        x = level(x, i, f"down{i}")
        skips.append(x)
        x = layers.MaxPooling2D(2, name=f"down{i}_pool")(x)
    x = level(x, num_layers - 1, "bottleneck")
    for i in reversed(range(num_layers - 1)):
        skip, filters = pass_skip(skips[i], x, i), base_filters * 2**i
        x = layers.Conv2DTranspose(filters, 2, strides=2, padding="same", name=f"up{i}_expand")(x)
        x = layers.Concatenate(name=f"up{i}_skip")([x, skip])
        x = level(x, i, f"up{i}")
    return x


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

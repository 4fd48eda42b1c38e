"""U-Net whose skips pass additive attention gates."""

from functools import partial
from typing import Literal

import keras
from keras import layers

from cervseg.arrays import Tensor
from cervseg.models.blocks import (
    Normalization,
    convolve,
    logits,
    network,
    normalize,
    rescale,
    resize,
)

MOST_FILTERS = 8192
"""Of the bottleneck; a convolution of that many has 600 million weights already."""


def build(
    input_shape: tuple[int | None, int | None, int],
    channels: int,
    *,
    base_filters: int = 16,
    num_layers: int = 5,
    dropout_rate: float = 0.0,
    dropout_seed: int | None = None,
    activation: str = "relu",
    normalization: Normalization = "batch",
    rescaling: Literal["unit", "none"] = "unit",
) -> Tensor:
    """Build an Attention U-Net.

    Oktay et al., 2018, https://arxiv.org/abs/1804.03999, in two dimensions. Every skip passes a
    `gate` that the next coarser level steers; theirs leaves the finest skip without one and adds
    deep supervision. `num_layers` counts the levels with the bottleneck; level i has
    `base_filters` · 2^i filters and dropout of i · `dropout_rate` between its two convolutions.

    Args:
        input_shape: Height, width (None: any multiple of 2^(num_layers - 1)), channels.
        channels: Of the logits.
        base_filters: Filters of level 0.
        num_layers: Levels, the bottleneck included.
        dropout_rate: In [0, 1); level i drops min(0.9, i · rate).
        dropout_seed: Of the dropout masks; None draws one.
        activation: Any of Keras.
        normalization: After each convolution, those of the gates too.
        rescaling: `unit` maps [0, 255] to [0, 1] first.

    Returns:
        A model from (n, height, width, input channels) in [0, 255] to float32 logits
        (n, height, width, channels).

    Raises:
        ValueError: The bottleneck would have over 8192 filters.
    """

    def level(x: Tensor, i: int, name: str) -> Tensor:
        conv = partial(
            convolve,
            filters=base_filters * 2**i,
            activation=activation,
            normalization=normalization,
        )
        x = conv(x, name=f"{name}_conv1")
        if dropout_rate * i:
            up = num_layers * name.startswith("up")  # no two layers share their masks
            seed = None if dropout_seed is None else dropout_seed + i + up
            rate = min(0.9, dropout_rate * i)
            x = layers.Dropout(rate, seed=seed, name=f"{name}_dropout")(x)
        return conv(x, name=f"{name}_conv2")

    if num_layers > 14 or base_filters * 2 ** (num_layers - 1) > MOST_FILTERS:
        raise ValueError(f"the bottleneck would have over {MOST_FILTERS} filters")
    inputs = keras.Input(input_shape, name="image")
    x = rescale(inputs, rescaling)
    skips = []
    for i in range(num_layers - 1):
        x = level(x, i, f"down{i}")
        skips.append(x)
        x = layers.MaxPooling2D(2, name=f"down{i}_pool")(x)
    x = level(x, num_layers - 1, "bottleneck")
    for i in reversed(range(num_layers - 1)):
        skip = gate(
            skips[i], x, activation=activation, normalization=normalization, name=f"up{i}_gate"
        )
        filters = base_filters * 2**i
        x = layers.Conv2DTranspose(filters, 2, strides=2, padding="same", name=f"up{i}_expand")(x)
        x = layers.Concatenate(name=f"up{i}_skip")([x, skip])
        x = level(x, i, f"up{i}")
    return network(inputs, logits(x, channels), "attention_unet")


def gate(
    skip: Tensor,
    signal: Tensor,
    *,
    name: str,
    activation: str = "relu",
    normalization: Normalization = "none",
) -> Tensor:
    """Weigh each pixel of a skip by how well it agrees with what the coarser level sees there.

        skip · enlarge(sigmoid(psi · activation(W_skip ∗ skip + W_signal · signal + b) + b_psi))

    The sum is taken on the grid of the signal, W_skip being a 2 × 2 convolution of stride 2, and
    its width (F_int, open in the paper) is that of the skip: both as in the authors' code. One
    weight a pixel, enlarged bilinearly. The authors' code, not the formula of the paper, adds a
    1 × 1 convolution with batch normalisation after it; we don't.

    Args:
        skip: Shape (n, 2 · height, 2 · width, filters).
        signal: Of the coarser level, shape (n, height, width, any).
        name: Its layers' names begin so.
        activation: Of the sum; ReLU in the paper.
        normalization: After each of the three convolutions; theirs has none.

    Returns:
        The skip's shape; each pixel times a number in (0, 1).
    """
    filters = skip.shape[-1]
    cancels = normalization not in ("none", "layer")
    conv = partial(layers.Conv2D, padding="same", kernel_initializer="he_normal")
    seen = conv(filters, 2, strides=2, use_bias=False, name=f"{name}_skip")(skip)
    seen = normalize(seen, normalization, f"{name}_skip")
    asked = conv(filters, 1, use_bias=not cancels, name=f"{name}_signal")(signal)
    asked = normalize(asked, normalization, f"{name}_signal")
    x = layers.Add(name=f"{name}_add")([seen, asked])
    x = layers.Activation(activation, name=f"{name}_act")(x)
    # Of one channel, a norm over channels would be a constant.
    kind: Normalization = "none" if normalization == "layer" else normalization
    x = layers.Conv2D(1, 1, use_bias=not cancels, name=f"{name}_psi")(x)
    x = normalize(x, kind, f"{name}_psi")
    x = layers.Activation("sigmoid", name=f"{name}_sigmoid")(x)  # (n, height, width, 1)
    return layers.Multiply(name=f"{name}_multiply")([skip, resize(x, 2, f"{name}_resize")])

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
    u_shape,
)


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
    conv = partial(convolve, activation=activation, normalization=normalization)
    weigh = partial(gate, activation=activation, normalization=normalization)
    inputs = keras.Input(input_shape, name="image")
    x = u_shape(
        rescale(inputs, rescaling),
        base_filters=base_filters,
        num_layers=num_layers,
        conv_at=lambda i: conv,
        dropout_rate=dropout_rate,
        dropout_seed=dropout_seed,
        pass_skip=lambda skip, below, i: weigh(skip, below, name=f"up{i}_gate"),
    )
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

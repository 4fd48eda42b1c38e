"""U-Net of MultiRes blocks, its skips drawn out to res-paths."""

from functools import partial
from typing import Literal

import keras
from keras import layers

from cervseg.arrays import Tensor
from cervseg.models.blocks import (
    MOST_FILTERS,
    Normalization,
    convolve,
    logits,
    network,
    normalize,
    rescale,
)


def build(
    input_shape: tuple[int | None, int | None, int],
    channels: int,
    *,
    base_filters: int = 32,
    num_layers: int = 5,
    alpha: float = 1.67,
    activation: str = "relu",
    normalization: Normalization = "batch",
    rescaling: Literal["unit", "none"] = "unit",
) -> Tensor:
    """Build a MultiResUNet.

    Ibtehaz & Rahman, 2019, https://arxiv.org/abs/1902.04049. Level i is a `multires_block` as wide
    as `alpha` times the U-Net's `base_filters` · 2^i filters, and its skip a `res_path` of as many
    units as there are levels below it (4, 3, 2, 1 in the paper's five levels). Our head is linear,
    theirs normalised.

    Args:
        input_shape: Height, width (None: any multiple of 2^(num_layers - 1)), channels.
        channels: Of the logits.
        base_filters: Of level 0 in the U-Net it replaces.
        num_layers: Levels, the bottleneck included.
        alpha: Width of a block over that of the U-Net's level.
        activation: Any of Keras.
        normalization: After each convolution, each concatenation, each sum.
        rescaling: `unit` maps [0, 255] to [0, 1] first.

    Returns:
        A model from (n, height, width, input channels) in [0, 255] to float32 logits
        (n, height, width, channels).

    Raises:
        ValueError: The blocks would be too narrow to split, or the bottleneck too wide.
    """
    if num_layers > 14 or alpha * base_filters * 2 ** (num_layers - 1) > MOST_FILTERS:
        raise ValueError(f"the bottleneck would have over {MOST_FILTERS} filters")
    least = 2 if normalization == "layer" else 1  # the norm of a single channel is a constant
    if shares(alpha * base_filters)[0] < least:
        raise ValueError(f"alpha · base_filters is under {6 * least}, too narrow to split")
    block = partial(multires_block, activation=activation, normalization=normalization)
    path = partial(res_path, activation=activation, normalization=normalization)
    inputs = keras.Input(input_shape, name="image")
    x = rescale(inputs, rescaling)
    skips = []
    for i in range(num_layers - 1):
        filters = base_filters * 2**i
        x = block(x, alpha * filters, name=f"down{i}")
        skips.append(path(x, filters, units=num_layers - 1 - i, name=f"skip{i}"))
        x = layers.MaxPooling2D(2, name=f"down{i}_pool")(x)
    x = block(x, alpha * base_filters * 2 ** (num_layers - 1), name="bottleneck")
    for i in reversed(range(num_layers - 1)):
        filters = base_filters * 2**i
        x = layers.Conv2DTranspose(filters, 2, strides=2, padding="same", name=f"up{i}_expand")(x)
        x = layers.Concatenate(name=f"up{i}_skip")([x, skips[i]])
        x = block(x, alpha * filters, name=f"up{i}")
    return network(inputs, logits(x, channels), "multires_unet")


def shares(width: float) -> tuple[int, int, int]:
    """Filters of a block's three convolutions: a sixth, a third and a half of its width."""
    return int(width / 6), int(width / 3), int(width / 2)


def multires_block(
    x: Tensor, width: float, *, name: str, activation: str, normalization: Normalization
) -> Tensor:
    """Three 3 × 3 convolutions in a row, whose outputs together see 3 × 3, 5 × 5 and 7 × 7.

        norm(activation(norm(conv1 | conv2 | conv3) + shortcut))

    The shortcut is a 1 × 1 convolution of the block's input; every convolution is normalised, all
    but the shortcut activated.

    Args:
        x: Shape (n, height, width, any).
        width: Filters, in the proportions of `shares`; need not be whole.
        name: Its layers' names begin so.
        activation: Any of Keras.
        normalization: Of `blocks.normalize`.
    """
    filters = shares(width)
    conv = partial(convolve, normalization=normalization)
    shortcut = conv(x, sum(filters), kernel=1, activation="linear", name=f"{name}_shortcut")
    outputs = []
    for i, count in enumerate(filters, start=1):
        x = conv(x, count, activation=activation, name=f"{name}_conv{i}")
        outputs.append(x)
    x = layers.Concatenate(name=f"{name}_join")(outputs)
    x = normalize(x, normalization, f"{name}_join")
    x = layers.Add(name=f"{name}_add")([shortcut, x])
    x = layers.Activation(activation, name=f"{name}_act")(x)
    return normalize(x, normalization, name)


def res_path(
    x: Tensor,
    filters: int,
    *,
    units: int,
    name: str,
    activation: str,
    normalization: Normalization,
) -> Tensor:
    """A skip of convolutions with residual connections, so that it is as deep as what it meets.

        norm(activation(conv3x3 + conv1x1))      each unit of the next

    Args:
        x: Shape (n, height, width, any).
        filters: Of every convolution.
        units: How many times.
        name: Its layers' names begin so.
        activation: Any of Keras; not of the 1 × 1 convolution.
        normalization: Of `blocks.normalize`; of both convolutions too.
    """
    conv = partial(convolve, filters=filters, normalization=normalization)
    for i in range(1, units + 1):
        unit = f"{name}_unit{i}"
        shortcut = conv(x, kernel=1, activation="linear", name=f"{unit}_shortcut")
        x = conv(x, activation=activation, name=f"{unit}_conv")
        x = layers.Add(name=f"{unit}_add")([shortcut, x])
        x = layers.Activation(activation, name=f"{unit}_act")(x)
        x = normalize(x, normalization, unit)
    return x

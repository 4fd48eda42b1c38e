"""BASNet: a U-shaped prediction, corrected by a second small U-Net."""

from collections.abc import Callable, Sequence
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

BLOCKS = (3, 4, 6, 3, 3, 3)
"""Residual blocks of each stage: ResNet-34's four, then two more."""

STRIDED = 4
"""Stages of ResNet-34, which shrink by a strided convolution; later ones by max pooling."""

REFINEMENT_LEVELS = 4

MOST_FILTERS = 1024
"""Of level 0: eight times as many below are 600 million weights a convolution already."""


def build(
    input_shape: tuple[int | None, int | None, int],
    channels: int,
    *,
    base_filters: int = 64,
    num_layers: int = 6,
    activation: str = "relu",
    normalization: Normalization = "batch",
    rescaling: Literal["unit", "none"] = "unit",
) -> Tensor:
    """Build a BASNet.

    Qin et al., 2019, https://doi.org/10.1109/CVPR.2019.00766, and 2021,
    https://arxiv.org/abs/2101.04704. The prediction has the stages of a ResNet-34, with a first
    convolution of 3 x 3 at full size instead of 7 x 7 and pooling, two more such stages, a bridge
    of dilated convolutions and a decoder; the refinement adds what it finds to the logits of
    level 0. Where the papers are silent we follow the authors' program: the widths of the decoder
    and the dilations of its deepest stage. They start from ImageNet's weights, we from scratch;
    they refine one class, we all at once. Their hybrid loss is not part of the network.

    Args:
        input_shape: Height, width (None: any multiple of 2^(num_layers - 1) and 16), channels.
        channels: Of the logits.
        base_filters: Filters of level 0 and of the refinement; level i of the prediction has
            2^i times as many, at most 8 times. Theirs are 64.
        num_layers: Stages of the encoder, 2 to 6; theirs are 6.
        activation: Any of Keras.
        normalization: After each convolution.
        rescaling: `unit` maps [0, 255] to [0, 1] first.

    Returns:
        A model from (n, height, width, input channels) in [0, 255] to num_layers + 2 times
        float32 logits (n, height, width, channels): refined, then of the decoder's levels 0, 1, …
        and of the bridge.

    Raises:
        ValueError: Levels or filters are out of bounds.
    """
    if not 2 <= num_layers <= len(BLOCKS):
        raise ValueError(f"a BASNet has 2 to {len(BLOCKS)} levels")
    if not 1 <= base_filters <= MOST_FILTERS:
        raise ValueError(f"base_filters {base_filters} is not from 1 to {MOST_FILTERS}")
    conv = partial(convolve, activation=activation, normalization=normalization)
    filters = [base_filters * min(2**i, 8) for i in range(num_layers)]
    inputs = keras.Input(input_shape, name="image")
    x = rescale(inputs, rescaling)
    skips = _encode(x, filters, conv, normalization=normalization, activation=activation)
    bridge = skips[-1]
    for part in ("conv1", "conv2", "conv3"):
        bridge = conv(bridge, filters[-1], dilation=2, name=f"bridge_{part}")
    sides = []
    for i, x in enumerate([*_decode(bridge, skips, conv), bridge]):
        x = logits(x, channels, kernel=3, name=f"side{i + 1}_logits")
        sides.append(resize(x, 2 ** min(i, num_layers - 1), f"side{i + 1}_resize"))
    return network(inputs, [_refine(sides[0], base_filters, conv), *sides], "basnet")


def _encode(
    x: Tensor,
    filters: Sequence[int],
    conv: Callable[..., Tensor],
    *,
    normalization: Normalization,
    activation: str,
) -> list[Tensor]:
    """The answers of all stages, the first at full size."""
    residual = partial(_residual, conv=conv, normalization=normalization, activation=activation)
    x = conv(x, filters[0], name="in")
    skips: list[Tensor] = []
    for i, wide in enumerate(filters):
        if i >= STRIDED:
            x = layers.MaxPooling2D(2, name=f"down{i - 1}_pool")(x)
        for block in range(BLOCKS[i]):
            stride = 2 if 0 < i < STRIDED and block == 0 else 1
            x = residual(x, wide, stride=stride, name=f"down{i}_block{block + 1}")
        skips.append(x)
    return skips


def _residual(
    x: Tensor,
    filters: int,
    *,
    stride: int,
    conv: Callable[..., Tensor],
    normalization: Normalization,
    activation: str,
    name: str,
) -> Tensor:
    """The basic block of He et al., 2015, https://arxiv.org/abs/1512.03385.

        activate(x + norm(conv(activate(norm(conv(x))))))

    With a stride the first convolution shrinks, and a 1 x 1 convolution brings x along.
    """
    shortcut = x
    if stride == 1:
        x = conv(x, filters, name=f"{name}_conv1")
    else:
        # Every other pixel, then 1 x 1: in one strided convolution of up to 8 channels, oneDNN's
        # gradient writes past its memory (TensorFlow 2.21).
        shortcut = layers.MaxPooling2D(1, strides=stride, name=f"{name}_shortcut_pick")(x)
        shortcut = conv(shortcut, filters, kernel=1, activation="linear", name=f"{name}_shortcut")
        x = _shrink(x, filters, stride, normalization=normalization, name=f"{name}_conv1")
        x = layers.Activation(activation, name=f"{name}_conv1_act")(x)
    x = conv(x, filters, activation="linear", name=f"{name}_conv2")
    x = layers.Add(name=f"{name}_sum")([x, shortcut])
    return layers.Activation(activation, name=f"{name}_act")(x)


def _shrink(
    x: Tensor, filters: int, stride: int, *, normalization: Normalization, name: str
) -> Tensor:
    """Strided convolution and normalisation."""
    # `same` would pad behind alone: the windows' centres would leave the pixels of the shortcut.
    x = layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
    x = layers.Conv2D(
        filters,
        3,
        strides=stride,
        use_bias=normalization in ("none", "layer"),
        kernel_initializer="he_normal",
        name=name,
    )(x)
    return normalize(x, normalization, name)


def _decode(x: Tensor, skips: Sequence[Tensor], conv: Callable[..., Tensor]) -> list[Tensor]:
    """The answers of all stages, the first at full size; a stage ends as wide as the next one."""
    levels: list[Tensor] = []
    for i, skip in reversed(list(enumerate(skips))):
        dilation = 1 if levels else 2  # in the deepest stage
        x = resize(x, 2 if levels else 1, f"up{i}_resize")
        x = layers.Concatenate(name=f"up{i}_skip")([x, skip])
        x = conv(x, skip.shape[-1], name=f"up{i}_conv1")
        x = conv(x, skip.shape[-1], dilation=dilation, name=f"up{i}_conv2")
        x = conv(x, skips[max(i - 1, 0)].shape[-1], dilation=dilation, name=f"up{i}_conv3")
        levels.insert(0, x)
    return levels


def _refine(coarse: Tensor, filters: int, conv: Callable[..., Tensor]) -> Tensor:
    """The residual refinement: coarse logits plus what a U-Net of one width makes of them."""
    x = conv(coarse, filters, activation="linear", normalization="none", name="refine_in")
    skips: list[Tensor] = []
    for i in range(REFINEMENT_LEVELS):
        x = conv(x, filters, name=f"refine_down{i}_conv")
        skips.append(x)
        x = layers.MaxPooling2D(2, name=f"refine_down{i}_pool")(x)
    x = conv(x, filters, name="refine_bottleneck_conv")
    for i in reversed(range(REFINEMENT_LEVELS)):
        x = resize(x, 2, f"refine_up{i}_resize")
        x = layers.Concatenate(name=f"refine_up{i}_skip")([x, skips[i]])
        x = conv(x, filters, name=f"refine_up{i}_conv")
    residual = logits(x, coarse.shape[-1], kernel=3, name="refine_residual")
    # Without the dtype, a mixed policy would round both on their way into the sum.
    return layers.Add(dtype="float32", name="logits")([coarse, residual])

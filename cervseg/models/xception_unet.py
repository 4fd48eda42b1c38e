"""Separable convolutions down, plain ones up, residuals around both."""

from collections.abc import Sequence
from functools import partial
from typing import Literal

import keras
from keras import layers

from cervseg.arrays import Tensor
from cervseg.models.blocks import Normalization, logits, network, normalize, rescale


def build(
    input_shape: tuple[int | None, int | None, int],
    channels: int,
    *,
    base_filters: int = 32,
    filters: Sequence[int] = (64, 128, 256),
    dilation: Sequence[int] = (1, 1),
    activation: str = "relu",
    normalization: Normalization = "batch",
    rescaling: Literal["unit", "none"] = "unit",
) -> Tensor:
    """Build the Xception-like network of Keras's tutorial on the Oxford pets.

    https://keras.io/examples/vision/oxford_pets_image_segmentation, after Chollet, 2017,
    https://arxiv.org/abs/1610.02357. It is called a U-Net there but has no skips from the way down
    to the way up: each block adds a 1 × 1 convolution of its input to its output. A convolution
    of stride 2 opens; down{i} has `filters`[i], up{i} mirrors it, the last up has `base_filters`.
    Theirs has a bias before every normalisation, and adds after enlarging, not before: with
    nearest neighbours the same numbers for four times the work.

    Args:
        input_shape: Height, width (None: any multiple of 2^(len(filters) + 1)), channels.
        channels: Of the logits.
        base_filters: Of the first convolution and of the last block.
        filters: Of each block on the way down.
        dilation: Of all 3 × 3 convolutions but the first and the last, two equal numbers.
        activation: Any of Keras.
        normalization: After each convolution inside a block.
        rescaling: `unit` maps [0, 255] to [0, 1] first.

    Returns:
        A model from (n, height, width, input channels) in [0, 255] to float32 logits
        (n, height, width, channels).
    """
    inputs = keras.Input(input_shape, name="image")
    x = rescale(inputs, rescaling)
    x = layers.Conv2D(
        base_filters,
        3,
        strides=2,
        padding="same",
        use_bias=normalization in ("none", "layer"),
        kernel_initializer="he_normal",
        name="entry_conv",
    )(x)
    x = normalize(x, normalization, "entry_conv")
    x = layers.Activation(activation, name="entry_conv_act")(x)
    conv = partial(ready, dilation=dilation[0], activation=activation, normalization=normalization)
    for i, count in enumerate(filters):
        # Picked, then convolved: the gradient of a strided 1 x 1 convolution of few channels
        # corrupts memory in TensorFlow 2.21 on CPU.
        residual = layers.MaxPooling2D(1, strides=2, name=f"down{i}_residual_pick")(x)
        residual = layers.Conv2D(count, 1, name=f"down{i}_residual")(residual)
        x = conv(x, count, separable=True, name=f"down{i}_conv1")
        x = conv(x, count, separable=True, name=f"down{i}_conv2")
        x = layers.MaxPooling2D(3, strides=2, padding="same", name=f"down{i}_pool")(x)
        x = layers.Add(name=f"down{i}_add")([x, residual])
    for i, count in reversed(list(enumerate([base_filters, *filters]))):
        residual = layers.Conv2D(count, 1, name=f"up{i}_residual")(x)
        x = conv(x, count, name=f"up{i}_conv1")
        x = conv(x, count, name=f"up{i}_conv2")
        x = layers.Add(name=f"up{i}_add")([x, residual])
        x = layers.UpSampling2D(2, name=f"up{i}_enlarge")(x)
    return network(inputs, logits(x, channels, kernel=3), "xception_unet")


def ready(
    x: Tensor,
    filters: int,
    *,
    name: str,
    separable: bool = False,
    dilation: int = 1,
    activation: str = "relu",
    normalization: Normalization = "batch",
) -> Tensor:
    """Activation, 3 × 3 convolution, normalisation: in this order, so that sums stay linear."""
    x = layers.Activation(activation, name=f"{name}_act")(x)
    convolution = partial(layers.Conv2D, kernel_initializer="he_normal")
    if separable:
        convolution = partial(
            layers.SeparableConv2D,
            # Keeps the scale; Keras would count all channels as inputs of a depthwise kernel.
            depthwise_initializer=keras.initializers.VarianceScaling(1.0, mode="fan_out"),
            pointwise_initializer="he_normal",
        )
    bias = normalization in ("none", "layer")  # as in blocks.convolve
    x = convolution(filters, 3, padding="same", dilation_rate=dilation, use_bias=bias, name=name)(x)
    return normalize(x, normalization, name)

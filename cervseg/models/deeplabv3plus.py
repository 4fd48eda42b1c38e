"""DeepLabV3+."""

from collections.abc import Sequence
from functools import partial

import keras
from keras import layers

from cervseg.arrays import Tensor
from cervseg.models.blocks import Normalization, convolve, logits, network, normalize, resize
from cervseg.models.encoders import encode

LOW_LEVEL_FILTERS = 48
DEPTHWISE = partial(keras.initializers.VarianceScaling, 1.0, mode="fan_out")
"""Keeps the scale; Keras would count all channels as inputs of a depthwise kernel."""


def build(
    input_shape: tuple[int | None, int | None, int],
    channels: int,
    *,
    encoder: str = "resnet50",
    freeze_encoder: bool | int = False,
    freeze_norms: bool = True,
    atrous_rates: Sequence[int] = (6, 12, 18),
    decoder_filters: int = 256,
    activation: str = "relu",
    normalization: Normalization = "batch",
) -> Tensor:
    """Build DeepLabV3+ at output stride 16.

    Chen et al., 2018, https://arxiv.org/abs/1802.02611: atrous spatial pyramid pooling over an
    encoder whose last stage is dilated by 2 instead of strided, then a decoder at stride 4 that
    sees the encoder's feature of that stride through 48 channels. The 3 × 3 convolutions of both
    are separable (section 3.1 of the paper). We leave out the multi-grid of DeepLabV3, and any
    encoder of ours will do; theirs are ResNet-101 and a modified Xception.

    Args:
        input_shape: Height, width (None: any multiple of 16), 1 or 3 channels.
        channels: Of the logits.
        encoder: Any of `encoders.py`; `resnet50`, `mobilenet_v3_large`, `mobilenet_v3_small`.
        freeze_encoder: True, or all of its layers but the last so many.
        freeze_norms: False trains the encoder's normalisations even where it is frozen.
        atrous_rates: Dilations of the pyramid's 3 × 3 convolutions.
        decoder_filters: Of the pyramid's branches and of the decoder; theirs: 256.
        activation: Outside the encoder, any of Keras.
        normalization: After each convolution outside the encoder.

    Returns:
        A model from (n, height, width, input channels) in [0, 255] to float32 logits
        (n, height, width, channels), computed at stride 4 and enlarged bilinearly.

    Raises:
        ValueError: An atrous rate stands twice, or the encoder is not known.
    """
    if len(set(atrous_rates)) < len(atrous_rates):
        raise ValueError(f"a rate stands twice in atrous_rates {list(atrous_rates)}")
    inputs = keras.Input(input_shape, name="image")
    _, low, *_, x = encode(
        inputs, encoder, freeze=freeze_encoder, freeze_norms=freeze_norms, output_stride=16
    )
    conv = partial(convolve, kernel=1, activation=activation, normalization=normalization)
    wide = partial(separable, activation=activation, normalization=normalization)
    x = pyramid(
        x, decoder_filters, atrous_rates, activation=activation, normalization=normalization
    )
    x = resize(x, 4, "decoder_resize")
    x = layers.Concatenate(name="decoder_skip")([x, conv(low, LOW_LEVEL_FILTERS, name="low_level")])
    x = wide(x, decoder_filters, name="decoder_conv1")
    x = wide(x, decoder_filters, name="decoder_conv2")
    return network(inputs, resize(logits(x, channels), 4, "logits_resize"), "deeplabv3plus")


def pyramid(
    x: Tensor,
    filters: int,
    rates: Sequence[int],
    *,
    activation: str = "relu",
    normalization: Normalization = "batch",
) -> Tensor:
    """Look at each pixel's surroundings through several dilations, and at the whole tile.

    The paper stands the branches side by side and mixes them by a 1 × 1 convolution. The part of
    it that mixes the pooled branch is applied before the one vector of the tile is spread over
    the pixels: the same numbers, whatever the size.

    Args:
        x: Shape (n, height, width, any).
        filters: Of each branch and of the result.
        rates: A branch each.
        activation: After each normalisation.
        normalization: After each convolution.

    Returns:
        Shape (n, height, width, filters).
    """
    conv = partial(convolve, kernel=1, activation=activation, normalization=normalization)
    wide = partial(separable, activation=activation, normalization=normalization)
    branches = [conv(x, filters, name="aspp_conv")]
    branches += [wide(x, filters, name=f"aspp_rate{rate}", dilation=rate) for rate in rates]
    pooled = layers.GlobalAveragePooling2D(keepdims=True, name="aspp_pool")(x)
    pooled = conv(pooled, filters, name="aspp_pool_conv")  # (n, 1, 1, filters)
    bias = normalization in ("none", "layer")
    mix = partial(layers.Conv2D, filters, 1, kernel_initializer="he_normal")
    mixed = [
        mix(use_bias=bias, name="aspp_mix")(layers.Concatenate(name="aspp_concat")(branches)),
        mix(use_bias=False, name="aspp_pool_mix")(pooled),
    ]
    x = normalize(layers.Add(name="aspp_add")(mixed), normalization, "aspp_mix")
    return layers.Activation(activation, name="aspp_mix_act")(x)


def separable(
    x: Tensor,
    filters: int,
    *,
    name: str,
    dilation: int = 1,
    activation: str = "relu",
    normalization: Normalization = "batch",
) -> Tensor:
    """A 3 × 3 convolution of each channel by itself, one of 1 × 1 across, normalisation."""
    x = layers.SeparableConv2D(
        filters,
        3,
        padding="same",
        dilation_rate=dilation,
        use_bias=normalization in ("none", "layer"),
        depthwise_initializer=DEPTHWISE(),
        pointwise_initializer="he_normal",
        name=name,
    )(x)
    x = normalize(x, normalization, name)
    return layers.Activation(activation, name=f"{name}_act")(x)

"""SegFormer: a hierarchical transformer encoder with an all-MLP decoder."""

from collections.abc import Iterator
from functools import partial
from typing import Literal, NamedTuple

import keras
from keras import layers

from cervseg.arrays import Tensor
from cervseg.models.attention import (
    Attention,
    Draws,
    attention,
    linear,
    normalize_channels,
    residual,
    seeds,
)
from cervseg.models.blocks import Normalization, convolve, logits, network, rescale, resize


class Size(NamedTuple):
    """What tells one SegFormer from another: filters and blocks of each stage, the decoder."""

    filters: tuple[int, int, int, int]
    blocks: tuple[int, int, int, int]
    decoder: int


SIZES = {
    "b0": Size((32, 64, 160, 256), (2, 2, 2, 2), 256),
    "b1": Size((64, 128, 320, 512), (2, 2, 2, 2), 256),
    "b2": Size((64, 128, 320, 512), (3, 4, 6, 3), 768),
}
HEADS = (1, 2, 5, 8)
REDUCTIONS = (8, 4, 2, 1)
EXPANSION = 4


def build(
    input_shape: tuple[int | None, int | None, int],
    channels: int,
    *,
    size: Literal["b0", "b1", "b2"] = "b0",
    drop_path_rate: float = 0.1,
    dropout_rate: float = 0.1,
    dropout_seed: int | None = None,
    normalization: Normalization = "batch",
    rescaling: Literal["unit", "none"] = "unit",
) -> Tensor:
    """Build a SegFormer.

    Xie et al., 2021, https://arxiv.org/abs/2105.15203. Four stages at 1/4, 1/8, 1/16 and 1/32 of
    the image; attention sees the whole tile through keys reduced 8, 4, 2 and 1 times. Every
    Mix-FFN is 4 times as wide as its stage, which gives the paper's parameter counts. Biases that
    a softmax or a batch normalisation would cancel are left out. The logits at 1/4 are enlarged
    bilinearly. Starts from random weights, theirs from a classifier's.

    Args:
        input_shape: Height, width (None: any multiple of 32), channels.
        channels: Of the logits.
        size: `b0` has 3.7 million parameters, `b1` 13.7, `b2` 27.5.
        drop_path_rate: In [0, 1); share of images that skip a branch of the last block in
            training, falling linearly to 0 at the first.
        dropout_rate: In [0, 1); share of the decoder's channels dropped before the logits.
        dropout_seed: Of both; None draws one.
        normalization: Of the decoder; the encoder's is over channels.
        rescaling: `unit` maps [0, 255] to [0, 1] first.

    Returns:
        A model from (n, height, width, input channels) in [0, 255] to float32 logits
        (n, height, width, channels).

    Raises:
        ValueError: The size is not known.
    """
    if size not in SIZES:
        raise ValueError(f"size {size!r} is not known")
    inputs = keras.Input(input_shape, name="image")
    x = rescale(inputs, rescaling)
    draws = seeds(dropout_seed)
    deepest = sum(SIZES[size].blocks) - 1
    rates = (drop_path_rate * block / deepest for block in range(deepest + 1))
    features = []
    for i in range(4):
        x = stage(x, i, size=SIZES[size], rates=rates, draws=draws)
        features.append(x)
    x = decode(features, SIZES[size].decoder, normalization=normalization)
    if dropout_rate:
        x = layers.SpatialDropout2D(dropout_rate, seed=next(draws), name="decoder_dropout")(x)
    return network(inputs, resize(logits(x, channels), 4, "logits_resize"), "segformer")


def stage(x: Tensor, i: int, *, size: Size, rates: Iterator[float], draws: Draws) -> Tensor:
    """Embed overlapping patches, then transform them.

    Patches of 7 pixels every 4 in the first stage, of 3 every 2 in the others; zeros around. Each
    block adds to x attention, then a Mix-FFN, both of the normalised x.
    """
    name, filters = f"stage{i}", size.filters[i]
    x = layers.ZeroPadding2D(1 if i else 3, name=f"{name}_pad")(x)
    x = layers.Conv2D(
        filters,
        3 if i else 7,
        strides=2 if i else 4,
        kernel_initializer=_spread(),
        name=f"{name}_embed",
    )(x)
    x = normalize_channels(x, f"{name}_embed_norm")
    for block in range(size.blocks[i]):
        part = f"{name}_block{block}"
        add = partial(residual, drop_path_rate=next(rates), draws=draws)
        y = normalize_channels(x, f"{part}_attention_norm")
        y = reduced_attention(y, HEADS[i], reduction=REDUCTIONS[i], name=f"{part}_attention")
        x = add(x, y, name=f"{part}_attention")
        y = normalize_channels(x, f"{part}_mlp_norm")
        y = mix_ffn(y, EXPANSION * filters, name=f"{part}_mlp")
        x = add(x, y, name=f"{part}_mlp")
    return normalize_channels(x, f"{name}_norm")


def reduced_attention(x: Tensor, heads: int, *, reduction: int, name: str) -> Tensor:
    """Attention to a map that a convolution of kernel and stride `reduction` has made smaller."""
    memory = x
    if reduction > 1:
        memory = layers.Conv2D(
            x.shape[-1],
            reduction,
            strides=reduction,
            kernel_initializer=_spread(),
            name=f"{name}_reduce",
        )(memory)
        memory = normalize_channels(memory, f"{name}_reduce_norm")
    return attention(x, Attention(heads, reduction=reduction, name=name), name=name, memory=memory)


def mix_ffn(x: Tensor, hidden: int, *, name: str) -> Tensor:
    """Two linear maps around a depthwise convolution, whose zero padding tells where a pixel is.

    linear(gelu(depthwise3x3(linear(x))))
    """
    filters = x.shape[-1]
    x = linear(x, hidden, name=f"{name}_expand")
    x = layers.DepthwiseConv2D(
        3,
        padding="same",
        depthwise_initializer=_spread(),
        name=f"{name}_depthwise",
    )(x)
    x = layers.Activation("gelu", name=f"{name}_act")(x)
    return linear(x, filters, name=f"{name}_contract")


def decode(features: list[Tensor], filters: int, *, normalization: Normalization) -> Tensor:
    """Bring all stages to as many filters and the size of the first, join and fuse them."""
    bias = normalization != "batch"  # which would cancel it: the maps between are linear
    maps = []
    for i, x in enumerate(features):
        x = linear(x, filters, name=f"decoder_linear{i}", bias=bias)
        maps.append(resize(x, 2**i, f"decoder_resize{i}"))
    x = layers.Concatenate(name="decoder_join")(maps[::-1])
    return convolve(x, filters, kernel=1, normalization=normalization, name="decoder_fuse")


def _spread() -> Tensor:
    """He's normal over the outputs of a convolution, as the authors start theirs."""
    return keras.initializers.VarianceScaling(2, "fan_out", "untruncated_normal")

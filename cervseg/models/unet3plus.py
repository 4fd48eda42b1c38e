"""UNet 3+: a U-Net whose every decoder level sees every scale."""

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
    rescale,
    resize,
)


def build(
    input_shape: tuple[int | None, int | None, int],
    channels: int,
    *,
    base_filters: int = 16,
    num_layers: int = 5,
    cat_channels: int | None = None,
    deep_supervision: bool = False,
    activation: str = "relu",
    normalization: Normalization = "batch",
    rescaling: Literal["unit", "none"] = "unit",
) -> Tensor:
    """Build a UNet 3+.

    Huang et al., 2020, https://arxiv.org/abs/2004.08790. With E(k) the encoder's levels and D(k)
    the decoder's (the deepest are one), from the deepest but one to level 0,

        D(i) = H([C(shrink(E(0))), …, C(E(i)), C(enlarge(D(i + 1))), …, C(enlarge(D(deepest)))])

    where C brings a scale to `cat_channels`, H keeps the num_layers · `cat_channels` they sum to,
    shrinking is max pooling and enlarging bilinear, each in one step. Both C and H are 3 x 3
    convolutions with normalisation and activation. Their classification-guided module is not
    built. Their base and their `cat_channels` are 64.

    Args:
        input_shape: Height, width (None: any multiple of 2^(num_layers - 1)), channels.
        channels: Of the logits.
        base_filters: Filters of level 0 of the encoder; level i has 2^i times as many.
        num_layers: Levels, the bottleneck included, at least 2; theirs are 5.
        cat_channels: Filters that each scale gives to each decoder level; None: `base_filters`.
        deep_supervision: Whether deeper levels get heads too, for training.
        activation: Any of Keras.
        normalization: After each convolution.
        rescaling: `unit` maps [0, 255] to [0, 1] first.

    Returns:
        A model from (n, height, width, input channels) in [0, 255] to float32 logits
        (n, height, width, channels); with deep supervision to num_layers of them, of levels 0,
        1, …, the bottleneck, enlarged to full size.

    Raises:
        ValueError: Under 2 levels, or the widest would have over 8192 filters.
    """
    if num_layers < 2:
        raise ValueError("a UNet 3+ has at least 2 levels")
    filters = base_filters if cat_channels is None else cat_channels
    widest = max(base_filters * 2 ** min(num_layers - 1, 13), num_layers * filters)
    if num_layers > 14 or widest > MOST_FILTERS:
        raise ValueError(f"the widest level would have over {MOST_FILTERS} filters")
    conv = partial(convolve, activation=activation, normalization=normalization)
    inputs = keras.Input(input_shape, name="image")
    x = rescale(inputs, rescaling)
    scales: list[Tensor] = []  # the encoder's levels; from below the decoder's take their place
    for i in range(num_layers):
        name = f"down{i}" if i < num_layers - 1 else "bottleneck"
        if i:
            x = layers.MaxPooling2D(2, name=f"down{i - 1}_pool")(x)
        for part in ("conv1", "conv2"):
            x = conv(x, base_filters * 2**i, name=f"{name}_{part}")
        scales.append(x)
    for i in reversed(range(num_layers - 1)):
        parts = []
        for k, x in enumerate(scales):
            x = _bring(x, i - k, f"up{i}_from{k}")
            parts.append(conv(x, filters, name=f"up{i}_from{k}_conv"))
        x = layers.Concatenate(name=f"up{i}_skip")(parts)
        scales[i] = conv(x, num_layers * filters, name=f"up{i}_conv")
    outputs = [logits(scales[0], channels, kernel=3)]
    if deep_supervision:
        for i, x in enumerate(scales[1:], start=1):
            side = logits(x, channels, kernel=3, name=f"side{i}_logits")
            outputs.append(resize(side, 2**i, f"side{i}_resize"))
    return network(inputs, outputs if len(outputs) > 1 else outputs[0], "unet3plus")


def _bring(x: Tensor, levels: int, name: str) -> Tensor:
    """Shrink by 2^`levels`, or enlarge where negative."""
    if levels > 0:
        return layers.MaxPooling2D(2**levels, name=f"{name}_pool")(x)
    return resize(x, 2**-levels, f"{name}_resize")

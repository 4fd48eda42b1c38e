"""U²-Net: a U-Net of small U-Nets, its answer fused from every level."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, NamedTuple

import keras
from keras import layers

from cervseg.arrays import Tensor
from cervseg.models.blocks import Normalization, convolve, logits, network, rescale, resize

MOST_FILTERS = 1024
"""Of level 0: eight times as many below are 600 million weights a convolution already."""


class Stage(NamedTuple):
    """A residual U-block (RSU): its height L (None: the flat one of dilations), M, C_out."""

    height: int | None
    middle: int
    filters: int


def build(
    input_shape: tuple[int | None, int | None, int],
    channels: int,
    *,
    size: Literal["full", "small"] = "full",
    base_filters: int = 64,
    num_layers: int = 6,
    activation: str = "relu",
    normalization: Normalization = "batch",
    rescaling: Literal["unit", "none"] = "unit",
) -> Tensor:
    """Build a U²-Net.

    Qin et al., 2020, https://arxiv.org/abs/2005.09007: an encoder and a decoder of residual
    U-blocks (`_residual_u`), a head of 3 x 3 at each level, and a 1 x 1 convolution that fuses
    the logits of all heads. They fuse one class; of several, each may lean on all. `base_filters`
    scales all widths and `num_layers` takes levels away: of theirs, 6, the encoder has RSU-7,
    RSU-6, RSU-5, RSU-4, RSU-4F, RSU-4F, so each block but the last pools down to the stride of
    the bottleneck and no further.

    Args:
        input_shape: Height, width (None: any multiple of 2^(num_layers - 1)), channels.
        channels: Of the logits.
        size: `full`, or `small`: the paper's U²-Net†, all blocks as wide as the first.
        base_filters: Filters of level 0, a multiple of 4; theirs are 64.
        num_layers: Levels, the bottleneck included, at least 2.
        activation: Any of Keras.
        normalization: After each convolution.
        rescaling: `unit` maps [0, 255] to [0, 1] first.

    Returns:
        A model from (n, height, width, input channels) in [0, 255] to num_layers + 1 times
        float32 logits (n, height, width, channels): fused, then of levels 0, 1, …, the bottleneck.

    Raises:
        ValueError: Under 2 levels or over 14, or filters over 1024 or no multiple of 4.
    """
    if not 2 <= num_layers <= 14:
        raise ValueError("a U²-Net has 2 to 14 levels")
    if base_filters % 4 or not 4 <= base_filters <= MOST_FILTERS:
        raise ValueError(f"base_filters {base_filters} is no multiple of 4 up to {MOST_FILTERS}")
    conv = partial(convolve, activation=activation, normalization=normalization)
    inputs = keras.Input(input_shape, name="image")
    x = rescale(inputs, rescaling)
    down, up = _stages(num_layers, base_filters, size)
    levels: list[Tensor] = []  # the encoder's answers; from below the decoder's take their place
    for i, stage in enumerate(down):
        if i:
            x = layers.MaxPooling2D(2, name=f"down{i - 1}_pool")(x)
        x = _residual_u(x, stage, conv, name=f"down{i}" if i < num_layers - 1 else "bottleneck")
        levels.append(x)
    for i in reversed(range(num_layers - 1)):
        x = resize(x, 2, f"up{i}_resize")
        x = layers.Concatenate(name=f"up{i}_skip")([x, levels[i]])
        levels[i] = x = _residual_u(x, up[i], conv, name=f"up{i}")
    return network(inputs, _fuse(levels, channels), "u2net")


def _stages(
    num_layers: int, base: int, size: Literal["full", "small"]
) -> tuple[list[Stage], list[Stage]]:
    """The encoder's blocks with the bottleneck's, and the decoder's, from level 0 on."""
    if size not in ("full", "small"):
        raise ValueError(f"size {size!r} is not known")
    # The two deepest levels are too small to be pooled any further.
    heights = [num_layers + 1 - i if i < num_layers - 2 else None for i in range(num_layers)]
    if size == "small":
        stages = [Stage(height, base // 4, base) for height in heights]
        return stages, stages[:-1]
    down, up = [], []
    for i, height in enumerate(heights):
        above = 2 ** max(i - 1, 0)  # width of the level above, in units of `base`
        down.append(Stage(height, min(base // 2 * above, base * 4), base * min(2**i, 8)))
        up.append(Stage(height, min(base // 4 * 2**i, base * 4), base * min(above, 8)))
    return down, up[:-1]


def _residual_u(x: Tensor, stage: Stage, conv: Callable[..., Tensor], *, name: str) -> Tensor:
    """RSU-L: what a convolution gives, plus what a U-Net of L levels makes of it.

    Its U-Net pools L - 2 times and ends in a dilation of 2. RSU-4F never pools: its four levels
    dilate by 1, 2, 4, 8.
    """
    height = stage.height
    dilations = (1, 2, 4, 8) if height is None else (*[1] * (height - 1), 2)
    x = entry = conv(x, stage.filters, name=f"{name}_in")
    skips: list[Tensor] = []
    for i, dilation in enumerate(dilations[:-1]):
        if i and height:
            x = layers.MaxPooling2D(2, name=f"{name}_down{i - 1}_pool")(x)
        x = conv(x, stage.middle, dilation=dilation, name=f"{name}_down{i}")
        skips.append(x)
    x = conv(x, stage.middle, dilation=dilations[-1], name=f"{name}_bottom")
    for i in reversed(range(len(skips))):
        if height and i < len(skips) - 1:
            x = resize(x, 2, f"{name}_up{i}_resize")
        x = layers.Concatenate(name=f"{name}_up{i}_skip")([x, skips[i]])
        filters = stage.middle if i else stage.filters
        x = conv(x, filters, dilation=dilations[i], name=f"{name}_up{i}")
    return layers.Add(name=f"{name}_sum")([x, entry])


def _fuse(levels: Sequence[Tensor], channels: int) -> list[Tensor]:
    """The fused logits, then those of each level at full size."""
    sides = []
    for i, x in enumerate(levels):
        x = logits(x, channels, kernel=3, name=f"side{i + 1}_logits")
        sides.append(resize(x, 2**i, f"side{i + 1}_resize"))
    # Without the dtype, a mixed policy would round the logits on their way into the sum.
    x = layers.Concatenate(dtype="float32", name="sides")(sides)
    return [logits(x, channels), *sides]

"""Swin-Unet: a U-Net of transformers that attend within windows."""

from collections.abc import Sequence
from functools import partial
from typing import ClassVar, Literal, NamedTuple

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from cervseg.arrays import Tensor
from cervseg.models.attention import (
    EPSILON,
    Draws,
    attend,
    attention,
    linear,
    mlp,
    normalize_channels,
    residual,
    seeds,
    start,
)
from cervseg.models.blocks import logits, network, rescale

MASKED = -1e9
"""Added to a score, makes its weight exactly 0."""


class Level(NamedTuple):
    """What the blocks of one level share."""

    heads: int
    window: int
    shift: int  # of every second block
    hidden: int
    drop_path_rate: float


def build(
    input_shape: tuple[int | None, int | None, int],
    channels: int,
    *,
    filter_num_begin: int = 96,
    depth: int = 4,
    stack_num_down: int = 2,
    stack_num_up: int = 2,
    patch_size: Sequence[int] = (4, 4),
    num_heads: Sequence[int] = (3, 6, 12, 24),
    window_size: int | Sequence[int] = 7,
    num_mlp: int | None = None,
    shift_window: bool = True,
    drop_path_rate: float = 0.2,
    dropout_seed: int | None = None,
    rescaling: Literal["unit", "none"] = "unit",
) -> Tensor:
    """Build a Swin-Unet.

    Cao et al., 2021, https://arxiv.org/abs/2105.05537, of the blocks of Liu et al., 2021,
    https://arxiv.org/abs/2103.14030. Level i has `filter_num_begin` · 2^i channels. Maps of any
    size are padded to whole windows and the padding masked out, where theirs must fit. Keys have
    no bias, the logits have one. Starts from random weights, theirs from a classifier's.

    Args:
        input_shape: Height, width (None: any multiple of patch · 2^(depth - 1)), channels.
        channels: Of the logits.
        filter_num_begin: Channels of level 0.
        depth: Levels, the bottleneck included.
        stack_num_down: Blocks of each level on the way down and of the bottleneck.
        stack_num_up: Blocks of each level on the way up.
        patch_size: Side of a token of level 0 in pixels, two equal numbers.
        num_heads: Of each level.
        window_size: Side in tokens, of all levels or of each.
        num_mlp: Hidden channels of every MLP; None: 4 times those of its level.
        shift_window: Every second block shifts its windows by half of their side.
        drop_path_rate: In [0, 1); share of images that skip a branch of the bottleneck in
            training, falling linearly to 0 at level 0 (the authors': block by block).
        dropout_seed: Of it; None draws one.
        rescaling: `unit` maps [0, 255] to [0, 1] first.

    Returns:
        A model from (n, height, width, input channels) in [0, 255] to float32 logits
        (n, height, width, channels).

    Raises:
        ValueError: Heads or windows are not one a level or do not divide, or a patch is no square.
    """
    windows = [window_size] * depth if isinstance(window_size, int) else list(window_size)
    filters = [filter_num_begin * 2**i for i in range(depth)]
    _check(filters, num_heads, windows=windows)
    if len(set(patch_size)) != 1:
        raise ValueError(f"patch_size {list(patch_size)} is not square")
    levels = [
        Level(
            num_heads[i],
            windows[i],
            shift=windows[i] // 2 * shift_window,
            hidden=num_mlp or 4 * filters[i],
            drop_path_rate=drop_path_rate * i / max(depth - 1, 1),
        )
        for i in range(depth)
    ]
    blocks = partial(swin_blocks, draws=seeds(dropout_seed))
    inputs, patch = keras.Input(input_shape, name="image"), patch_size[0]
    x = rescale(inputs, rescaling)
    x = layers.Conv2D(filters[0], patch, strides=patch, name="embed")(x)
    x = normalize_channels(x, "embed_norm")
    skips = []
    for i in range(depth - 1):
        x = blocks(x, stack_num_down, level=levels[i], name=f"down{i}")
        skips.append(x)
        x = merge_patches(x, f"down{i}_merge")
    x = blocks(x, stack_num_down, level=levels[-1], name="bottleneck")
    x = normalize_channels(x, "bottleneck_norm")
    for i in reversed(range(depth - 1)):
        x = expand_patches(x, filters[i], factor=2, name=f"up{i}_expand")
        x = layers.Concatenate(name=f"up{i}_skip")([x, skips[i]])
        x = linear(x, filters[i], name=f"up{i}_join")
        x = blocks(x, stack_num_up, level=levels[i], name=f"up{i}")
    x = normalize_channels(x, "decoder_norm")
    x = expand_patches(x, filters[0], factor=patch, name="enlarge")
    return network(inputs, logits(x, channels), "swin_unet")


def swin_blocks(x: Tensor, blocks: int, *, level: Level, name: str, draws: Draws) -> Tensor:
    """Blocks that each add to x attention within windows, then an MLP, both of the normalised x."""
    add = partial(residual, drop_path_rate=level.drop_path_rate, draws=draws)
    for block in range(blocks):
        part = f"{name}_block{block}"
        windows = WindowAttention(
            level.heads,
            window=level.window,
            shift=level.shift * (block % 2),
            name=f"{part}_attention",
        )
        y = normalize_channels(x, f"{part}_attention_norm")
        y = attention(y, windows, name=f"{part}_attention")
        x = add(x, y, name=f"{part}_attention")
        y = normalize_channels(x, f"{part}_mlp_norm")
        y = mlp(y, level.hidden, name=f"{part}_mlp", draws=draws)
        x = add(x, y, name=f"{part}_mlp")
    return x


def merge_patches(x: Tensor, name: str) -> Tensor:
    """Join each 2 × 2 tokens to one of twice the channels: normalise the four, then a linear map.

    The linear map of four tokens is a convolution of kernel and stride 2.
    """
    x = BlockNormalization(name=f"{name}_norm")(x)
    filters = 2 * x.shape[-1]
    return layers.Conv2D(
        filters, 2, strides=2, use_bias=False, kernel_initializer=start(), name=name
    )(x)


def expand_patches(x: Tensor, filters: int, *, factor: int, name: str) -> Tensor:
    """Make factor × factor tokens of each: a linear map to all of them, then normalise.

    The linear map to a square of tokens is a transposed convolution of kernel and stride `factor`.
    """
    x = layers.Conv2DTranspose(
        filters, factor, strides=factor, use_bias=False, kernel_initializer=start(), name=name
    )(x)
    return normalize_channels(x, f"{name}_norm")


def relative_positions(window: int) -> NDArray[np.int64]:
    """Where each pair of a window's tokens finds its bias.

        (Δrow + window - 1) · (2 · window - 1) + Δcolumn + window - 1      Δ: asking - asked

    Returns:
        Shape (window², window²), from 0 to (2 · window - 1)² - 1; tokens row by row.
    """
    rows, columns = np.indices((window, window)).reshape(2, -1)
    down, right = (axis[:, None] - axis[None, :] + window - 1 for axis in (rows, columns))
    return np.asarray(down * (2 * window - 1) + right, np.int64)


@keras.saving.register_keras_serializable("cervseg")
class WindowAttention(layers.Layer):
    """Every token attends to those of its window, with a bias by relative position.

        softmax(q · kᵀ / √d + bias[Δrow, Δcolumn]) · v

    Windows start at multiples of `window`, moved by `shift`; along an axis that fits in one window
    they are not moved. Windows that stick out are padded, and no token attends to padding. Liu et
    al. fill them up with tokens of the other end, which they mask: the same numbers.

    Call with [queries, keys, values], each (n, height, width, channels).

    Args:
        heads: Divides the channels.
        window: Side in tokens.
        shift: In [0, window).
    """

    reach: ClassVar[str] = "tile"

    def __init__(self, heads: int, *, window: int, shift: int = 0, **kwargs: Tensor) -> None:
        super().__init__(**kwargs)
        self.heads, self.window, self.shift = heads, window, shift

    def build(self, input_shape: Sequence[Tensor]) -> None:
        """Make the table of biases."""
        self.table = self.add_weight(
            shape=((2 * self.window - 1) ** 2, self.heads),
            initializer=start(),
            autocast=False,  # the scores are float32
            name="relative_position_bias",
        )

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        """Attend; shape of the queries."""
        _, height, width, channels = ops.shape(inputs[0])
        (top, bottom), (left, right) = self._padding(height), self._padding(width)
        side, edges = self.window, ((0, 0), (top, bottom), (left, right), (0, 0))
        high, wide = (top + height + bottom) // side, (left + width + right) // side

        def split(x: Tensor) -> Tensor:
            x = ops.reshape(ops.pad(x, edges), (-1, high, side, wide, side, x.shape[-1]))
            return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, side**2, x.shape[-1]))

        bias = ops.take(self.table, relative_positions(side), axis=0)  # (window², window², heads)
        real = ops.reshape(split(ops.ones_like(inputs[0][..., :1])), (-1, 1, 1, side**2))
        offset = ops.transpose(bias, (2, 0, 1)) + (1 - ops.cast(real, "float32")) * MASKED
        x = attend(*map(split, inputs), heads=self.heads, offset=offset)
        x = ops.reshape(x, (-1, high, wide, side, side, channels))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        x = ops.reshape(x, (-1, high * side, wide * side, channels))
        return x[:, top : top + height, left : left + width]

    def _padding(self, length: Tensor) -> tuple[Tensor, Tensor]:
        """Before and after an axis; the lengths of a graph may be tensors."""
        before = (self.window - self.shift) % self.window
        if isinstance(length, int):
            before *= length > self.window
        else:
            before = ops.where(length > self.window, before, 0)
        return before, -(before + length) % self.window

    def compute_output_shape(self, input_shape: Sequence[Tensor]) -> Tensor:
        """That of the queries."""
        return input_shape[0]

    def multiply_adds(self, height: int, width: int) -> int:
        """Of one image, padding included: scores, then weighted values."""
        return self.hidden_values(height, width) // self.heads * int(self.input[0].shape[-1])

    def hidden_values(self, height: int, width: int) -> int:
        """Numbers that it holds inside for one image: scores, then their softmax."""
        padded = [length + sum(self._padding(length)) for length in (height, width)]
        return 2 * self.heads * padded[0] * padded[1] * self.window**2

    def get_config(self) -> dict[str, Tensor]:
        """What rebuilds it."""
        own = {"heads": self.heads, "window": self.window, "shift": self.shift}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("cervseg")
class BlockNormalization(layers.Layer):
    """Layer normalisation over the channels of 2 × 2 pixels together.

    Each of the four has a scale and a shift of its own, as if they were joined to one pixel of
    four times the channels.
    """

    reach: ClassVar[str] = "tile"

    def build(self, input_shape: Sequence[int]) -> None:
        """Make scale and shift."""
        shape = (2, 1, 2, input_shape[-1])  # row, any block, column, channel
        self.gamma = self.add_weight(shape=shape, initializer="ones", autocast=False, name="gamma")
        self.beta = self.add_weight(shape=shape, initializer="zeros", autocast=False, name="beta")

    def call(self, inputs: Tensor) -> Tensor:
        """Normalise; shape of the inputs, height and width even."""
        _, height, width, channels = ops.shape(inputs)
        blocks = (-1, height // 2, 2, width // 2, 2, channels)
        x = ops.cast(ops.reshape(inputs, blocks), "float32")
        mean, variance = ops.moments(x, axes=(2, 4, 5), keepdims=True)
        x = (x - mean) * ops.rsqrt(variance + EPSILON) * self.gamma + self.beta
        return ops.cast(ops.reshape(x, ops.shape(inputs)), inputs.dtype)

    def compute_output_shape(self, input_shape: Tensor) -> Tensor:
        """That of the inputs."""
        return input_shape


def _check(filters: Sequence[int], heads: Sequence[int], *, windows: Sequence[int]) -> None:
    if not len(filters) == len(heads) == len(windows):
        counts = f"num_heads has {len(heads)} numbers and window_size {len(windows)}"
        raise ValueError(f"depth is {len(filters)}, but {counts}")
    for i, (count, parts) in enumerate(zip(filters, heads, strict=True)):
        if count % parts:
            raise ValueError(f"level {i} has {count} channels, which {parts} heads do not divide")

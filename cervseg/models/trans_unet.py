"""TransUNet: a U-Net whose coarsest features pass a vision transformer."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar, Literal

import keras
from keras import layers, ops

from cervseg.arrays import Tensor
from cervseg.models.attention import (
    Attention,
    Draws,
    attention,
    linear,
    mlp,
    normalize_channels,
    residual,
    seeds,
    start,
    thin,
)
from cervseg.models.blocks import Normalization, convolve, logits, network, rescale, resize
from cervseg.models.encoders import encode

GRID = 14
"""Side of the learned position embedding: that of the paper, 224 pixels at stride 16."""


def build(
    input_shape: tuple[int | None, int | None, int],
    channels: int,
    *,
    encoder: str = "plain",
    filter_num: Sequence[int] = (64, 128, 256, 512),
    embed_dim: int = 768,
    num_mlp: int = 3072,
    num_heads: int = 12,
    num_transformer: int = 12,
    dropout_rate: float = 0.1,
    dropout_seed: int | None = None,
    activation: str = "relu",
    mlp_activation: str = "gelu",
    normalization: Normalization = "batch",
    freeze_encoder: bool | int = False,
    freeze_norms: bool = True,
    rescaling: Literal["unit", "none"] = "unit",
) -> Tensor:
    """Build a TransUNet.

    Chen et al., 2021, https://arxiv.org/abs/2102.04306. Every pixel of the coarsest features is a
    token of the transformer; its answer is enlarged twofold level by level, each time joined with
    the features of that size and convolved twice. With an encoder of n = len(filter_num) features
    the tokens are at stride 2^n (theirs: ResNet-50, 16) and the last enlargement has no skip and
    a quarter of the first level's filters; `plain`, of two convolutions a level, starts at full
    size and reaches 2^(n-1).

    Theirs takes one size: our position embedding, learned on a grid of 14 × 14, is stretched
    bilinearly over the tokens of any other. Their ResNet has group normalisation and nine blocks
    at stride 16, that of Keras batch normalisation and six. Keys have no bias.

    Args:
        input_shape: Height, width (None: any multiple of the tokens' stride), channels.
        channels: Of the logits.
        encoder: `plain` or one of `encoders.ENCODERS`, which brings its own input scaling.
        filter_num: Of the levels, fine to coarse; with an encoder of the way up only.
        embed_dim: Channels of a token.
        num_mlp: Hidden channels of the transformer's MLP.
        num_heads: Divides `embed_dim`.
        num_transformer: Blocks.
        dropout_rate: In [0, 1), in the transformer: of tokens and in its MLP.
        dropout_seed: Of the dropout masks; None draws one.
        activation: Of convolutions.
        mlp_activation: Of the transformer's MLP.
        normalization: After each convolution outside the encoder.
        freeze_encoder: As `freeze` of `encoders.encode`; not for `plain`.
        freeze_norms: As of `encoders.encode`.
        rescaling: `unit` maps [0, 255] to [0, 1] first; of `plain` only.

    Returns:
        A model from (n, height, width, input channels) in [0, 255] to float32 logits
        (n, height, width, channels).

    Raises:
        ValueError: No such encoder, too few or too many levels, or heads that do not divide.
    """
    plain, levels = encoder == "plain", len(filter_num)
    if levels < 2 or (levels > 5 and not plain):
        raise ValueError(f"filter_num has {levels} numbers; 2 or more, with an encoder up to 5")
    if embed_dim % num_heads:
        raise ValueError(f"embed_dim {embed_dim} is no multiple of num_heads {num_heads}")
    once = partial(convolve, activation=activation, normalization=normalization)
    conv = partial(double_convolve, activation=activation, normalization=normalization)
    draws = seeds(dropout_seed)
    inputs = keras.Input(input_shape, name="image")
    if plain:
        features = plain_features(rescale(inputs, rescaling), filter_num, conv)
    else:
        # The transformer draws 1 + 2 · num_transformer seeds.
        seed = None if dropout_seed is None else dropout_seed + 1 + 2 * num_transformer
        features = encode(
            inputs, encoder, freeze=freeze_encoder, freeze_norms=freeze_norms, dropout_seed=seed
        )
    *skips, x = features[:levels]
    x = linear(x, embed_dim, name="embed")
    x = PositionEmbedding(GRID, name="position")(x)
    x = thin(x, dropout_rate, name="position", draws=draws)
    block = partial(
        transformer_block,
        heads=num_heads,
        hidden=num_mlp,
        activation=mlp_activation,
        dropout_rate=dropout_rate,
        draws=draws,
    )
    for i in range(num_transformer):
        x = block(x, name=f"block{i}")
    x = normalize_channels(x, "tokens_norm")
    x = once(x, filter_num[-1], name="tokens_conv")
    for i in reversed(range(levels - 1)):
        x = resize(x, 2, f"up{i}_expand")
        x = layers.Concatenate(name=f"up{i}_skip")([x, skips[i]])
        x = conv(x, filter_num[i], name=f"up{i}")
    if not plain:
        x = conv(resize(x, 2, "last_expand"), max(1, filter_num[0] // 4), name="last")
    return network(inputs, logits(x, channels, kernel=3), "trans_unet")


def plain_features(
    x: Tensor, filter_num: Sequence[int], conv: Callable[..., Tensor]
) -> list[Tensor]:
    """A level after the other on the way down of a U-Net, at strides 1, 2, 4 and so on."""
    features = []
    for i, filters in enumerate(filter_num):
        x = layers.MaxPooling2D(2, name=f"down{i - 1}_pool")(x) if i else x
        x = conv(x, filters, name=f"down{i}")
        features.append(x)
    return features


def double_convolve(
    x: Tensor, filters: int, *, name: str, activation: str, normalization: Normalization
) -> Tensor:
    """Two convolutions of as many filters."""
    conv = partial(convolve, filters=filters, activation=activation, normalization=normalization)
    return conv(conv(x, name=f"{name}_conv1"), name=f"{name}_conv2")


def transformer_block(
    x: Tensor,
    *,
    heads: int,
    hidden: int,
    activation: str,
    dropout_rate: float,
    draws: Draws,
    name: str,
) -> Tensor:
    """Add to x attention among all pixels, then an MLP, both of the normalised x.

    Dosovitskiy et al., 2021, https://arxiv.org/abs/2010.11929.
    """
    y = normalize_channels(x, f"{name}_attention_norm")
    y = attention(y, Attention(heads, name=f"{name}_attention"), name=f"{name}_attention")
    x = residual(x, y, name=f"{name}_attention", draws=draws)
    y = normalize_channels(x, f"{name}_mlp_norm")
    y = mlp(
        y,
        hidden,
        activation=activation,
        dropout_rate=dropout_rate,
        draws=draws,
        name=f"{name}_mlp",
    )
    return residual(x, y, name=f"{name}_mlp", draws=draws)


@keras.saving.register_keras_serializable("cervseg")
class PositionEmbedding(layers.Layer):
    """Add to each pixel a vector learned for where it lies, stretched from a grid.

    The grid covers the whole map, whatever its size: between the centres of its cells it is
    interpolated bilinearly, beyond the outermost it stays. On a map of its own size it is added as
    it is.

    Args:
        grid: Its side in cells.
    """

    reach: ClassVar[str] = "tile"  # a pixel's vector depends on how large the tile is

    def __init__(self, grid: int, **kwargs: Tensor) -> None:
        super().__init__(**kwargs)
        self.grid = grid

    def build(self, input_shape: Sequence[int]) -> None:
        """Make the grid."""
        shape = (self.grid, self.grid, input_shape[-1])
        self.vectors = self.add_weight(
            shape=shape, initializer=start(), autocast=False, name="grid"
        )

    def call(self, inputs: Tensor) -> Tensor:
        """Add; shape of the inputs."""
        _, height, width, _ = ops.shape(inputs)
        x = ops.tensordot(self._shares(height), self.vectors, axes=1)  # (height, grid, channels)
        x = ops.matmul(self._shares(width), x)
        return inputs + ops.cast(x, inputs.dtype)

    def _shares(self, length: Tensor) -> Tensor:
        """How much each cell adds to each pixel along one axis, shape (length, grid)."""
        centres = (ops.arange(length, dtype="float32") + 0.5) * self.grid
        centres = centres / ops.cast(length, "float32") - 0.5
        centres = ops.clip(centres, 0, self.grid - 1)  # in cells
        return ops.relu(1 - ops.abs(centres[:, None] - ops.arange(self.grid, dtype="float32")))

    def compute_output_shape(self, input_shape: Tensor) -> Tensor:
        """That of the inputs."""
        return input_shape

    def multiply_adds(self, height: int, width: int) -> int:
        """Of stretching along the rows, then along the columns."""
        channels = int(self.input.shape[-1])
        return height * self.grid * (self.grid + width) * channels

    def get_config(self) -> dict[str, Tensor]:
        """What rebuilds it."""
        return {**super().get_config(), "grid": self.grid}

"""UNet++: a U-Net whose skips are nested, dense columns of nodes."""

from typing import Literal

import keras
from keras import layers

from cervseg.arrays import Tensor
from cervseg.models.blocks import MOST_FILTERS, Normalization, convolve, logits, network, rescale


def build(
    input_shape: tuple[int | None, int | None, int],
    channels: int,
    *,
    base_filters: int = 16,
    num_layers: int = 5,
    deep_supervision: bool = False,
    activation: str = "relu",
    normalization: Normalization = "batch",
    rescaling: Literal["unit", "none"] = "unit",
) -> Tensor:
    """Build a UNet++.

    Zhou et al., 2018, https://arxiv.org/abs/1807.10165. A node X(i, j) at level i, column j is

        X(i, 0) = H(pool(X(i - 1, 0)))                                 the encoder
        X(i, j) = H([X(i, 0), …, X(i, j - 1), expand(X(i + 1, j - 1))])    for i + j < num_layers

    with H two convolutions of `base_filters` · 2^i filters. The answer is that of the last node
    of level 0, their "fast mode" without pruning; they may also average the heads.
    Their base is 32 filters and they name no normalisation (`none`).

    Args:
        input_shape: Height, width (None: any multiple of 2^(num_layers - 1)), channels.
        channels: Of the logits.
        base_filters: Filters of level 0.
        num_layers: Levels, the deepest included, at least 2; theirs are 5.
        deep_supervision: Whether the other nodes of level 0 get heads too, for training.
        activation: Any of Keras.
        normalization: After each convolution.
        rescaling: `unit` maps [0, 255] to [0, 1] first.

    Returns:
        A model from (n, height, width, input channels) in [0, 255] to float32 logits
        (n, height, width, channels); with deep supervision to num_layers - 1 of them: of the
        last node of level 0, then of columns 1, 2, ….

    Raises:
        ValueError: Under 2 levels, or the deepest would have over 8192 filters.
    """

    def node(x: Tensor, i: int, name: str) -> Tensor:
        for part in ("conv1", "conv2"):
            x = convolve(
                x,
                base_filters * 2**i,
                activation=activation,
                normalization=normalization,
                name=f"{name}_{part}",
            )
        return x

    if num_layers < 2:
        raise ValueError("a UNet++ has at least 2 levels")
    if num_layers > 14 or base_filters * 2 ** (num_layers - 1) > MOST_FILTERS:
        raise ValueError(f"the deepest level would have over {MOST_FILTERS} filters")
    inputs = keras.Input(input_shape, name="image")
    x = rescale(inputs, rescaling)
    rows: list[list[Tensor]] = []  # rows[i][j] is X(i, j)
    for i in range(num_layers):
        if i:
            x = layers.MaxPooling2D(2, name=f"node{i - 1}_0_pool")(x)
        x = node(x, i, f"node{i}_0")
        rows.append([x])
    for j in range(1, num_layers):
        for i in range(num_layers - j):
            name = f"node{i}_{j}"
            below = _expand(rows[i + 1][j - 1], base_filters * 2**i, f"{name}_expand")
            x = layers.Concatenate(name=f"{name}_skip")([*rows[i], below])
            rows[i].append(node(x, i, name))
    outputs = [logits(rows[0][-1], channels)]
    if deep_supervision:
        sides = enumerate(rows[0][1:-1], start=1)
        outputs += [logits(x, channels, name=f"side{j}_logits") for j, x in sides]
    return network(inputs, outputs if len(outputs) > 1 else outputs[0], "unetplusplus")


def _expand(x: Tensor, filters: int, name: str) -> Tensor:
    return layers.Conv2DTranspose(filters, 2, strides=2, padding="same", name=name)(x)

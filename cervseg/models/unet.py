"""U-Net with ladders of kernels, dilations and dropout."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import keras

from cervseg.arrays import Tensor
from cervseg.models.blocks import Normalization, convolve, logits, network, rescale, u_shape


def build(
    input_shape: tuple[int | None, int | None, int],
    channels: int,
    *,
    base_filters: int = 16,
    num_layers: int = 5,
    base_kernels: Sequence[int] = (3, 3),
    dilation: Sequence[int] = (1, 1),
    dropout_rate: float = 0.0,
    dropout_seed: int | None = None,
    activation: str = "relu",
    normalization: Normalization = "batch",
    normalize_after: Literal["convolution", "activation"] = "convolution",
    rescaling: Literal["unit", "none"] = "unit",
) -> Tensor:
    """Build a U-Net.

    Ronneberger et al., 2015, https://arxiv.org/abs/1505.04597. We pad, they crop; `num_layers`
    counts the levels with the bottleneck (theirs has 5); level i has `base_filters` · 2^i
    filters, a kernel 2i smaller than `base_kernels` but at least 3 (or the base itself, where
    that is 1), a dilation i smaller but at least 1, and dropout of i · `dropout_rate` between
    its two convolutions.

    Args:
        input_shape: Height, width (None: any multiple of 2^(num_layers - 1)), channels.
        channels: Of the logits.
        base_filters: Filters of level 0.
        num_layers: Levels, the bottleneck included.
        base_kernels: Kernel of level 0, two equal odd numbers.
        dilation: Of level 0, two equal numbers.
        dropout_rate: In [0, 1); level i drops min(0.9, i · rate).
        dropout_seed: Of the dropout masks; None draws one.
        activation: Any of Keras.
        normalization: Of each convolution.
        normalize_after: The convolution itself, or its activation, as some old networks do.
        rescaling: `unit` maps [0, 255] to [0, 1] first.

    Returns:
        A model from (n, height, width, input channels) in [0, 255] to float32 logits
        (n, height, width, channels).

    Raises:
        ValueError: The bottleneck would have over 8192 filters.
    """

    def conv_at(i: int) -> Callable[..., Tensor]:
        return partial(
            convolve,
            kernel=max(base_kernels[0] - 2 * i, min(3, base_kernels[0])),
            dilation=max(dilation[0] - i, 1),
            activation=activation,
            normalization=normalization,
            normalize_after=normalize_after,
        )

    inputs = keras.Input(input_shape, name="image")
    x = u_shape(
        rescale(inputs, rescaling),
        base_filters=base_filters,
        num_layers=num_layers,
        conv_at=conv_at,
        dropout_rate=dropout_rate,
        dropout_seed=dropout_seed,
        pass_skip=lambda skip, below, i: skip,
    )
    return network(inputs, logits(x, channels), "unet")

"""U-Net whose skips are sharpened by a fixed kernel."""

from collections.abc import Sequence
from functools import partial
from typing import Literal

import keras
from keras import layers, ops

from cervseg.arrays import Tensor
from cervseg.models.blocks import Normalization, convolve, logits, network, rescale, u_shape

LAPLACIAN = ((-1.0, -1.0, -1.0), (-1.0, 8.0, -1.0), (-1.0, -1.0, -1.0))
"""The sharpening kernel of the paper: what differs from the eight neighbours' mean."""


def build(
    input_shape: tuple[int | None, int | None, int],
    channels: int,
    *,
    base_filters: int = 32,
    num_layers: int = 5,
    dropout_rate: float = 0.0,
    dropout_seed: int | None = None,
    activation: str = "relu",
    normalization: Normalization = "batch",
    rescaling: Literal["unit", "none"] = "unit",
) -> Tensor:
    """Build a Sharp U-Net.

    Zunair & Ben Hamza, 2021, https://arxiv.org/abs/2107.12461: a U-Net whose skips pass
    `sharpen`. Nothing more is learned than by a U-Net; the fixed kernels are stored among the
    weights. Theirs has no normalisation (`normalization: none`). `num_layers` counts the levels
    with the bottleneck; level i has `base_filters` · 2^i filters and dropout of
    i · `dropout_rate` between its two convolutions.

    Args:
        input_shape: Height, width (None: any multiple of 2^(num_layers - 1)), channels.
        channels: Of the logits.
        base_filters: Filters of level 0.
        num_layers: Levels, the bottleneck included.
        dropout_rate: In [0, 1); level i drops min(0.9, i · rate).
        dropout_seed: Of the dropout masks; None draws one.
        activation: Any of Keras.
        normalization: After each convolution.
        rescaling: `unit` maps [0, 255] to [0, 1] first.

    Returns:
        A model from (n, height, width, input channels) in [0, 255] to float32 logits
        (n, height, width, channels).

    Raises:
        ValueError: The bottleneck would have over 8192 filters.
    """
    conv = partial(convolve, activation=activation, normalization=normalization)
    inputs = keras.Input(input_shape, name="image")
    x = u_shape(
        rescale(inputs, rescaling),
        base_filters=base_filters,
        num_layers=num_layers,
        conv_at=lambda i: conv,
        dropout_rate=dropout_rate,
        dropout_seed=dropout_seed,
        pass_skip=lambda skip, below, i: sharpen(skip, f"skip{i}_sharpen"),
    )
    return network(inputs, logits(x, channels), "sharp_unet")


def sharpen(x: Tensor, name: str) -> Tensor:
    """Convolve each channel with `LAPLACIAN`, zeros around; it is never trained."""
    return layers.DepthwiseConv2D(
        3,
        padding="same",
        use_bias=False,
        depthwise_initializer=Laplacian(),
        trainable=False,
        name=name,
    )(x)


@keras.saving.register_keras_serializable("cervseg")
class Laplacian(keras.initializers.Initializer):
    """`LAPLACIAN` as the kernel of a depthwise convolution."""

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Tensor:
        """The kernel, of shape (3, 3, channels, 1)."""
        kernel = ops.convert_to_tensor(LAPLACIAN, dtype)
        return ops.broadcast_to(ops.reshape(kernel, (3, 3, 1, 1)), shape)

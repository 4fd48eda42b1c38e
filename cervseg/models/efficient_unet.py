"""U-Net on an EfficientNet."""

from collections.abc import Sequence
from functools import partial

import keras
from keras import layers

from cervseg.arrays import Tensor
from cervseg.models.blocks import Normalization, convolve, logits, network, resize
from cervseg.models.encoders import encode


def build(
    input_shape: tuple[int | None, int | None, int],
    channels: int,
    *,
    encoder: str = "efficientnet_b0",
    freeze_encoder: bool | int = False,
    freeze_norms: bool = True,
    decoder_filters: Sequence[int] = (256, 128, 64, 32, 16),
    dropout_seed: int | None = None,
    activation: str = "relu",
    normalization: Normalization = "batch",
) -> Tensor:
    """Build a U-Net whose way down is an EfficientNet.

    Tan & Le, 2019, https://arxiv.org/abs/1905.11946 and 2021, https://arxiv.org/abs/2104.00298,
    with the way up of Ronneberger et al., 2015, https://arxiv.org/abs/1505.04597: at each of five
    levels the coarser one, twice as large by bilinear interpolation, stands beside the encoder's
    feature of that stride (the finest level has none), then two convolutions.

    Args:
        input_shape: Height, width (None: any multiple of 32), 1 or 3 channels.
        channels: Of the logits.
        encoder: `efficientnet_b0` … `b7`, `efficientnet_v2_b0` … `b3`.
        freeze_encoder: True, or all of its layers but the last so many.
        freeze_norms: False trains the encoder's normalisations even where it is frozen.
        decoder_filters: Five, from stride 16 to stride 1.
        dropout_seed: Of the encoder's stochastic depth; None draws one.
        activation: Of the decoder, any of Keras.
        normalization: After each convolution of the decoder.

    Returns:
        A model from (n, height, width, input channels) in [0, 255] to float32 logits
        (n, height, width, channels).

    Raises:
        ValueError: The encoder is no EfficientNet, or there are not five decoder filters.
    """
    if not encoder.startswith("efficientnet_"):
        raise ValueError(f"encoder {encoder!r} is no EfficientNet")
    if len(decoder_filters) != 5:
        raise ValueError(f"decoder_filters has {len(decoder_filters)} numbers, not 5")
    inputs = keras.Input(input_shape, name="image")
    *skips, x = encode(
        inputs,
        encoder,
        freeze=freeze_encoder,
        freeze_norms=freeze_norms,
        dropout_seed=dropout_seed,
    )
    for i, filters in zip(reversed(range(5)), decoder_filters, strict=True):
        conv = partial(
            convolve, filters=filters, activation=activation, normalization=normalization
        )
        x = resize(x, 2, f"up{i}_resize")
        if i:
            x = layers.Concatenate(name=f"up{i}_skip")([x, skips[i - 1]])
        x = conv(x, name=f"up{i}_conv1")
        x = conv(x, name=f"up{i}_conv2")
    return network(inputs, logits(x, channels), "efficient_unet")

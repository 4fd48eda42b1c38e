"""A U-Net for the CPU: the encoder of EfficientNet-Lite0 and a slim, local decoder."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import keras
from keras import layers

from cervseg.arrays import Tensor
from cervseg.contract import builtin_folder
from cervseg.errors import ModelError
from cervseg.models.blocks import convolve, logits, network, resize
from cervseg.models.normalization import BatchNormalization
from cervseg.models.weights import load_weights

IMAGENET = Path("encoders") / "efficientnet_lite0.weights.h5"
"""Among the built-in models; written by the converter, see the notice beside it."""


class Stage(NamedTuple):
    """A row of the encoder's table: `blocks` inverted residuals, the first of them strided."""

    expansion: int
    kernel: int
    stride: int
    filters: int
    blocks: int


STEM_FILTERS = 32
STAGES = (
    Stage(expansion=1, kernel=3, stride=1, filters=16, blocks=1),
    Stage(expansion=6, kernel=3, stride=2, filters=24, blocks=2),
    Stage(expansion=6, kernel=5, stride=2, filters=40, blocks=2),
    Stage(expansion=6, kernel=3, stride=2, filters=80, blocks=3),
    Stage(expansion=6, kernel=5, stride=1, filters=112, blocks=3),
    Stage(expansion=6, kernel=5, stride=2, filters=192, blocks=4),
    Stage(expansion=6, kernel=3, stride=1, filters=320, blocks=1),
)


def build(
    input_shape: tuple[int | None, int | None, int],
    channels: int,
    *,
    decoder_filters: Sequence[int] = (128, 64, 48, 32),
    dropout_rate: float = 0.0,
    dropout_seed: int | None = None,
    activation: str = "relu",
    freeze_encoder: bool | int = False,
    freeze_norms: bool = True,
) -> Tensor:
    """Build a U-Net on EfficientNet-Lite0 (ours; 9.4 thousand multiply-adds an input pixel).

    Encoder: EfficientNet-B0 (Tan & Le, 2019, https://arxiv.org/abs/1905.11946) in Tan's lite
    variant (https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite):
    without squeeze-excite, so that it sees no whole tile, and with ReLU6. We leave out the 1280
    filters of the classifier and the random skipping of blocks in training. Its features at
    strides 2, 4, 8, 16 are the skips (Ronneberger et al., 2015), those at 32 the bottleneck.

    Decoder, at each level: enlarge twofold (nearest), join the skip, then two depthwise
    separable convolutions (Chollet, 2017, https://arxiv.org/abs/1610.02357) with batch
    normalisation, which folds into them. It ends at stride 2; the logits are enlarged
    bilinearly. Images in grey are taken as colour with three equal channels.

    Args:
        input_shape: Height, width (None: any multiple of 32), channels (1 or 3).
        channels: Of the logits.
        decoder_filters: Of the levels at strides 16, 8, 4 and 2.
        dropout_rate: In [0, 1), before the logits, where no normalisation follows.
        dropout_seed: Of the dropout masks; None draws one.
        activation: Of the decoder, any of Keras.
        freeze_encoder: False: no layer, True: all, a number: all but the last so many of the
            encoder's layers (named `encoder_…`, activations counted).
        freeze_norms: False leaves normalisations trained even where all else is frozen.

    Returns:
        A model from (n, height, width, 1 or 3) in [0, 255] to float32 logits
        (n, height, width, channels).

    Raises:
        ValueError: An input of other channels, or not four filters.
    """
    if input_shape[-1] not in (1, 3):
        raise ValueError(f"the encoder takes 1 or 3 channels, not {input_shape[-1]}")
    if len(decoder_filters) != 4:
        raise ValueError("decoder_filters are four numbers, of strides 16, 8, 4 and 2")
    inputs = keras.Input(input_shape, name="image")
    x = inputs
    if input_shape[-1] == 1:
        x = layers.Concatenate(name="grey_to_colour")([x, x, x])
    *skips, x = _encode(x)
    for i, filters in zip((4, 3, 2, 1), decoder_filters, strict=True):
        x = layers.UpSampling2D(2, name=f"up{i}_expand")(x)
        x = layers.Concatenate(name=f"up{i}_skip")([x, skips[i - 1]])
        for name in (f"up{i}_conv1", f"up{i}_conv2"):
            x = _separable(x, filters, activation, name=name)
    if dropout_rate:
        x = layers.Dropout(dropout_rate, seed=dropout_seed, name="dropout")(x)
    x = resize(logits(x, channels, kernel=3), 2, "enlarge")
    model = network(inputs, x, "lite_unet")
    _freeze(model, freeze_encoder, norms=freeze_norms)
    return model


def load_encoder(model: Tensor, source: str | Path) -> None:
    """Fill the encoder of a network with weights that were trained elsewhere.

    Args:
        model: Of `build`.
        source: HDF5 with exactly the variables whose names start with `encoder_`; `imagenet` is
            the file in the package.

    Raises:
        ModelError: The file is missing or broken, or does not fit.
    """
    path = builtin_folder() / IMAGENET if source == "imagenet" else Path(source)
    if not path.is_file():
        raise ModelError(f"{path}: no such weights", hint="those in the package are `imagenet`")
    load_weights(path, model, prefix="encoder_")


def _encode(x: Tensor) -> list[Tensor]:
    """The features at strides 2, 4, 8, 16 and 32, each of the last stage at its stride."""
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="rescaling")(x)  # as the weights saw it
    x = layers.Conv2D(
        STEM_FILTERS, 3, strides=2, padding="same", use_bias=False,
        kernel_initializer="he_normal", name="encoder_stem",
    )(x)  # fmt: skip
    x = _normalize(x, "encoder_stem")
    features = []
    for number, stage in enumerate(STAGES, start=1):
        if stage.stride == 2:
            features.append(x)
        for block in range(1, stage.blocks + 1):
            name = f"encoder_stage{number}_block{block}"
            x = _inverted_residual(x, stage, stride=stage.stride if block == 1 else 1, name=name)
    return [*features, x]


def _inverted_residual(x: Tensor, stage: Stage, *, stride: int, name: str) -> Tensor:
    """Widen, convolve each channel alone, narrow without activation; add the input if alike.

    Sandler et al., 2018, https://arxiv.org/abs/1801.04381.
    """
    before = x
    if stage.expansion > 1:
        x = layers.Conv2D(
            x.shape[-1] * stage.expansion, 1, use_bias=False,
            kernel_initializer="he_normal", name=f"{name}_expand",
        )(x)  # fmt: skip
        x = _normalize(x, f"{name}_expand")
    x = _depthwise(x, stage.kernel, stride=stride, gain=2.0, name=f"{name}_depthwise")
    x = _normalize(x, f"{name}_depthwise")
    x = layers.Conv2D(
        stage.filters, 1, use_bias=False,
        kernel_initializer="lecun_normal", name=f"{name}_project",
    )(x)  # fmt: skip
    x = _normalize(x, f"{name}_project", activate=False)
    if stride == 1 and before.shape[-1] == stage.filters:
        x = layers.Add(name=f"{name}_add")([x, before])
    return x


def _normalize(x: Tensor, name: str, *, activate: bool = True) -> Tensor:
    # The epsilon is the published one. Its momentum of 0.99 lags in short trainings.
    x = BatchNormalization(epsilon=1e-3, momentum=0.9, name=f"{name}_norm")(x)
    return layers.ReLU(6.0, name=f"{name}_act")(x) if activate else x


def _separable(x: Tensor, filters: int, activation: str, *, name: str) -> Tensor:
    x = _depthwise(x, 3, stride=1, gain=1.0, name=f"{name}_depthwise")
    return convolve(x, filters, kernel=1, activation=activation, normalization="batch", name=name)


def _depthwise(x: Tensor, kernel: int, *, stride: int, gain: float, name: str) -> Tensor:
    # Keras's own initialisers take all channels for the inputs of each: hundreds of times too many.
    deviation = gain**0.5 / kernel
    return layers.DepthwiseConv2D(
        kernel, strides=stride, padding="same", use_bias=False,
        depthwise_initializer=keras.initializers.RandomNormal(stddev=deviation), name=name,
    )(x)  # fmt: skip


def _freeze(model: Tensor, freeze: bool | int, *, norms: bool) -> None:
    encoder = [layer for layer in model.layers if layer.name.startswith("encoder_")]
    trained = (0 if freeze else len(encoder)) if isinstance(freeze, bool) else freeze
    for layer in encoder[: max(len(encoder) - trained, 0)]:
        layer.trainable = not norms and isinstance(layer, layers.BatchNormalization)

"""Networks known from ImageNet as encoders: their layers, re-created inside our graph."""

import contextlib
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, NamedTuple

import keras
from keras import layers

from cervseg.arrays import Tensor
from cervseg.errors import ModelError
from cervseg.models.normalization import ours

Scaling = Literal["torch", "caffe", "signed"]

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet in [0, 1], RGB
_SCALES: dict[Scaling, tuple[Sequence[float], Sequence[float]]] = {
    "torch": (
        [1 / (255 * deviation) for deviation in _DEVIATION],
        [-mean / deviation for mean, deviation in zip(_MEAN, _DEVIATION, strict=True)],
    ),
    "caffe": ([1.0] * 3, [-123.68, -116.779, -103.939]),
    "signed": ([1 / 127.5] * 3, [-1.0] * 3),
}
"""Factor and shift of red, green, blue."""


@dataclass(frozen=True)
class Encoder:
    """A network of `keras.applications` without its head.

    Args:
        application: Its name there.
        scaling: Of [0, 255]: `torch` (x / 255 - mean) / deviation, `caffe` x - mean with blue
            first, `signed` x / 127.5 - 1; what its ImageNet weights were trained with.
        features: At strides 2, 4, 8, 16 and 32, each the last layer that a pattern fits: the last
            of the stride, or the normalised one before it.
    """

    application: str
    scaling: Scaling
    features: tuple[str, str, str, str, str]


_VGG = ("block2_conv*", "block3_conv*", "block4_conv*", "block5_conv*", "block5_pool")
_RESNET = ("conv1_relu", "conv2_block*_out", "conv3_block*_out", "conv4_block*_out",
           "conv5_block*_out")  # fmt: skip
_RESNET_V2 = ("conv1_conv", "conv2_block*_preact_relu", "conv3_block*_preact_relu",
              "conv4_block*_preact_relu", "post_relu")  # fmt: skip
_DENSENET = ("conv1_relu", "pool2_relu", "pool3_relu", "pool4_relu", "relu")
_EFFICIENTNET = ("block2a_expand_activation", "block3a_expand_activation",
                 "block4a_expand_activation", "block6a_expand_activation",
                 "top_activation")  # fmt: skip
_EFFICIENTNET_V2 = ("block1*", "block2*", *_EFFICIENTNET[2:])  # there, blocks 1 to 3 are fused
_MOBILENET_SMALL = ("conv_bn_activation", "expanded_conv_1_expand_bn_re_lu",
                    "expanded_conv_3_expand_bn_activation",
                    "expanded_conv_8_expand_bn_activation", "conv_1_bn_activation")  # fmt: skip
_MOBILENET_LARGE = ("expanded_conv_1_expand_bn_re_lu", "expanded_conv_3_expand_bn_re_lu",
                    "expanded_conv_6_expand_bn_activation",
                    "expanded_conv_12_expand_bn_activation", "conv_1_bn_activation")  # fmt: skip

ENCODERS: dict[str, Encoder] = {
    "vgg16": Encoder("VGG16", "caffe", _VGG),
    "vgg19": Encoder("VGG19", "caffe", _VGG),
    "resnet50": Encoder("ResNet50", "caffe", _RESNET),
    "resnet101": Encoder("ResNet101", "caffe", _RESNET),
    "resnet152": Encoder("ResNet152", "caffe", _RESNET),
    "resnet50_v2": Encoder("ResNet50V2", "signed", _RESNET_V2),
    "resnet101_v2": Encoder("ResNet101V2", "signed", _RESNET_V2),
    "resnet152_v2": Encoder("ResNet152V2", "signed", _RESNET_V2),
    "densenet121": Encoder("DenseNet121", "torch", _DENSENET),
    "densenet169": Encoder("DenseNet169", "torch", _DENSENET),
    "densenet201": Encoder("DenseNet201", "torch", _DENSENET),
    **{
        f"efficientnet_b{i}": Encoder(f"EfficientNetB{i}", "torch", _EFFICIENTNET) for i in range(8)
    },
    **{
        f"efficientnet_v2_b{i}": Encoder(f"EfficientNetV2B{i}", "torch", _EFFICIENTNET_V2)
        for i in range(4)
    },
    "mobilenet_v3_small": Encoder("MobileNetV3Small", "signed", _MOBILENET_SMALL),
    "mobilenet_v3_large": Encoder("MobileNetV3Large", "signed", _MOBILENET_LARGE),
}


class _Made(NamedTuple):
    """What became of a tensor of the application's graph."""

    tensor: Tensor
    unpadded: Tensor  # before a ZeroPadding2D
    stride: int  # in the application, where nothing is dilated


_SCALING = ("InputLayer", "Rescaling", "Normalization")


def encode(
    image: Tensor,
    name: str,
    *,
    freeze: bool | int = False,
    freeze_norms: bool = True,
    output_stride: Literal[16, 32] = 32,
    dropout_seed: int | None = None,
) -> list[Tensor]:
    """Apply an encoder, its own input scaling first; random weights until they are loaded.

    Its layers stand in our graph as `encoder_…`. A frozen layer is not trained, a frozen batch
    normalisation uses its stored statistics, and frozen blocks are not dropped.

    Args:
        image: The network's input, (n, height, width, 1 or 3), [0, 255]; 1 is repeated.
        name: One of `ENCODERS`.
        freeze: False: no layer, True: all, a number: all but the last so many, counted as in
            `keras.applications` without the head.
        freeze_norms: False leaves batch normalisations trained even where all else is frozen.
        output_stride: 16 dilates the last stage instead of striding (Chen et al., 2017,
            https://arxiv.org/abs/1706.05587): the last two features are both at stride 16.
        dropout_seed: Of stochastic depth in EfficientNets; None draws one.

    Returns:
        Features at strides 2, 4, 8, 16, `output_stride`. Height and width must be multiples of
        the coarsest stride used.

    Raises:
        ValueError: There is no such encoder.
    """
    if name not in ENCODERS:
        raise ValueError(f"encoder {name!r} is not known")
    application, features = _application(name), ENCODERS[name].features
    trained = _trained(application, freeze, freeze_norms=freeze_norms)
    start = _scaled(image, ENCODERS[name].scaling)
    made: dict[int, _Made] = {}
    found: dict[str, Tensor] = {}
    for i, (operation, label) in enumerate(_named(application)):
        if type(operation).__name__ in _SCALING:
            made[id(operation.output)] = _Made(start, start, 1)
            continue
        inputs = [made[id(x)] for x in _as_list(operation.input)]
        kind, config = _kind(operation)
        config |= {"name": f"encoder_{label}", "trainable": operation.name in trained}
        if "momentum" in config:
            config["momentum"] = 0.9  # as in all our networks: Keras's 0.99 lags behind
        if "seed" in config:
            config["rate"] *= config["trainable"]
            config["seed"] = None if dropout_seed is None else dropout_seed + i
        result = _again(kind, config, inputs, output_stride=output_stride)
        made[id(operation.output)] = result
        found |= {pattern: result.tensor for pattern in features if fnmatchcase(label, pattern)}
    return [found[pattern] for pattern in features]


def load_encoder_weights(model: Tensor, name: str, source: str | Path) -> None:
    """Fill the encoder of a network with weights that were trained elsewhere.

    Args:
        model: A network built on `encode(…, name)`.
        name: One of `ENCODERS`.
        source: `imagenet` (Keras downloads it once) or a file that the network of
            `keras.applications` without its head takes (`.h5`, `.weights.h5`).

    Raises:
        ModelError: There is no such file, it does not fit, or the download failed.
    """
    application = _downloaded(name) if source == "imagenet" else _read(name, Path(source))
    given = {f"encoder_{label}": layer.get_weights() for layer, label in _weighted(application)}
    if ENCODERS[name].scaling == "caffe":
        first = next(iter(given))  # it was trained on blue, green, red; our images are red first
        given[first][0] = given[first][0][:, :, ::-1]
    for layer in model.layers:
        if layer.name.startswith("encoder_") and layer.weights:
            layer.set_weights(given[layer.name])


def _application(name: str, **options: Tensor) -> Tensor:
    options = {"weights": None, "input_shape": (None, None, 3), **options}
    return getattr(keras.applications, ENCODERS[name].application)(include_top=False, **options)


def _downloaded(name: str) -> Tensor:
    try:
        with contextlib.redirect_stdout(sys.stderr):  # Keras's progress is no result
            # MobileNetV3 warns about any other size, though its weights fit them all.
            return _application(name, weights="imagenet", input_shape=(224, 224, 3))
    except Exception as exc:
        if type(exc) is not Exception and not isinstance(exc, OSError | ValueError):
            raise  # Keras reports an unreachable address as a bare Exception
        text = " ".join(str(exc).split())
        address = re.search(r"https?://\S+(?=: )", text)
        file = repr(address[0].rsplit("/", 1)[-1]) if address else "ImageNet's weights"
        where = address[0] if address else f"what keras.applications names for {name}"
        raise ModelError(
            f"can't download {file} for encoder {name}: {text.rsplit(' -- ', 1)[-1]}",
            hint=f"download {where} elsewhere and give its path as model.encoder_weights",
        ) from exc


def _read(name: str, path: Path) -> Tensor:
    if not path.is_file():
        raise ModelError(f"{path}: no such weights")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # of layers that would stay random
            return _application(name, weights=str(path))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, UserWarning) as exc:
        text = " ".join(str(exc).split())
        known = f"{ENCODERS[name].application} of keras.applications without its top"
        raise ModelError(f"{path}: not weights of {known}: {text[:160]}") from exc


def _scaled(image: Tensor, scaling: Scaling) -> Tensor:
    if image.shape[-1] == 1:
        image = layers.Concatenate(name="encoder_grey")([image, image, image])
    factor, shift = _SCALES[scaling]
    return layers.Rescaling(factor, shift, name="encoder_rescaling")(image)


def _trained(application: Tensor, freeze: bool | int, *, freeze_norms: bool) -> set[str]:
    """The names, in the application, of the layers that are trained."""
    last = (0 if freeze else len(application.layers)) if isinstance(freeze, bool) else freeze
    first = len(application.layers) - last
    return {
        layer.name
        for i, layer in enumerate(application.layers)
        if i >= first or (not freeze_norms and isinstance(layer, layers.BatchNormalization))
    }


def _named(application: Tensor) -> Iterator[tuple[Tensor, str]]:
    """Each operation with a name that does not depend on what was built before.

    What Keras numbered is called after the layer before it: `conv_bn_activation`; `conv_1`, a name
    of the application's own, becomes `conv1`, so that it does not look numbered.
    """
    labels: dict[int, str] = {}
    for operation in application.operations:
        kind = re.sub("(?<=[a-z])(?=[A-Z])", "_", type(operation).__name__).lower()
        label = operation.name
        if kind in ("input_layer", "rescaling", "normalization"):
            label = "input"
        elif re.fullmatch(rf"{kind}(_\d+)?", label):
            label = f"{labels[id(_as_list(operation.input)[0])]}_{kind}"
        label = re.sub(r"_(\d+)$", r"\1", label)
        labels[id(operation.output)] = label
        yield operation, label


def _weighted(application: Tensor) -> Iterator[tuple[Tensor, str]]:
    for operation, label in _named(application):
        if label != "input" and isinstance(operation, layers.Layer) and operation.weights:
            yield operation, label


def _kind(operation: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The class of a layer and what to make it from."""
    if isinstance(operation, layers.Layer):
        return ours(type(operation)), operation.get_config()
    # MobileNetV3 writes its hard sigmoid as (x + 3) · (1 / 6), without layers.
    number = operation._inbound_nodes[0].arguments.args[1]
    if type(operation).__name__ == "Add":
        return layers.Rescaling, {"scale": 1.0, "offset": number}
    assert type(operation).__name__ == "Multiply"
    return layers.Rescaling, {"scale": number, "offset": 0.0}


def _again(
    kind: Tensor, config: dict[str, Tensor], inputs: list[_Made], *, output_stride: int
) -> _Made:
    """Apply a new layer of the same kind; what comes after `output_stride` is dilated."""
    x, unpadded, stride = inputs[0]
    if kind is layers.Reshape:  # of squeezed channels, to the 4 axes that they never lost here
        return inputs[0]
    if "keepdims" in config:
        config["keepdims"] = True
    if "strides" in config:
        before, stride = stride, stride * config["strides"][0]
        if stride > output_stride:
            config |= {"strides": 1, "padding": "same"}
            x = unpadded
            if config.get("kernel_size", (1, 1)) != (1, 1):
                config["dilation_rate"] = before // output_stride
    several = [made.tensor for made in inputs]
    made = kind.from_config(config)(several if len(several) > 1 else x)
    return _Made(made, x if kind is layers.ZeroPadding2D else made, stride)


def _as_list(x: Tensor) -> list[Tensor]:
    return list(x) if isinstance(x, list | tuple) else [x]

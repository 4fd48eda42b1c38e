"""Copies of networks: with fewer layers for inference, with Keras's own for other programs."""

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from cervseg.arrays import Tensor
from cervseg.models.normalization import BatchNormalization


def fold_normalizations(model: Tensor) -> Tensor:
    """Give a network that answers the same, to rounding, with fewer passes over its features.

    With its stored statistics a normalisation is a factor and a shift of each channel: the
    kernel before it takes the factor, its bias the shift (Jacob et al., 2018,
    https://arxiv.org/abs/1712.05877, 3.2). What stands behind an activation, or behind a
    convolution that others read too, stays.

    Args:
        model: Functional, one node a layer; it stays as it is.

    Returns:
        A network of its own, or the model itself where there is nothing to fold.
    """
    folded = _foldable(model)
    return _copy(model, folded) if folded else model


def with_keras_layers(model: Tensor) -> Tensor:
    """Give a copy that other programs can load: our batch normalisations become Keras's own."""
    return _copy(model, {})


def _copy(model: Tensor, folded: dict[str, Tensor]) -> Tensor:
    """A network of copied layers, some normalisations worked into those named."""
    gone = {id(normalization) for normalization in folded.values()}
    copies: dict[str, Tensor] = {}

    def copy(layer: Tensor) -> Tensor:
        if id(layer) in gone:
            return layer
        options = layer.get_config() | ({"use_bias": True} if layer.name in folded else {})
        ours = isinstance(layer, BatchNormalization)
        kind = layers.BatchNormalization if ours else type(layer)
        copies[layer.name] = kind.from_config(options)
        return copies[layer.name]

    def call(layer: Tensor, *inputs: Tensor, **options: Tensor) -> Tensor:
        return inputs[0] if id(layer) in gone else layer(*inputs, **options)

    copied = keras.models.clone_model(model, clone_function=copy, call_function=call)
    for layer in model.layers:
        if layer.name in folded:
            copies[layer.name].set_weights(_folded_weights(layer, folded[layer.name]))
        elif layer.name in copies:
            copies[layer.name].set_weights(layer.get_weights())
    return copied


def _foldable(model: Tensor) -> dict[str, Tensor]:
    """By the name of a convolution, the normalisation that alone reads it."""
    readers: dict[int, list[Tensor]] = {}
    makers: dict[int, Tensor] = {}
    for operation in model.operations:
        node = operation._inbound_nodes[0]
        for x in node.input_tensors:
            readers.setdefault(id(x), []).append(operation)
        makers |= {id(x): operation for x in node.output_tensors}
    outputs = {id(x) for x in model.outputs}
    return {
        makers[key].name: found[0]
        for key, found in readers.items()
        if len(found) == 1
        and key not in outputs
        and isinstance(found[0], layers.BatchNormalization)
        and type(makers[key]) in (layers.Conv2D, layers.DepthwiseConv2D)
        and makers[key].activation is keras.activations.linear
    }


def _folded_weights(convolution: Tensor, normalization: Tensor) -> list[NDArray[np.float32]]:
    """Kernel and bias that do the work of both, computed in float64."""
    weights = [np.asarray(w, np.float64) for w in convolution.get_weights()]
    variance = np.asarray(normalization.moving_variance, np.float64)
    factor = 1 / np.sqrt(variance + normalization.epsilon)
    if normalization.scale:
        factor = factor * np.asarray(normalization.gamma, np.float64)
    before = weights[1] if convolution.use_bias else 0.0
    bias = (before - np.asarray(normalization.moving_mean, np.float64)) * factor
    if normalization.center:
        bias = bias + np.asarray(normalization.beta, np.float64)
    by_channel = factor[:, None] if isinstance(convolution, layers.DepthwiseConv2D) else factor
    return [np.asarray(w, np.float32) for w in (weights[0] * by_channel, bias)]

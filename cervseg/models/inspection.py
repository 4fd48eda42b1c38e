"""How a network looks at its input: total stride and receptive field, from its graph."""

import math
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import keras

from cervseg.arrays import Tensor
from cervseg.errors import ConfigError


class Reach(NamedTuple):
    """How a tensor looks at the input along one axis.

    Pixel p of the tensor depends on input pixels from `p · jump - before` to `p · jump + after`.
    """

    jump: Fraction
    before: Fraction
    after: Fraction


class Geometry(NamedTuple):
    """The total stride, and the receptive field's radius; None where it has no bound."""

    align: int
    radius: int | None


_POINTWISE = {
    "Activation", "Add", "Average", "BatchNormalization", "Concatenate", "Dense", "Dropout", "Flip",
    "InputLayer", "LeakyReLU", "Maximum", "Multiply", "PReLU", "ReLU", "Rescaling",
    "SpatialDropout2D", "Subtract",
}  # fmt: skip
_WHOLE_TILE = {"GroupNormalization", "GlobalAveragePooling2D", "GlobalMaxPooling2D"}


def geometry(model: Tensor) -> Geometry:
    """Walk the graph of a model of two spatial axes and add up strides and kernels.

    The radius is an upper bound that holds for every output pixel: how far from it an input
    pixel can lie that still changes it (Araujo et al., 2019,
    https://doi.org/10.23915/distill.00021).

    Raises:
        NotImplementedError: A layer is of a kind whose reach is not known here.
    """
    reaches, bounded = walk(model)
    last = reaches[id(model.outputs[0])]
    align = math.lcm(*(reach.jump.numerator for reach in reaches.values()))
    return Geometry(align, math.ceil(max(last.before, last.after)) if bounded else None)


def refuse_misfit(tile_size: int, align: int, *, key: str = "data.tile_size") -> None:
    """Check that tiles go with a network's stride; `key` says how large they are.

    Raises:
        ConfigError: They do not; names the nearest sizes that would.
    """
    if tile_size % align:
        below = tile_size // align * align
        fitting = " or ".join(str(size) for size in (below, below + align) if size)
        raise ConfigError(
            f"'{key}' {tile_size} is no multiple of the network's stride {align}",
            hint=f"{fitting} would do, or a network of fewer levels",
        )


def draw(model: Tensor, path: Path) -> bool:
    """Draw the graph as a PNG, as Keras does; False where pydot or Graphviz are missing."""
    try:
        keras.utils.plot_model(model, path, show_shapes=True, show_layer_names=True)
    except ImportError:
        return False
    return True


def walk(model: Tensor) -> tuple[dict[int, Reach], bool]:
    """The reach of each tensor, by its id, and whether all of them are bounded."""
    reaches: dict[int, Reach] = {}
    bounded = True
    for operation in model.operations:
        node = operation._inbound_nodes[0]
        inputs = [reaches[id(x)] for x in node.input_tensors]
        before = _union(inputs) if inputs else Reach(Fraction(1), Fraction(0), Fraction(0))
        reach = _through(operation, before)
        bounded = bounded and reach is not None
        for x in node.output_tensors:
            reaches[id(x)] = reach or before
    return reaches, bounded


def _union(inputs: list[Reach]) -> Reach:
    first = inputs[0]
    before = max(reach.before for reach in inputs)
    return Reach(first.jump, before, max(reach.after for reach in inputs))


def _through(layer: Tensor, reach: Reach) -> Reach | None:
    kind = getattr(layer, "reach", None) or type(layer).__name__
    if kind in _POINTWISE or kind == "pointwise":
        return reach
    if kind == "LayerNormalization":
        over_channels = [axis % 4 for axis in _as_list(layer.axis)] == [3]
        return reach if over_channels else None
    if kind in _WHOLE_TILE or kind == "tile":
        return None
    if kind == "ZeroPadding2D":
        (top, _), _ = layer.padding
        return Reach(reach.jump, reach.before + top * reach.jump, reach.after - top * reach.jump)
    if kind in ("Conv2D", "DepthwiseConv2D", "SeparableConv2D"):
        return _strided(reach, layer.kernel_size[0], layer, dilation=layer.dilation_rate[0])
    if kind in ("MaxPooling2D", "AveragePooling2D"):
        return _strided(reach, layer.pool_size[0], layer)
    if kind == "Conv2DTranspose":
        return _expanded(reach, layer.kernel_size[0], layer.strides[0])
    if kind == "UpSampling2D" and layer.interpolation == "nearest":
        return _expanded(reach, layer.size[0], layer.size[0])
    if kind == "UpSampling2D" and layer.interpolation == "bilinear":
        return _interpolated(reach, layer.size[0])
    raise NotImplementedError(f"the reach of layer {kind} is not known")


def _strided(reach: Reach, kernel: int, layer: Tensor, *, dilation: int = 1) -> Reach:
    """A window that moves by a stride; padded `same`, the smaller half of the padding is first."""
    stride, span = layer.strides[0], (kernel - 1) * dilation
    near = max(span + 1 - stride, 0) // 2 if layer.padding == "same" else 0
    jump, before, after = reach
    return Reach(jump * stride, before + near * jump, after + (span - near) * jump)


def _interpolated(reach: Reach, factor: int) -> Reach:
    """Bilinear, pixel centres at halves: the first outputs of an input lean on the one before."""
    if factor == 1:
        return reach
    jump = reach.jump / factor
    last_of_first_half, first_of_second_half = factor // 2 - 1, (factor + 1) // 2
    return Reach(
        jump,
        reach.before + reach.jump + last_of_first_half * jump,
        reach.after + reach.jump - first_of_second_half * jump,
    )


def _expanded(reach: Reach, kernel: int, stride: int) -> Reach:
    """The transpose of a strided window: which inputs' windows hold an output pixel."""
    jump = reach.jump / stride
    after = max(kernel - stride, 0) // 2
    return Reach(jump, reach.before + (kernel - 1 - after) * jump, reach.after + after * jump)


def _as_list(axis: Tensor) -> list[int]:
    return list(axis) if isinstance(axis, list | tuple) else [axis]

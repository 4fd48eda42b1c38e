"""What a network's graph says: total stride, receptive field, memory."""

import math
from fractions import Fraction
from typing import NamedTuple

from cervseg.arrays import Tensor


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
    "Activation", "Add", "Average", "BatchNormalization", "Concatenate", "Dropout", "InputLayer",
    "LeakyReLU", "Maximum", "Multiply", "PReLU", "ReLU", "Rescaling", "SpatialDropout2D",
    "Subtract",
}  # fmt: skip


def geometry(model: Tensor) -> Geometry:
    """Walk the graph of a model of two spatial axes and add up strides and kernels.

    The radius is an upper bound that holds for every output pixel: how far from it an input
    pixel can lie that still changes it (Araujo et al., 2019,
    https://doi.org/10.23915/distill.00021).

    Raises:
        NotImplementedError: A layer is of a kind whose reach is not known here.
    """
    reaches, bounded = _walk(model)
    last = reaches[id(model.outputs[0])]
    align = math.lcm(*(reach.jump.numerator for reach in reaches.values()))
    return Geometry(align, math.ceil(max(last.before, last.after)) if bounded else None)


def training_bytes(model: Tensor, batch_size: int, size: int) -> int:
    """Estimate the memory of a training step.

    Activations and their gradients, the weights, their gradients and two moments, in float32.

    Args:
        model: Any network of ours.
        batch_size: Tiles a step.
        size: Side of a tile, pixels.
    """
    reaches, _ = _walk(model)
    values = 0.0
    for operation in model.operations:
        for x in operation._inbound_nodes[0].output_tensors:
            values += (size / reaches[id(x)].jump) ** 2 * (x.shape[-1] or 1)
    weights = sum(math.prod(v.shape) for v in model.variables)
    return int(4 * (2 * values * batch_size + 4 * weights))


def _walk(model: Tensor) -> tuple[dict[int, Reach], bool]:
    """The reach of each tensor, and whether all of them are bounded."""
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
    kind = type(layer).__name__
    if kind in _POINTWISE:
        return reach
    if kind == "LayerNormalization":
        over_channels = [axis % 4 for axis in _as_list(layer.axis)] == [3]
        return reach if over_channels else None
    if kind in ("GroupNormalization", "GlobalAveragePooling2D", "GlobalMaxPooling2D"):
        return None
    if kind in ("Conv2D", "DepthwiseConv2D", "SeparableConv2D"):
        return _strided(
            reach, layer.kernel_size[0], layer.strides[0], dilation=layer.dilation_rate[0]
        )
    if kind in ("MaxPooling2D", "AveragePooling2D"):
        return _strided(reach, layer.pool_size[0], layer.strides[0])
    if kind == "Conv2DTranspose":
        return _expanded(reach, layer.kernel_size[0], layer.strides[0])
    if kind == "UpSampling2D" and layer.interpolation == "nearest":
        return _expanded(reach, layer.size[0], layer.size[0])
    raise NotImplementedError(f"the reach of layer {kind} is not known")


def _strided(reach: Reach, kernel: int, stride: int, *, dilation: int = 1) -> Reach:
    """A window that moves by `stride`, padded `same`: the smaller half of the padding first."""
    span = (kernel - 1) * dilation
    near = max(span + 1 - stride, 0) // 2
    jump, before, after = reach
    return Reach(jump * stride, before + near * jump, after + (span - near) * jump)


def _expanded(reach: Reach, kernel: int, stride: int) -> Reach:
    """The transpose of a strided window: which inputs' windows hold an output pixel."""
    jump = reach.jump / stride
    after = max(kernel - stride, 0) // 2
    return Reach(jump, reach.before + (kernel - 1 - after) * jump, reach.after + after * jump)


def _as_list(axis: Tensor) -> list[int]:
    return list(axis) if isinstance(axis, list | tuple) else [axis]

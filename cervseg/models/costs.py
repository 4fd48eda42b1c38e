"""What a network costs for tiles of a size: multiply-adds and memory."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from cervseg.arrays import Tensor
from cervseg.models.inspection import walk

FLOAT = 4
"""Bytes of a float32, in which memory is counted."""


class LayerCost(NamedTuple):
    """One layer of a network.

    Args:
        name: Of the layer.
        kind: Its class.
        shape: Of its output for one tile.
        parameters: Trained or not.
        multiply_adds: For one tile.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    multiply_adds: int


class _Step(NamedTuple):
    """A layer and the tensors it works on, as keys of `_shapes`."""

    layer: Tensor
    inputs: Sequence[int]
    outputs: Sequence[int]


def layer_costs(model: Tensor, height: int, width: int) -> list[LayerCost]:
    """What each layer costs for one tile, in the order of computation.

    A convolution costs one multiply-add for each output value and weight that makes it, a
    transposed one for each input value and weight that spreads it. Biases, norms, activations,
    pooling and interpolation are not counted, as is usual.

    Args:
        model: Any network of ours.
        height: Of a tile, pixels.
        width: Of a tile, pixels.
    """
    shapes, steps = _shapes(model, height, width), _steps(model)
    return [
        LayerCost(
            step.layer.name,
            type(step.layer).__name__,
            shapes[step.outputs[0]],
            sum(math.prod(v.shape) for v in getattr(step.layer, "weights", ())),
            _multiply_adds(step.layer, shapes[[*step.inputs, *step.outputs][0]],
                           shapes[step.outputs[0]]),
        )
        for step in steps
    ]  # fmt: skip


def multiply_adds(model: Tensor, height: int, width: int) -> int:
    """Of one tile."""
    return sum(cost.multiply_adds for cost in layer_costs(model, height, width))


def training_bytes(model: Tensor, batch_size: int, size: int) -> int:
    """Estimate the memory of a training step.

    Activations and their gradients, the weights, their gradients and two moments, in float32.

    Args:
        model: Any network of ours.
        batch_size: Tiles a step.
        size: Side of a tile, pixels.
    """
    shapes, steps = _shapes(model, size, size), _steps(model)
    values = sum(map(math.prod, shapes.values()))
    values += sum(_hidden_values(step, shapes) for step in steps)
    return FLOAT * (2 * values * batch_size + 4 * _weights(model))


def inference_bytes(model: Tensor, batch_size: int, size: int) -> int:
    """Estimate the memory of predicting a batch: the weights, and what is alive at once.

    Args:
        model: Any network of ours.
        batch_size: Tiles at once.
        size: Side of a tile, pixels.
    """
    shapes, steps = _shapes(model, size, size), _steps(model)
    last_use = {x: i for i, step in enumerate(steps) for x in (*step.outputs, *step.inputs)}
    alive = most = 0
    for i, step in enumerate(steps):
        alive += sum(math.prod(shapes[x]) for x in step.outputs)
        most = max(most, alive + _hidden_values(step, shapes))
        over = {x for x in (*step.inputs, *step.outputs) if last_use[x] == i}
        alive -= sum(math.prod(shapes[x]) for x in over)
    return FLOAT * (most * batch_size + _weights(model))


def _steps(model: Tensor) -> list[_Step]:
    """Each layer with its tensors, in the order of computation."""
    nodes = [(operation, operation._inbound_nodes[0]) for operation in model.operations]
    return [
        _Step(layer, [id(x) for x in node.input_tensors], [id(x) for x in node.output_tensors])
        for layer, node in nodes
    ]


def _shapes(model: Tensor, height: int, width: int) -> dict[int, tuple[int, ...]]:
    """The shape of each tensor for one tile: what the graph leaves open follows its stride."""
    reaches, _ = walk(model)
    shapes = {}
    for operation in model.operations:
        for x in operation._inbound_nodes[0].output_tensors:
            jump, shape = reaches[id(x)].jump, list(x.shape[1:])
            for axis, length in enumerate((height, width)[: len(shape)]):
                if shape[axis] is None:
                    shape[axis] = int(length / jump)
            shapes[id(x)] = tuple(shape)
    return shapes


def _hidden_values(step: _Step, shapes: dict[int, tuple[int, ...]]) -> int:
    """What a layer of ours holds inside: attention more than it gives."""
    if not hasattr(step.layer, "hidden_values"):
        return 0
    return int(step.layer.hidden_values(*shapes[step.inputs[0]][:2]))


def _weights(model: Tensor) -> int:
    return sum(math.prod(v.shape) for v in model.variables)


def _multiply_adds(layer: Tensor, given: tuple[int, ...], out: tuple[int, ...]) -> int:
    kind, count = type(layer).__name__, 0
    if hasattr(layer, "multiply_adds"):
        count = layer.multiply_adds(*given[:2])
    elif kind == "Conv2D":  # the kernel is (height, width, input channels of a group, filters)
        count = math.prod(out) * math.prod(layer.kernel.shape[:3])
    elif kind == "DepthwiseConv2D":
        count = math.prod(out) * math.prod(layer.kernel.shape[:2])
    elif kind == "SeparableConv2D":
        kernels = (layer.depthwise_kernel, layer.pointwise_kernel)
        count = math.prod(out[:2]) * sum(math.prod(kernel.shape) for kernel in kernels)
    elif kind == "Conv2DTranspose":
        count = math.prod(given[:2]) * math.prod(layer.kernel.shape)
    elif kind == "Dense":
        count = math.prod(out) * given[-1]
    return count

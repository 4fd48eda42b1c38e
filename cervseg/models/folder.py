"""A model on disk: `contract.json` and `model.weights.h5`, nothing that runs."""

import math
import random
from dataclasses import replace
from pathlib import Path

import keras
from keras.src.backend.common import global_state  # shown nowhere else

from cervseg.arrays import Tensor
from cervseg.bounds import one_line
from cervseg.contract import CONTRACT, Contract
from cervseg.errors import ModelError
from cervseg.models import ARCHITECTURES
from cervseg.models.inspection import geometry, refuse_misfit
from cervseg.models.weights import load_weights, save_weights

WEIGHTS = "model.weights.h5"

PENDING = "uninitialized_variables"
"""Keras's list of variables that the next layer of any network would give values."""

LEAST_BYTES, HARMLESS = 2, 10_000_000
"""Of a weight in a file: half precision. So many weights take 40 MB: any machine has them."""

MOST_BLOCKS = 64
"""Of levels or blocks, where a network takes a number of them."""

_COUNTS = ("num_layers", "depth", "stack_num_down", "stack_num_up", "num_transformer")


def build_network(contract: Contract, *, where: str) -> Tensor:
    """Build the network a contract describes, weights not yet loaded.

    Args:
        contract: The model's.
        where: Its path, for errors.

    Raises:
        ModelError: An unknown architecture, or options it does not take.
    """
    build = ARCHITECTURES.get(contract.architecture)
    if build is None:
        raise ModelError(
            f"{where}: architecture {one_line(repr(contract.architecture))} is not known"
        )
    for key in _COUNTS:
        if isinstance(count := contract.options.get(key), int) and count > MOST_BLOCKS:
            raise ModelError(f"{where}: {key} of {count}, at most {MOST_BLOCKS} can be built")
    try:
        shape = (None, None, contract.input_channels)
        return build(shape, contract.channels, **contract.options)
    except (TypeError, ValueError, LookupError, OverflowError) as exc:
        raise ModelError(f"{where}: can't build {contract.architecture}: {one_line(exc)}") from exc


def sketch_network(contract: Contract, *, where: str) -> Tensor:
    """The network of a contract as far as shapes go: its weights take no memory and have no values.

    Raises:
        ModelError: See `build_network`.
    """
    state = random.getstate()  # Keras draws seeds from it, and what is built next needs its own
    pending = [*(global_state.get_global_attribute(PENDING) or [])]
    try:
        with keras.StatelessScope(initialize_variables=False):
            return build_network(contract, where=where)
    finally:
        random.setstate(state)
        global_state.set_global_attribute(PENDING, pending)


def refuse_oversized(contract: Contract, size: int, *, where: str) -> None:
    """Check that files of so many bytes can hold a network, before it takes any memory.

    A contract of a few bytes may ask for a hundred gigabytes.

    Raises:
        ModelError: They can't, or the contract describes no network.
    """
    network = final_network(sketch_network(contract, where=where))
    count = sum(math.prod(variable.shape) for variable in network.weights)
    if count > HARMLESS and count * LEAST_BYTES > size:
        raise ModelError(f"{where}: a network of {count} weights, in files of {size} bytes")


def final_network(model: Tensor) -> Tensor:
    """The part of a network that gives its final answer: side outputs serve training alone."""
    if len(model.outputs) == 1:
        return model
    return keras.Model(model.inputs[0], model.outputs[0], name=model.name)


def training_network(model: Tensor) -> Tensor:
    """A network whose side outputs stand behind the final one, channel by channel.

    Of one output, since Keras would ask for a mask each and name the metrics after layers.
    """
    if len(model.outputs) == 1:
        return model
    joined = keras.layers.Concatenate(dtype="float32", name="outputs")(model.outputs)
    return keras.Model(model.inputs[0], joined, name=model.name)


def with_geometry(contract: Contract, network: Tensor) -> Contract:
    """Put stride and receptive field of a network into its contract.

    Raises:
        ConfigError: The contract's tiles do not go with the stride.
    """
    align, radius = geometry(network)
    refuse_misfit(contract.tile_size, align)
    if radius is not None and contract.preprocess.sharpen:
        radius += 1  # a 3 x 3 kernel stands before the network
    return replace(contract, align=align, receptive_field=radius, margin=radius)


def save_model(folder: Path, model: Tensor, contract: Contract, *, half: bool = False) -> None:
    """Write weights, then the contract that makes them a model; no weights of side outputs.

    Args:
        folder: Of the model.
        model: The network.
        contract: The model's.
        half: Store kernels in half precision.
    """
    save_weights(folder / WEIGHTS, final_network(model), half=half)
    contract.save(folder)


def load_model(folder: Path, contract: Contract) -> Tensor:
    """Build the network, of one output, and fill in its weights.

    Raises:
        ModelError: The weights are missing, broken, or of another network.
    """
    if not (folder / WEIGHTS).is_file():
        raise ModelError(f"{folder / WEIGHTS}: no such weights")
    size = (folder / WEIGHTS).stat().st_size
    refuse_oversized(contract, size, where=str(folder / CONTRACT))
    model = final_network(build_network(contract, where=str(folder / CONTRACT)))
    align = geometry(model).align
    if contract.align % align:
        raise ModelError(
            f"{folder / CONTRACT}: align {contract.align} is no multiple of the network's "
            f"stride {align}"
        )
    load_weights(folder / WEIGHTS, model)
    return model

"""A model on disk: `contract.json` and `model.weights.h5`, nothing that runs."""

from dataclasses import replace
from pathlib import Path

import keras

from cervseg.arrays import Tensor
from cervseg.contract import CONTRACT, Contract
from cervseg.errors import ModelError
from cervseg.models import ARCHITECTURES
from cervseg.models.inspection import geometry, refuse_misfit
from cervseg.models.weights import load_weights, save_weights

WEIGHTS = "model.weights.h5"


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
        raise ModelError(f"{where}: architecture {contract.architecture!r} is not known")
    try:
        shape = (None, None, contract.input_channels)
        return build(shape, contract.channels, **contract.options)
    except (TypeError, ValueError, LookupError, OverflowError) as exc:
        raise ModelError(f"{where}: can't build {contract.architecture}: {exc}") from exc


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
    model = final_network(build_network(contract, where=str(folder / CONTRACT)))
    align = geometry(model).align
    if contract.align % align:
        raise ModelError(
            f"{folder / CONTRACT}: align {contract.align} is no multiple of the network's "
            f"stride {align}"
        )
    load_weights(folder / WEIGHTS, model)
    return model

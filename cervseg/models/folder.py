"""A model on disk: `contract.json` and `model.weights.h5`, nothing that runs."""

from pathlib import Path

from cervseg.arrays import Tensor
from cervseg.contract import CONTRACT, Contract
from cervseg.errors import ModelError
from cervseg.files import writing
from cervseg.models import ARCHITECTURES

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
    except (TypeError, ValueError) as exc:
        raise ModelError(f"{where}: can't build {contract.architecture}: {exc}") from exc


def save_model(folder: Path, model: Tensor, contract: Contract) -> None:
    """Write weights, then the contract that makes them a model."""
    with writing(folder / WEIGHTS) as partial:
        model.save_weights(partial)
    contract.save(folder)


def load_model(folder: Path, contract: Contract) -> Tensor:
    """Build the network and fill in its weights.

    Raises:
        ModelError: The weights are missing, broken, or of another network.
    """
    model = build_network(contract, where=str(folder / CONTRACT))
    load_weights(model, folder / WEIGHTS)
    return model


def load_weights(model: Tensor, path: Path) -> None:
    """Fill a network from a weights file.

    Raises:
        ModelError: The file is missing or broken, or does not fit the network.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such weights")
    try:
        model.load_weights(path)
    except (OSError, ValueError, TypeError, KeyError) as exc:
        reason = str(exc).strip().splitlines()[0] if str(exc).strip() else type(exc).__name__
        raise ModelError(f"{path}: the weights do not fit the contract: {reason}") from exc

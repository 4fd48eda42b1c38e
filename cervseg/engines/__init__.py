"""Open a model: a folder in, its contract and a predictor out."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from cervseg.contract import Contract, Predictor, find_model
from cervseg.engines.keras import open_keras
from cervseg.engines.wrappers import average

ENGINES: dict[str, Callable[[Path, Contract], Predictor]] = {"keras": open_keras}
"""Name to a function from a model folder and its contract to a predictor."""


class Opened(NamedTuple):
    """A model ready to predict."""

    contract: Contract
    predict: Predictor


def open_model(paths: Sequence[Path], engine: str = "keras") -> Opened:
    """Open one model, or several as their mean.

    Raises:
        ModelError: One is missing or broken, or several do not go together.
    """
    opened = []
    for folder in [find_model(path) for path in paths]:
        contract = Contract.load(folder)
        opened.append(Opened(contract, ENGINES[engine](folder, contract)))
    return opened[0] if len(opened) == 1 else Opened(*average(opened, paths))

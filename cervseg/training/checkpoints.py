"""All that the next epoch depends on, in one file."""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cervseg.arrays import Tensor
from cervseg.errors import DataError
from cervseg.files import FORMAT, writing


@dataclass
class State:
    """What a training knows beside its weights.

    Args:
        epoch: Epochs that are finished.
        rows: One record an epoch: the history.
        best: The lowest loss so far.
        best_epoch: Its epoch, from 1.
        waited: Epochs since then.
        plateau_best: The lowest loss the schedule has seen.
        plateau_waited: Epochs since then, or since the rate was reduced.
        ended: Why no further epoch follows: epochs, patience, stop.
    """

    epoch: int = 0
    rows: list[dict[str, float]] = field(default_factory=list)
    best: float = float("inf")
    best_epoch: int = 0
    waited: int = 0
    plateau_best: float = float("inf")
    plateau_waited: int = 0
    ended: str | None = None

    def columns(self) -> dict[str, list[float]]:
        """The history as one list a column."""
        return {name: [row[name] for row in self.rows] for name in (self.rows or [{}])[0]}


def save_state(path: Path, model: Tensor, state: State) -> None:
    """Write weights, optimiser, seeds of dropout and state, whole or not at all.

    Weights files of Keras hold neither the seeds nor, on loading, the optimiser; its own
    variables, in their order, hold everything.
    """
    text = json.dumps({"format": FORMAT, **asdict(state)})
    arrays = {f"v{i:05d}": np.asarray(v) for i, v in enumerate(_variables(model))}
    with writing(path) as partial:
        np.savez(partial, state=np.frombuffer(text.encode(), np.uint8), **_as_any(arrays))


def load_state(path: Path, model: Tensor) -> State | None:
    """Put a model, built and compiled as before, back to where it was.

    Returns:
        None where no epoch was ever finished.

    Raises:
        DataError: The file is broken or belongs to another network.
    """
    if not path.is_file():
        return None
    model.optimizer.build(model.trainable_variables)
    variables = _variables(model)
    try:
        # Opened here, since numpy leaves a file open that turns out to be no archive.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            document = json.loads(bytes(file["state"]).decode())
            arrays = [file[f"v{i:05d}"] for i in range(len(file.files) - 1)]
        if not isinstance(document, dict) or document.pop("format", None) != FORMAT:
            raise ValueError("another format")
        state = State(**document)
        if len(arrays) != len(variables):
            raise ValueError(f"it holds {len(arrays)} variables, the network has {len(variables)}")
        for variable, array in zip(variables, arrays, strict=True):
            if tuple(variable.shape) != array.shape:
                raise ValueError(f"{variable.path} is {array.shape}, not {tuple(variable.shape)}")
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as exc:
        raise DataError(
            f"{path}: can't be resumed from: {exc}", hint="start anew with --overwrite"
        ) from exc
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
    return state


def _variables(model: Tensor) -> list[Tensor]:
    return [*model.variables, *model.optimizer.variables]


def _as_any(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """`savez` declares a keyword of its own, which mypy takes all others for."""
    return dict(arrays)

"""All that the next epoch depends on, in one file."""

import json
import math
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from cervseg import values
from cervseg.arrays import Tensor
from cervseg.bounds import one_line
from cervseg.errors import DataError
from cervseg.files import FORMAT, writing
from cervseg.reports import JSON

LONGEST = 64 * 2**20
"""Bytes of what a training knows beside its weights; an epoch takes some hundred."""


MOST_EPOCHS = (0, 10**9)


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
        with zipfile.ZipFile(path) as archive:
            state = _parse(archive)
            count = len(archive.namelist()) - 1
            if count != len(variables):
                raise ValueError(f"it holds {count} variables, the network has {len(variables)}")
            arrays = [_read(archive, i, variable) for i, variable in enumerate(variables)]
    except (
        *(OSError, ValueError, KeyError, TypeError, RecursionError, EOFError),
        *(SyntaxError, tokenize.TokenError),  # numpy reads a header as Python's literals
        *(zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError),  # of the archive
    ) as exc:
        raise DataError(
            f"{path}: can't be resumed from: {one_line(exc)}", hint="start anew with --overwrite"
        ) from exc
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
    return state


def _parse(archive: zipfile.ZipFile) -> State:
    """What the training knew, checked: whoever resumes does not look again."""
    with archive.open(_plain(archive, "state", LONGEST)) as entry:
        _header(entry)
        document = json.loads(entry.read())
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError("another format")
    rows = values.rows(document, "rows")
    if any(not isinstance(cell, int | float) for row in rows for cell in row.values()):
        raise ValueError("'rows' that are no numbers")
    if any(row.keys() != rows[0].keys() for row in rows):
        raise ValueError("'rows' of unequal columns")
    state = State(
        values.integer(document, "epoch", MOST_EPOCHS),
        cast(list[dict[str, float]], rows),
        best=_number(document, "best"),
        best_epoch=values.integer(document, "best_epoch", MOST_EPOCHS),
        waited=values.integer(document, "waited", MOST_EPOCHS),
        plateau_best=_number(document, "plateau_best"),
        plateau_waited=values.integer(document, "plateau_waited", MOST_EPOCHS),
        ended=None if document["ended"] is None else values.typed(document, "ended", str),
    )
    if state.best_epoch > len(rows):
        raise ValueError(f"epoch {state.best_epoch} is best of {len(rows)}")
    return state


def _number(document: Mapping[str, JSON], key: str) -> float:
    """A number that may be infinite: where there is no best yet."""
    value = document[key]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{key!r} must be a number, not {value!r}")
    return float(value)


def _plain(archive: zipfile.ZipFile, name: str, most: int) -> zipfile.ZipInfo:
    """An entry as `save_state` writes it, not compressed: none is larger than its file."""
    info = archive.getinfo(f"{name}.npy")
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > most:
        raise ValueError(f"{name} is compressed, or {info.file_size} bytes")
    return info


def _header(entry: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of an array, from numpy's header; what follows is numbers or nothing."""
    if np.lib.format.read_magic(entry) != (1, 0):
        raise ValueError("an array of another version")
    shape, is_fortran, kind = np.lib.format.read_array_header_1_0(entry)
    if kind.kind not in "iufb" or is_fortran:
        raise ValueError(f"an array of {kind}")
    return shape, kind


def _read(archive: zipfile.ZipFile, number: int, variable: Tensor) -> NDArray[Any]:
    """The array of a variable; nothing is read before its shape is the variable's."""
    name, wanted = f"v{number:05d}", tuple(variable.shape)
    info = archive.getinfo(f"{name}.npy")
    with archive.open(_plain(archive, name, info.file_size)) as entry:
        shape, kind = _header(entry)
        if shape != wanted:
            raise ValueError(f"{variable.path} is {shape}, not {wanted}")
        content = entry.read(math.prod(shape) * kind.itemsize)
    return np.frombuffer(content, kind).reshape(shape)


def _variables(model: Tensor) -> list[Tensor]:
    return [*model.variables, *model.optimizer.variables]


def _as_any(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """`savez` declares a keyword of its own, which mypy takes all others for."""
    return dict(arrays)

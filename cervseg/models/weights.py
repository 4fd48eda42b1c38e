"""Weights on disk, by the names of the layers: `*.weights.h5`.

HDF5 with one float dataset a variable, under its Keras path (`down0_conv1/kernel`). Keras's own
layout numbers layers by class instead, so it can't tell which layer does not fit.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from cervseg.arrays import Tensor
from cervseg.bounds import one_line
from cervseg.errors import ModelError
from cervseg.files import write_bytes

SHOWN = 5


def save_weights(path: Path, model: Tensor, *, prefix: str = "", half: bool = False) -> None:
    """Write the weights of a network, or of its layers of a prefix, whole or not at all.

    Args:
        path: The file.
        model: The network.
        prefix: Write only layers whose names start so.
        half: Store kernels as float16, half the size; reading makes float32 of them again.
    """
    buffer = io.BytesIO()  # on a full disk HDF5 itself would crash the process
    with h5py.File(buffer, "w") as file:
        for variable in _variables(model, prefix):
            array = np.asarray(variable)
            file.create_dataset(variable.path, data=_halved(array) if half else array)
    write_bytes(path, buffer.getvalue())


def _halved(array: NDArray[np.float32]) -> NDArray[np.float16 | np.float32]:
    """A kernel as float16; vectors, which are small, and what exceeds its range as they are."""
    if array.ndim < 2:  # biases, and a norm's statistics of any size
        return array
    with np.errstate(over="ignore"):
        rounded = array.astype(np.float16)
    return rounded if np.isfinite(rounded).all() else array


def load_weights(path: Path, model: Tensor, *, prefix: str = "") -> None:
    """Fill a network with the weights of a file, which must have exactly its layers.

    Args:
        path: Written by `save_weights`.
        model: The network.
        prefix: Fill only layers whose names start so; the file has exactly those.

    Raises:
        ModelError: The file is missing or broken, or does not fit; names the layers.
    """
    variables = _variables(model, prefix)
    arrays, unused = _read_all(path, variables)
    wrong = [f"{name}: {found}" for name, found in arrays.items() if isinstance(found, str)]
    wrong += [f"{name}: no such layer in the network" for name in unused]
    if wrong:
        more = f"\n  and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        lines = "".join(f"\n  {line}" for line in wrong[:SHOWN])
        raise ModelError(f"{path}: {len(wrong)} weights do not fit the network:{lines}{more}")
    for variable in variables:
        variable.assign(arrays[variable.path])


class Taken(NamedTuple):
    """What of a file of weights fitted a network.

    Args:
        fitting: Paths of the variables that were filled.
        other: `PATH: reason` of those that kept their values.
        unused: Paths that only the file has.
    """

    fitting: list[str]
    other: list[str]
    unused: list[str]


def take_weights(path: Path, model: Tensor) -> Taken:
    """Fill those variables of a network whose name and shape the file has, and tell which.

    Raises:
        ModelError: The file is missing or broken.
    """
    arrays, unused = _read_all(path, model.weights)
    fitting, other = [], []
    for variable in model.weights:
        found = arrays[variable.path]
        if isinstance(found, str):
            other.append(f"{variable.path}: {found}")
        else:
            variable.assign(found)
            fitting.append(variable.path)
    return Taken(fitting, other, unused)


def _read_all(
    path: Path, variables: Sequence[Tensor]
) -> tuple[dict[str, NDArray[np.float32] | str], list[str]]:
    """For each variable its array or what is wrong with it, and the names nobody asked for."""
    if not path.is_file():
        raise ModelError(f"{path}: no such weights")
    wanted = {variable.path: tuple(variable.shape) for variable in variables}
    try:
        with h5py.File(path, "r") as file:
            arrays = {name: read_array(file, name, shape) for name, shape in wanted.items()}
            return arrays, sorted(_names(file) - set(wanted))
    except (OSError, ValueError, KeyError, RuntimeError) as exc:
        raise ModelError(f"{path}: not a readable file of weights: {one_line(exc)}") from exc


def _variables(model: Tensor, prefix: str) -> list[Tensor]:
    return [variable for variable in model.weights if variable.path.startswith(prefix)]


def read_array(file: h5py.File, name: str, shape: tuple[int, ...]) -> NDArray[np.float32] | str:
    """The array of a variable, or what is wrong with it; a link to elsewhere is not followed."""
    parts = name.split("/")
    for depth in range(1, len(parts) + 1):
        link = file.get("/".join(parts[:depth]), getlink=True)
        if link is None:
            return "missing in the file"
        if not isinstance(link, h5py.HardLink):
            return "a link, not data"
    found = file[name]
    if not isinstance(found, h5py.Dataset) or found.dtype.kind != "f":
        return "not an array of numbers"
    if found.external or found.is_virtual:
        return "a link, not data"
    if found.shape != shape:
        return f"{found.shape} in the file, {shape} in the network"
    return np.asarray(found[()], np.float32)


def _names(file: h5py.File) -> set[str]:
    names: set[str] = set()

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            names.add(name)

    file.visititems(visit)
    return names

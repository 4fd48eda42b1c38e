"""Trained weights of the reference's U-Net: Keras 2 HDF5, numbers only.

A file names its layers by class and count (`conv2d_3`), ours by role (`down1_conv2`), so layers are
matched by their order, and every shape is compared.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Literal, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from cervseg.arrays import Tensor
from cervseg.bounds import one_line
from cervseg.contract import Contract
from cervseg.errors import ModelError
from cervseg.models.folder import build_network, refuse_oversized
from cervseg.models.weights import SHOWN, read_array

MOST_LAYERS = 4096

Place = Literal["convolution", "activation"]
Arrays = dict[str, NDArray[np.float32]]

_ACTIVATION = re.compile(r"activation|(leaky_|p_)?re_?lu|elu|mish|tf\.")


class Layer(NamedTuple):
    """A layer with weights in a file.

    Args:
        name: In the file.
        weights: For each kind (`kernel`, `bias`, `gamma`, …) its path in the file.
    """

    name: str
    weights: dict[str, str]


def load_legacy(path: Path, contract: Contract) -> Tensor:
    """Build the network of a contract and fill it with weights of the reference.

    Args:
        path: `best_model.h5`: weights alone, or a model with its weights.
        contract: Of a U-Net.

    Raises:
        ModelError: Another architecture, a broken file, or layers that do not fit; names them.
    """
    if contract.architecture != "unet":
        raise ModelError(
            f"{path}: weights of a {contract.architecture} can't be taken over",
            hint="only those of TensorflowUNet fit; leave --weights out and train anew",
        )
    if not path.is_file():
        raise ModelError(f"{path}: no such weights")
    refuse_oversized(contract, path.stat().st_size, where=str(path))
    model = build_network(contract, where=str(path))
    place, ours = normalized_after(path), contract.options.get("normalize_after", "convolution")
    if place not in (None, ours) and contract.options.get("normalization") == "batch":
        raise ModelError(
            f"{path}: normalises after the {place}, the network after the {ours}",
            hint="leave --weights out and train anew",
        )
    arrays = _read_arrays(path, [layer for layer in model.layers if layer.weights])
    for variable in model.weights:
        variable.assign(arrays[variable.path])
    return model


def normalized_after(path: Path) -> Place | None:
    """Where the network of a file normalises; None: nowhere.

    The reference's convolutions hold their activation, so it normalises after it. Where an
    activation is a layer of its own behind the normalisation, it is the other way round.

    Raises:
        ModelError: The file is missing or broken.
    """
    with _opened(path) as root:
        names, layers = _names(root, "layer_names"), _layers(root)
    weighted = {layer.name for layer in layers}
    norms = {layer.name for layer in layers if "gamma" in layer.weights}
    telling = [name for name in names if name in weighted or _ACTIVATION.match(name)]
    behind = [after for name, after in zip(telling, telling[1:], strict=False) if name in norms]
    if not norms:
        return None
    return "convolution" if any(map(_ACTIVATION.match, behind)) else "activation"


@contextmanager
def _opened(path: Path) -> Iterator[h5py.Group]:
    """The group that holds the layers.

    Raises:
        ModelError: The file is missing or broken; also for what HDF5 raises in the block.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such weights")
    try:
        with h5py.File(path, "r") as file:
            is_model = "model_weights" in file and "layer_names" not in file.attrs
            yield _group(file, "model_weights") if is_model else file
    # h5py raises TypeError for attributes of a type that NumPy lacks.
    except (OSError, ValueError, KeyError, RuntimeError, TypeError) as exc:
        raise ModelError(
            f"{path}: not a readable file of Keras 2 weights: {one_line(exc)}"
        ) from exc


def _group(here: h5py.Group, path: str) -> h5py.Group:
    """A group inside another; links are not followed."""
    for part in path.split("/"):
        link = here.get(part, getlink=True) if part else None
        if not isinstance(link, h5py.HardLink):
            raise ValueError(f"{path!r} is no group")
        here = here[part]
        if not isinstance(here, h5py.Group):
            raise ValueError(f"{path!r} is no group")
    return here


def _layers(root: h5py.Group) -> list[Layer]:
    """The layers that have weights, in order."""
    layers = []
    for name in _names(root, "layer_names"):
        paths = _names(_group(root, name), "weight_names")
        kinds = {path.rsplit("/", 1)[-1].split(":")[0]: f"{name}/{path}" for path in paths}
        if len(kinds) < len(paths):
            raise ValueError(f"{name!r} has two weights of one kind")
        if kinds:
            layers.append(Layer(name, kinds))
    return layers


def _names(group: h5py.Group, attribute: str) -> list[str]:
    """Names in an attribute, or in `NAME0`, `NAME1`, … where Keras had to divide it."""
    keys = [attribute] if attribute in group.attrs else []
    while not keys or keys[0] != attribute:
        if f"{attribute}{len(keys)}" not in group.attrs:
            break
        keys.append(f"{attribute}{len(keys)}")
    if not keys:
        raise ValueError(f"no {attribute}")
    names: list[str] = []
    for key in keys:
        if np.prod(group.attrs.get_id(key).shape, dtype=float) > MOST_LAYERS:
            raise ValueError(f"more than {MOST_LAYERS} {attribute}")
        found = np.ravel(group.attrs[key]).tolist()
        names += [name.decode() if isinstance(name, bytes) else name for name in found]
    if not all(isinstance(name, str) and all(name.split("/")) for name in names):
        raise ValueError(f"{attribute} that are no names")
    return names


def _read_arrays(path: Path, layers: list[Tensor]) -> Arrays:
    """For each variable of a network its array.

    The reference's convolutions have a bias before a normalisation, ours have none. It is folded
    exactly: the normalisation of z + b with mean m is that of z with mean m - b.
    """
    arrays: Arrays = {}
    wrong: list[str] = []
    bias: NDArray[np.float32] | None = None
    with _opened(path) as root:
        for old, new in zip_longest(_layers(root), layers):
            if old is None or new is None or not _fits(old, new):
                wrong.append(f"{_described(old)} in the file, {_named(new)} in the network")
                continue
            for variable in new.weights:
                kind = variable.path.rsplit("/", 1)[-1]
                found = read_array(root, old.weights[kind], tuple(variable.shape))
                if isinstance(found, str):
                    wrong.append(f"{old.name}/{kind} for {variable.path}: {found}")
                    continue
                if kind == "moving_mean" and bias is not None:
                    found = found - bias
                arrays[variable.path] = found
            bias = _spare_bias(root, old, new)
    if wrong:
        lines = "".join(f"\n  {line}" for line in wrong[:SHOWN])
        more = f"\n  and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise ModelError(f"{path}: {len(wrong)} layers do not fit the network:{lines}{more}")
    return arrays


def _kinds(layer: Tensor) -> set[str]:
    return {variable.path.rsplit("/", 1)[-1] for variable in layer.weights}


def _fits(old: Layer, new: Tensor) -> bool:
    """Whether both have the same kinds of weights, but for the bias that is folded."""
    return set(old.weights) in (_kinds(new), _kinds(new) | {"bias"})


def _spare_bias(root: h5py.Group, old: Layer, new: Tensor) -> NDArray[np.float32] | None:
    """The bias of a convolution that has none in the network."""
    if "bias" not in old.weights or "bias" in _kinds(new):
        return None
    found = read_array(root, old.weights["bias"], (new.filters,))
    if isinstance(found, str):
        raise ValueError(f"{old.name}/bias: {found}")
    return found


def _described(layer: Layer | None) -> str:
    return f"{layer.name} ({', '.join(sorted(layer.weights))})" if layer else "no layer"


def _named(layer: Tensor) -> str:
    return f"{layer.name} ({', '.join(sorted(_kinds(layer)))})" if layer is not None else "none"

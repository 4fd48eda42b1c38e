"""Where an engine's graph lies: in an exported folder, or converted once and kept in a cache."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cervseg import __version__
from cervseg.contract import Contract
from cervseg.digests import content_digest, text_digest
from cervseg.engines.conversion import WEIGHTS, convert
from cervseg.engines.settings import EngineName, require
from cervseg.errors import ModelError
from cervseg.files import output_error
from cervseg.machine import cache_folder

GRAPH_FILES: dict[EngineName, str] = {"openvino": "model.xml", "onnx": "model.onnx"}
"""What an exported folder holds beside its contract, by the engine that reads it."""

CACHED = 12
"""Graphs that stay in the cache; those longest unused go."""

CONVERTERS = ("keras", "tensorflow", "openvino", "onnx", "tf2onnx")


def exported_for(folder: Path) -> EngineName | None:
    """The engine that an exported folder is for; None for a model with weights.

    Raises:
        ModelError: There are neither weights nor a graph.
    """
    if (folder / WEIGHTS).is_file():
        return None
    for engine, name in GRAPH_FILES.items():
        if (folder / name).is_file():
            return engine
    raise ModelError(
        f"{folder}: no {WEIGHTS}, {' or '.join(GRAPH_FILES.values())} in it",
        hint="what is exported as keras or saved_model is for other programs",
    )


def graph_of(
    folder: Path, contract: Contract, engine: EngineName, *, side: tuple[int, int]
) -> Path:
    """The graph of a model for tiles of a size.

    Args:
        folder: Of the model: exported, or with weights, which are then converted once.
        contract: Its contract.
        engine: openvino or onnx.
        side: Height and width of the tiles, pixels.

    Raises:
        ConfigError: What converts is not installed.
        ModelError: The model is broken.
        BudgetError: Converting would take more memory than there is, or the disk is full.
    """
    if exported_for(folder) is not None:
        return folder / GRAPH_FILES[engine]
    require(engine, conversion=True)
    cache = cache_folder() / "graphs"
    entry = cache / _key(folder, contract, engine, side=side)
    path = entry / GRAPH_FILES[engine]
    try:
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(entry.with_suffix(".lock")):
            if not path.is_file():
                _forget_old(cache)
                _convert_into(entry, folder, engine, side=side)
            os.utime(entry)  # used now
    except OSError as exc:
        raise output_error(exc, entry) from exc
    return path


def _key(folder: Path, contract: Contract, engine: EngineName, *, side: tuple[int, int]) -> str:
    """Name of a cache entry: a digest of all that the graph depends on."""
    network = [contract.architecture, dict(contract.options), contract.input_channels]
    what = [network, contract.channels, engine, side, __version__, *map(_version, CONVERTERS)]
    text = json.dumps([*what, content_digest(folder / WEIGHTS)], sort_keys=True)
    return text_digest(text)[:40]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait for any other process that converts the same; the lock falls with the process."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _convert_into(entry: Path, folder: Path, engine: EngineName, *, side: tuple[int, int]) -> None:
    partial = entry.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a killed process
    partial.mkdir()
    try:
        convert(folder, engine, partial / GRAPH_FILES[engine], side=side)
        partial.rename(entry)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _forget_old(cache: Path) -> None:
    """Make room for one graph; whoever reads an old one now keeps it."""
    entries = [path for path in cache.iterdir() if path.is_dir() and not path.suffix]
    entries.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in entries[CACHED - 1 :]:
        shutil.rmtree(path, ignore_errors=True)


def broken_graph(path: Path, exc: BaseException) -> ModelError:
    """What to say of a file that an engine can't read."""
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    return ModelError(f"{path}: not a readable graph: {lines[-1] if lines else type(exc).__name__}",
                      hint="export the model again")  # fmt: skip


def refuse_other_graph(
    path: Path,
    contract: Contract,
    *,
    shape: Sequence[int],
    sides: Sequence[Sequence[int | None]],
) -> None:
    """Check that a graph takes tiles of this shape and gives the contract's channels.

    Args:
        path: Of the graph.
        contract: The model's.
        shape: Of a batch, (n, height, width, channels).
        sides: Shapes of its inputs and outputs, None where they are open.

    Raises:
        ModelError: It does not.
    """
    if len(sides) != 2 or any(len(side) != 4 for side in sides):
        raise ModelError(f"{path}: not a graph of one image and one answer, of 4 axes each")
    given, answer = sides
    if given[3] not in (None, shape[3]) or answer[3] not in (None, contract.channels):
        raise ModelError(
            f"{path}: from {given[3]} channels to {answer[3]}, "
            f"the contract says from {shape[3]} to {contract.channels}"
        )
    if any(fixed not in (None, n) for fixed, n in zip(given[1:3], shape[1:3], strict=True)):
        raise ModelError(
            f"{path}: made for tiles of {given[1]} x {given[2]}, not {shape[1]} x {shape[2]}",
            hint=f"use tiles of {given[1]}, or export with --tile-size {shape[1]}",
        )

"""Which engine computes a model: the one asked for, its own where it is exported, the fastest."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cervseg.contract import Contract, Predictor
from cervseg.engines.graphs import exported_for
from cervseg.engines.keras import open_keras
from cervseg.engines.onnx import open_onnx
from cervseg.engines.openvino import open_openvino
from cervseg.engines.settings import EngineName, EngineSettings, is_installed
from cervseg.errors import CervsegError, ModelError

Opener = Callable[[Path, Contract, EngineSettings], Predictor]

ENGINES: dict[EngineName, Opener] = {
    "keras": open_keras,
    "openvino": open_openvino,
    "onnx": open_onnx,
}
"""Name to a function from a model folder and its contract to a predictor."""

TIMED_TILES = 3

_log = logging.getLogger("cervseg")


class Chosen(NamedTuple):
    """An engine and its predictor of one model."""

    engine: EngineName
    predict: Predictor


def open_engine(folder: Path, contract: Contract, settings: EngineSettings) -> Chosen:
    """Open one model with the engine asked for; an exported one with its own.

    Raises:
        ConfigError: An engine is missing, or can't do what is asked.
        ModelError: The model is broken, or exported for another engine.
        BudgetError: It needs more memory than there is.
    """
    own = exported_for(folder)
    name: EngineName = settings.engine
    if own is not None:
        if name not in ("keras", "auto", own):  # keras is what nobody asked for
            raise ModelError(f"{folder}: exported for engine {own}, so {name} can't compute it")
        name = own
    if name == "auto":
        return _fastest(folder, contract, settings)
    return Chosen(name, ENGINES[name](folder, contract, settings))


def _fastest(folder: Path, contract: Contract, settings: EngineSettings) -> Chosen:
    """Time every installed engine and keep the fastest; one that can't compute it is left out."""
    best: tuple[float, Chosen] | None = None
    told, refused = [], None
    for name in filter(is_installed, ENGINES):
        try:
            predict = ENGINES[name](folder, contract, replace(settings, engine=name))
            seconds = seconds_per_tile(predict, contract, settings)
        except CervsegError as exc:
            told.append(f"{name} not: {exc}")
            refused = exc
            continue
        told.append(f"{name} {seconds:.3g} s")
        if best is None or seconds < best[0]:
            best = seconds, Chosen(name, predict)
    if best is None:
        assert refused is not None, "keras is always installed"
        raise refused
    _log.info("engine auto is %s; a tile takes %s", best[1].engine, ", ".join(told))
    return best[1]


def seconds_per_tile(predict: Predictor, contract: Contract, settings: EngineSettings) -> float:
    """Time three tiles of noise or more, in batches as they will come, after one to warm up."""
    side, batch = settings.tile_size or contract.tile_size, settings.batch_size or 1
    shape = (batch, side, side, 3)
    tiles = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    predict(tiles)
    calls = -(-TIMED_TILES // batch)
    begun = time.perf_counter()
    for _ in range(calls):
        predict(tiles)
    return (time.perf_counter() - begun) / (calls * batch)

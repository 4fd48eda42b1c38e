"""Small models of random weights, and conversions that need not start a process each."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest

from cervseg.classes import Classes
from cervseg.contract import Contract, Preprocessing

SIDE = 64
CELL = Classes.of({"cell": "#00ff00"})
TWO = Classes.of({"cell": "#00ff00", "nucleus": "#ff0000"})

UNET = Contract(
    architecture="unet", classes=CELL, activation="sigmoid", tile_size=SIDE, align=2,
    options={"base_filters": 3, "num_layers": 2, "normalization": "batch"},
)  # fmt: skip
GREY = replace(
    UNET, classes=TWO, activation="softmax", channels=3, input_channels=1, threshold=(0.5, 0.5),
    options={"base_filters": 3, "num_layers": 2, "normalization": "group"}, temperature=1.7,
)  # fmt: skip
LITE = Contract(
    architecture="lite_unet", classes=TWO, activation="softmax", tile_size=SIDE, align=32,
    options={}, channels=3, threshold=(0.5, 0.5), color_order="BGR",
    preprocess=Preprocessing(color_space="hsv", gamma=0.8),
)  # fmt: skip
CONTRACTS = {"unet": UNET, "grey": GREY, "lite_unet": LITE}


def save_random(folder, contract, seed=0):
    """Write a model as if trained: no weight at its initial value, answers in between 0 and 1."""
    from cervseg.models.folder import build_network, save_model

    network, rng = build_network(contract, where="here"), np.random.default_rng(seed)
    for variable in network.weights:
        value = np.asarray(variable) + rng.normal(0, 0.05, variable.shape)
        variable.assign(np.abs(value) + 0.3 if "variance" in variable.path else value)
    save_model(folder, network, contract)
    return folder


@pytest.fixture(scope="session")
def models(started, tmp_path_factory):
    """Name to a model folder."""
    root = tmp_path_factory.mktemp("models")
    return {name: save_random(root / name, contract) for name, contract in CONTRACTS.items()}


@pytest.fixture(scope="session")
def cache(started, tmp_path_factory):
    """A cache of graphs of this session alone, converted within this process."""
    from cervseg.engines import converter, graphs

    def convert(folder, kind, target, *, side, precision="float32", trial=None):
        cache.conversions += 1
        converter.convert(
            {"folder": str(folder), "kind": kind, "target": str(target), "side": list(side),
             "precision": precision, "trial": None if trial is None else str(trial)}
        )  # fmt: skip

    class Cache:
        folder = tmp_path_factory.mktemp("cache")
        conversions = 0

    cache = Cache()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CERVSEG_CACHE", str(cache.folder))
        if os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow":
            patch.setattr(graphs, "convert", convert)
        yield cache


def change_contract(folder, **changes):
    """Rewrite keys of a `contract.json`."""
    path = folder / "contract.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))

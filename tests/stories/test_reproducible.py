"""The demo, twice from nothing: equal to the last bit."""

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


def walk(folder):
    """Draw, tile, train with three workers, score."""
    folder.mkdir()
    python, config = sys.executable, str(ROOT / "configs/demo.yaml")
    steps = [
        [
            python,
            str(ROOT / "scripts/synthetic_fields.py"),
            "datasets/demo/fields",
            "--fields",
            "24",
        ],
        [python, "-m", "cervseg", "dataset-tile", config],
        [python, "-m", "cervseg", "train", config, "--set", "train.workers=3"],
        [python, "-m", "cervseg", "evaluate", config],
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for step in steps:
        subprocess.run(step, cwd=folder, env=environment, check=True, capture_output=True)
    return folder / "runs/demo"


def arrays(path):
    found = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: found.update({name: np.asarray(item)})
            if isinstance(item, h5py.Dataset) else None
        )  # fmt: skip
    return found


def test_two_full_runs_of_the_demo_end_in_equal_weights_and_scores(tmp_path):
    one, two = walk(tmp_path / "one"), walk(tmp_path / "two")

    for name in ("history.csv", "calibration.csv", "evaluation/test/scores.csv"):
        assert (one / name).read_bytes() == (two / name).read_bytes(), name
    mine, theirs = (arrays(run / "model/model.weights.h5") for run in (one, two))
    assert mine.keys() == theirs.keys() and len(mine) > 50
    for name, array in mine.items():
        np.testing.assert_array_equal(array, theirs[name], name)
    contracts = [json.loads((run / "model/contract.json").read_text()) for run in (one, two)]
    for contract in contracts:
        contract.pop("created")
    assert contracts[0] == contracts[1]

"""Killed for real, by signals, then resumed by the same command line with `--resume`."""

import os
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
import yaml

pytestmark = pytest.mark.slow

CONFIG = {
    "data": {"tile_size": 32},
    "model": {"base_filters": 2, "num_layers": 2, "dropout_rate": 0.3},
    "train": {
        "epochs": 3, "batch_size": 2, "steps_per_epoch": 60, "learning_rate": 0.01,
        "previews": {"num_infer_images": 0},
    },
    "runtime": {"seed": 3, "threads": 2, "device": "cpu"},
}  # fmt: skip


def command(dataset, run, *flags):
    path = run.parent / f"{run.name}.yaml"
    data = {**CONFIG["data"], "output": str(dataset.folder)}
    train = {**CONFIG["train"], "output": str(run)}
    path.write_text(yaml.safe_dump({**CONFIG, "data": data, "train": train}))
    return [sys.executable, "-m", "cervseg", "train", str(path), "--quiet", *flags]


def finished_epochs(run):
    path = run / "history.csv"
    return len(path.read_text().splitlines()) - 1 if path.exists() else 0


@pytest.fixture(scope="module")
def unbroken(dataset, tmp_path_factory):
    run = tmp_path_factory.mktemp("unbroken") / "run"
    subprocess.run(command(dataset, run), check=True, timeout=300)
    return run


@pytest.mark.parametrize(
    ("name", "code"), [("SIGKILL", -9), ("SIGTERM", 143), ("SIGINT", 130)], ids=str
)
def test_a_killed_training_ends_like_the_one_that_was_not(
    *, dataset, unbroken, tmp_path, name, code
):
    run = tmp_path / "run"
    with subprocess.Popen(command(dataset, run)) as process:
        while process.poll() is None and finished_epochs(run) < 1:
            time.sleep(0.02)
        time.sleep(0.3)  # into the second epoch
        os.kill(process.pid, getattr(signal, name))
        assert process.wait(timeout=60) == code
    assert 1 <= finished_epochs(run) < 3, "it was killed within an epoch"

    subprocess.run(command(dataset, run, "--resume"), check=True, timeout=300)

    assert (run / "history.csv").read_bytes() == (unbroken / "history.csv").read_bytes()
    with (
        h5py.File(run / "model/model.weights.h5") as mine,
        h5py.File(unbroken / "model/model.weights.h5") as theirs,
    ):
        names = []
        theirs.visititems(
            lambda n, item: names.append(n) if isinstance(item, h5py.Dataset) else None
        )
        assert len(names) > 10
        for each in names:
            np.testing.assert_array_equal(mine[each][()], theirs[each][()], each)

"""Two processes train one network over the loopback; on two hosts: scripts/two_hosts.py."""

import csv
import os
import signal
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

FIXTURE = Path(__file__).parents[1] / "fixtures/first.zip"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("not __import__('importlib').util.find_spec('jax')", reason="needs jax"),
]


@pytest.fixture
def start(tmp_path):
    """Starts a training of the first version's fields, alone or as one of two."""
    with zipfile.ZipFile(FIXTURE) as archive:
        archive.extractall(tmp_path)
    sources = tmp_path / "dataset/sources.csv"
    sources.write_text(sources.read_text().replace("@", str(tmp_path)))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"

    def start(run, number=None, *words):
        keys = [f"train.output={run}", "train.epochs=3", "runtime.threads=1"]
        if number is not None:
            keys += [f"runtime.process={number}", f"runtime.coordinator={address}"]
            keys += ["runtime.processes=2"]
        command = [sys.executable, "-m", "cervseg", "train", "config.yaml", *words]
        command += [word for key in keys for word in ("--set", key)]
        environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
        return subprocess.Popen(
            command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
        )

    return start


def losses(run):
    with (run / "history.csv").open(newline="") as file:
        return [[float(row["loss"]), float(row["val_loss"])] for row in csv.DictReader(file)]


def ends(*processes):
    """Exit codes and what was said, of processes that run together."""
    told = [process.communicate(timeout=900)[1] for process in processes]
    return [process.returncode for process in processes], told


def test_two_equal_one_and_the_survivor_of_a_kill_says_how_to_go_on(start, tmp_path):
    assert ends(start("one"))[0] == [0]
    codes, told = ends(*(start("two", number) for number in (0, 1)))
    assert codes == [0, 0] and "process 1 is done" in told[1]
    np.testing.assert_allclose(losses(tmp_path / "two"), losses(tmp_path / "one"), atol=1e-4)

    pair = [start("killed", number) for number in (0, 1)]
    while not (tmp_path / "killed/history.csv").exists():
        assert pair[0].poll() is None, pair[0].stderr.read()
        time.sleep(0.05)
    pair[1].send_signal(signal.SIGKILL)
    codes, (told, _) = ends(*pair)
    assert codes == [7, -signal.SIGKILL]
    assert "error: another process of this training ended\n" in told
    assert "hint: go on with: cervseg train config.yaml" in told and "--resume\n" in told
    assert "Traceback" not in told

    codes, _ = ends(*(start("killed", number, "--resume") for number in (0, 1)))
    assert codes == [0, 0]
    np.testing.assert_allclose(losses(tmp_path / "killed"), losses(tmp_path / "one"), atol=1e-4)

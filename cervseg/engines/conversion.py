"""Convert a model for other engines and programs, in a process of its own.

Conversion needs TensorFlow whatever the backend here, several times the memory of the weights, and
may die of it without a Python error.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from cervseg import machine
from cervseg.errors import (
    BudgetError,
    CervsegError,
    ConfigError,
    FullDiskError,
    ModelError,
    OutputError,
    tells_full_disk,
)
from cervseg.files import full_disk

WEIGHTS = "model.weights.h5"
"""As in `models.folder`, which would import Keras."""

ERRORS: dict[str, type[CervsegError]] = {
    kind.__name__: kind
    for kind in (ConfigError, ModelError, OutputError, BudgetError, FullDiskError)
}
"""What the other process may end with."""

MEASURED: dict[str, tuple[tuple[float, float], ...]] = {
    "keras": ((0, 0.9), (31, 1.4), (124, 3.2)),
    "saved_model": ((0, 0.9), (31, 1.5), (124, 2.7)),
    "openvino": ((0, 1.0), (31, 1.4), (124, 2.6)),
    "onnx": ((0, 1.0), (1.9, 1.2), (7.8, 2.5), (31, 7.1), (124, 26.0)),
}
"""Peak memory of a conversion by millions of parameters, gigabytes: U-Nets at 512 x 512."""


def memory_needed(kind: str, parameters: int) -> int:
    """Forecast the peak of a conversion's process, bytes: measured ones, joined by lines."""
    millions, gigabytes = zip(*MEASURED[kind], strict=True)
    count = parameters / 1e6
    need = float(np.interp(count, millions, gigabytes))
    if count > millions[-1]:
        need *= count / millions[-1]
    return round(need * 1e9)


def refuse_memory(kind: str, parameters: int) -> None:
    """Check that a conversion will find the memory it needs.

    Raises:
        BudgetError: It will not; names both.
    """
    needed, available = memory_needed(kind, parameters), machine.available_memory()
    if needed > available:
        other = "openvino" if kind == "onnx" else None
        raise BudgetError(
            f"{parameters / 1e6:.1f} million parameters need {needed / 1e9:.1f} GB of memory to "
            f"become {kind}, {available / 1e9:.1f} GB are available",
            hint=f"{other} needs less" if other else "convert on a machine with more memory",
        )


def convert(
    folder: Path,
    kind: str,
    target: Path,
    *,
    side: tuple[int, int],
    precision: str = "float32",
    trial: Path | None = None,
) -> None:
    """Write a model in another form.

    Args:
        folder: Of a model with weights.
        kind: One of `MEASURED`.
        target: `NAME.keras`, the folder of a saved model, `NAME.onnx`, or `NAME.xml`.
        side: Height and width of the tiles, pixels; all but keras are fixed to them.
        precision: bfloat16: computes so; keras and saved_model only.
        trial: Holds `tiles.npy`, prepared tiles (n, height, width, input channels); their logits
            by the model are added as `expected.npy`, and those of a keras or saved_model file,
            read again, as `answers.npy`.

    Raises:
        ModelError: The model is broken, or can't be converted.
        BudgetError: It needs more memory or disk than there is.
    """
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise ModelError(f"{weights}: no such weights")
    refuse_memory(kind, weights.stat().st_size // 4)
    with tempfile.TemporaryDirectory(prefix="cervseg-") as scratch:
        told = Path(scratch) / "error.json"
        job = {
            "folder": str(folder.resolve()), "kind": kind, "target": str(target.resolve()),
            "side": side, "precision": precision, "scratch": scratch,
            "trial": None if trial is None else str(trial.resolve()),
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "cervseg.engines.converter", json.dumps(job)],
            env={**os.environ, "KERAS_BACKEND": "tensorflow"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if told.is_file():
            error = json.loads(told.read_text(encoding="utf-8"))
            raise ERRORS[error["kind"]](error["message"], hint=error["hint"])
    if done.returncode and (tells_full_disk(done.stderr) or machine.is_disk_full(target.parent)):
        raise full_disk(target)  # TensorFlow says so in its own way, OpenVINO does not
    if done.returncode:
        raise _died(folder, kind, done)


def _died(folder: Path, kind: str, done: "subprocess.CompletedProcess[str]") -> CervsegError:
    if done.returncode in (-signal.SIGKILL, -signal.SIGSEGV, -signal.SIGABRT):
        name = signal.Signals(-done.returncode).name
        return BudgetError(
            f"{folder}: making {kind} of it ended with {name}, mostly a lack of memory",
            hint="convert on a machine with more memory",
        )
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return ModelError(f"{folder}: can't become {kind}: {lines[-1] if lines else done.returncode}")

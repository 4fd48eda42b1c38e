"""Throughput and memory of `unet` and of the shipped model by precision, on the device there is.

    python scripts/benchmark_device.py [--batches 1 8] [--tile 512] [--device gpu] [--repeats 3]

Each case, a network, a precision and a batch, is computed in processes of its own that take turns:
first tiles are predicted, then training steps are taken, of noise, which costs no other time than
photographs. Told are medians of tiles a second, how that compares with float32, the most memory
(of a GPU what TensorFlow counts, else of the process), and the largest difference of a probability
to float32. A case that can't be computed says why. Writes a Markdown table.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from cervseg.arrays import RGB, Tensor

NETWORKS = ("unet", "builtin:metaplastic")
REFERENCE = Path(__file__).resolve().parent.parent / "configs" / "metaplastic_reference.yaml"
"""Says which `unet`."""
PRECISIONS = ("float32", "bfloat16", "float16")
WARM_UP = 2
"""Calls or steps that are not timed: the first ones compile."""


class Case(NamedTuple):
    """What one process computes."""

    network: str
    precision: str
    batch: int


def main() -> None:
    """Let the cases take turns, and tell medians."""
    options = _options()
    if options.case:
        network, precision, batch = json.loads(options.case)
        print(json.dumps(compute(Case(network, precision, batch), options)))
        return
    cases = [Case(*each) for each in product(options.networks, options.precisions, options.batches)]
    found: dict[Case, list[dict[str, Any]]] = {case: [] for case in cases}
    with TemporaryDirectory() as folder:
        for _, case in product(range(options.repeats), cases):
            found[case].append(run_case(case, Path(folder)))
        for line in as_table(found, Path(folder)):
            print(line)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--precisions", nargs="+", default=PRECISIONS, choices=PRECISIONS)
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--tile", type=int, default=512)
    parser.add_argument("--steps", type=int, default=10, help="timed ones, of each process")
    parser.add_argument("--repeats", type=int, default=3, help="processes of each case")
    parser.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--answers", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def run_case(case: Case, folder: Path) -> dict[str, Any]:
    """What a process of its own finds, or says when it fails."""
    words = [sys.executable, __file__, *sys.argv[1:], "--case", json.dumps(case)]
    done = subprocess.run([*words, "--answers", str(answers_of(case, folder))],
                          capture_output=True, text=True)  # fmt: skip
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
        return {"failed": said[-1]}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def answers_of(case: Case, folder: Path) -> Path:
    """Where the probabilities of a case are kept."""
    return folder / f"{case.network.replace(':', '_')}-{case.precision}-{case.batch}.npy"


def compute(case: Case, options: argparse.Namespace) -> dict[str, Any]:
    """Time predicting and training in this process."""
    from cervseg import machine, runtime

    machine.keep_all_blocks()
    runtime.start(device=options.device)
    from cervseg.classes import Classes
    from cervseg.config.loader import load_config
    from cervseg.config.model import network_options
    from cervseg.contract import Contract, find_model, is_builtin
    from cervseg.engines.keras import KerasPredictor
    from cervseg.models.folder import build_network, load_model
    from cervseg.models.folding import fold_normalizations

    folder = find_model(Path(case.network)) if is_builtin(Path(case.network)) else None
    reference = load_config(REFERENCE).config.model
    contract = Contract.load(folder) if folder else Contract(
        architecture=case.network, classes=Classes.of({"cell": "#00ff00"}), activation="sigmoid",
        options=network_options(reference) if case.network == reference.architecture else {},
        tile_size=options.tile,
    )  # fmt: skip
    shape = (case.batch, options.tile, options.tile, 3)
    tiles = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    runtime.seed_everything(0)
    with runtime.precision(case.precision):
        network = load_model(folder, contract) if folder else build_network(contract, where="here")
    predict = KerasPredictor(fold_normalizations(network), contract)
    np.save(options.answers, predict(tiles[:1]))
    ends = []
    for _ in range(options.steps + WARM_UP):
        predict(tiles)
        ends.append(time.perf_counter())
    result = {"device": runtime.machine()["devices"], "predicting": case.batch / _typical(ends)}
    result["predicting_memory"] = most_memory()
    result["training"] = case.batch / _typical(train(network, tiles, options.steps + WARM_UP))
    return {**result, "training_memory": most_memory()}


def _typical(ends: list[float]) -> float:
    """Median seconds of what ended at these times."""
    return median(after - before for before, after in zip(ends[1:], ends[2:], strict=False))


def train(network: Tensor, tiles: RGB, steps: int) -> list[float]:
    """Take steps on one batch, and give the times at which they ended."""
    import keras

    from cervseg.losses import SegmentationLoss

    network.trainable = True
    network.compile("adam", SegmentationLoss("bce_dice", "sigmoid", channels=1))
    ends: list[float] = []
    clock = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: ends.append(time.perf_counter())
    )
    masks = (tiles[..., 0] > 128).astype(np.uint8)
    network.fit(tiles, masks, batch_size=len(tiles), epochs=steps, callbacks=[clock],
                shuffle=False, verbose=0)  # fmt: skip
    return ends


def most_memory() -> int:
    """Bytes at the peak: of the GPU as TensorFlow counts them, else of this process."""
    import os

    from cervseg import machine, runtime

    if runtime.on_cpu():
        return machine.peak_memory(os.getpid())
    import tensorflow as tf

    return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])


def as_table(found: dict[Case, list[dict[str, Any]]], folder: Path) -> Iterator[str]:
    """A row for each case and what it does."""
    yield "| network | precision | batch | work | tiles a second | x float32 | GB | difference |"
    yield "|---|---|---|---|---|---|---|---|"
    for case, runs in found.items():
        head = f"| `{case.network}` | {case.precision} | {case.batch} |"
        if failed := [run["failed"] for run in runs if "failed" in run]:
            yield f"{head} {failed[0]} | | | | |"
            continue
        plain = case._replace(precision="float32")
        for work in ("predicting", "training"):
            rate = median(run[work] for run in runs)
            rates = [run[work] for run in found.get(plain, []) if work in run]
            ratio = f"{rate / median(rates):.2f}" if rates else ""
            memory = max(run[f"{work}_memory"] for run in runs) / 1e9
            apart = _difference(case, plain, folder) if work == "predicting" else ""
            yield f"{head} {work} | {rate:.2f} | {ratio} | {memory:.2f} | {apart} |"
    devices = {run["device"] for runs in found.values() for run in runs if "device" in run}
    yield ""
    yield f"on {', '.join(sorted(devices)) or 'nothing'}"


def _difference(case: Case, plain: Case, folder: Path) -> str:
    ours, theirs = answers_of(case, folder), answers_of(plain, folder)
    if case == plain or not theirs.is_file():
        return ""
    return f"{np.abs(np.load(ours) - np.load(theirs)).max():.1e}"


if __name__ == "__main__":
    main()

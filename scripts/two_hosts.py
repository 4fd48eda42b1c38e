"""Train with two processes on two hosts that are really one, and compare with one process.

    sudo python scripts/two_hosts.py CONFIG [--set KEY=VALUE]... [--steps 50] [--output DIR]

The hosts are network namespaces, joined by a pair of virtual cards, so the processes share no
loopback. Needs Linux, `ip` and root, the extra `jax`, and a dataset that is cut. Three parts:

1. The same steps by one process and by two at the same global batch: how far loss and weights are
   apart. At most 1e-4 is fine.
2. The second process is killed in the middle: both must be gone within seconds, the first one
   with exit code 7.
3. Both are started again with `--resume`, and end as the unbroken run did, to 1e-4.

Exits 1 if a part fails. Nothing is left behind but `--output`.
"""

import argparse
import csv
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

HOSTS = ("cervseg-a", "cervseg-b")
ADDRESSES = ("10.77.0.1", "10.77.0.2")
PORT = 4711
CLOSE = 1e-4
SOON = 20.0
"""Seconds within which the survivor of a killed process must be gone."""


def main() -> int:
    """Run the three parts."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("config", type=Path)
    words.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    words.add_argument("--steps", type=int, default=50, help="in two epochs")
    words.add_argument("--output", type=Path, default=Path("runs/two-hosts"))
    asked = words.parse_args()
    keys = [
        *("train.epochs=2", f"train.steps_per_epoch={asked.steps // 2}", "runtime.threads=1"),
        *("train.patience=0", "train.previews.num_infer_images=0", *asked.overrides),
    ]
    with two_hosts():
        one, both, broken = (asked.output / name for name in ("one", "two", "killed"))
        check("one process", wait(start(None, asked.config, keys, run=one)), 0)
        pair = [start(number, asked.config, keys, run=both) for number in (0, 1)]
        for number, process in enumerate(pair):
            check(f"process {number} of two", wait(process), 0)
        apart = compare(one, both)
        print(f"one and two processes, {asked.steps} steps: {apart}")

        pair = [start(number, asked.config, keys, run=broken) for number in (0, 1)]
        while not (broken / "history.csv").exists():
            if pair[0].poll() is not None:
                raise SystemExit("it ended before its first epoch did")
            time.sleep(0.05)
        pair[1].send_signal(signal.SIGKILL)
        begun = time.monotonic()
        check("the process that was left", wait(pair[0]), 7)
        taken = time.monotonic() - begun
        print(f"one killed: the other was gone after {taken:.1f} s with exit code 7")
        wait(pair[1])
        pair = [start(n, asked.config, keys, run=broken, more=["--resume"]) for n in (0, 1)]
        for number, process in enumerate(pair):
            check(f"process {number}, resumed", wait(process), 0)
        print(f"resumed and unbroken: {compare(both, broken)}")
    return 0 if taken < SOON else 1


@contextmanager
def two_hosts() -> Iterator[None]:
    """Two network namespaces and the cable between them."""
    ends = [f"{name}0" for name in HOSTS]
    try:
        for name, address in zip(HOSTS, ADDRESSES, strict=True):
            ip("netns", "add", name)
            # What the host calls itself must lead to its card: gloo tells its peers that address.
            hosts = Path("/etc/netns") / name / "hosts"
            hosts.parent.mkdir(parents=True, exist_ok=True)
            hosts.write_text(f"127.0.0.1 localhost\n{address} {socket.gethostname()}\n")
        ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
        for name, address, end in zip(HOSTS, ADDRESSES, ends, strict=True):
            ip("link", "set", end, "netns", name)
            ip("-n", name, "address", "add", f"{address}/24", "dev", end)
            ip("-n", name, "link", "set", end, "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield
    finally:
        for name in HOSTS:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)
            hosts = Path("/etc/netns") / name / "hosts"
            hosts.unlink(missing_ok=True)
            if hosts.parent.is_dir():
                hosts.parent.rmdir()


def ip(*words: str) -> None:
    """Call `ip`."""
    subprocess.run(["ip", *words], check=True)


def start(
    number: int | None, config: Path, keys: Sequence[str], *, run: Path, more: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    """Start a training: alone, or as one of two, each on its host."""
    keys = [*keys, f"train.output={run}"]
    where: list[str] = []
    if number is not None:
        where = ["ip", "netns", "exec", HOSTS[number]]
        keys += ["runtime.processes=2", f"runtime.process={number}"]
        keys += [f"runtime.coordinator={ADDRESSES[0]}:{PORT}"]
    words = [*where, sys.executable, "-m", "cervseg", "train", str(config), *more]
    words += [word for key in keys for word in ("--set", key)]
    run.parent.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    with (run.parent / f"{run.name}.{number or 0}.log").open("ab") as told:
        return subprocess.Popen(words, env=environment, stdout=told, stderr=told)


def wait(process: subprocess.Popen[bytes]) -> int:
    """Its exit code, once it has ended."""
    return process.wait(timeout=1800)


def check(name: str, code: int, expected: int) -> None:
    """Stop where a process ended otherwise than it should."""
    if code != expected:
        raise SystemExit(f"{name}: exit code {code} instead of {expected}; see its log")


def compare(one: Path, two: Path) -> str:
    """How far the losses of the epochs and the last weights are apart."""
    first, second = ([float(row["loss"]) for row in rows(run)] for run in (one, two))
    loss = float(np.abs(np.subtract(first, second)).max())
    weights = [arrays(run / "checkpoints/best.weights.h5") for run in (one, two)]
    far = max(float(np.abs(weights[0][name] - weights[1][name]).max()) for name in weights[0])
    if max(loss, far) > CLOSE:
        raise SystemExit(f"loss {loss:.2g} and weights {far:.2g} apart: more than {CLOSE:g}")
    return f"loss at most {loss:.2g} apart, weights at most {far:.2g}"


def rows(run: Path) -> list[dict[str, str]]:
    """The history of a run."""
    with (run / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def arrays(path: Path) -> dict[str, np.ndarray]:
    """Every array of a file of weights."""
    found: dict[str, np.ndarray] = {}

    def keep(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = np.asarray(item)

    with h5py.File(path) as file:
        file.visititems(keep)
    return found


if __name__ == "__main__":
    sys.exit(main())

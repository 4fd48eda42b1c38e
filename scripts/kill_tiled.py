"""Kill `cervseg tiled-infer` again and again, resume it, and compare every byte of its outputs.

    python scripts/kill_tiled.py runs/metaplastic/model slide.tif --kills 30

A first run is left alone; what appears in its output folder, file after file, is its journal. Each
further run is killed (SIGKILL) when it reaches a chosen entry of the journal: entries are spread
evenly over it, and at least `--writes` of them are output files in the middle of being written.
Then `--resume` must end with exit code 0 and with the bytes of the first run.
"""

import argparse
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

UNEQUAL = {".lock"}
"""Files that need not be the same."""


def command(arguments: argparse.Namespace, output: Path, *more: str) -> list[str]:
    """The command line of one run; every image counts as large, so that bands are files."""
    settings = ["tiled_infer.large_from=0", "tiled_infer.probabilities=true", *arguments.set]
    words = [word for setting in settings for word in ("--set", setting)]
    models = [word for model in arguments.model.split(",") for word in ("--model", model)]
    return [sys.executable, "-m", "cervseg", "tiled-infer", *models, *map(str, arguments.images),
            "--output", str(output), "--quiet", *words, *more]  # fmt: skip


def files_of(output: Path) -> list[str]:
    """Names of the files that are there now."""
    found = []
    for folder, _, names in os.walk(output):
        found += [str((Path(folder) / name).relative_to(output)) for name in names]
    return found


def digests(output: Path) -> dict[str, str]:
    """SHA-256 of each file."""
    return {
        name: hashlib.sha256((output / name).read_bytes()).hexdigest()
        for name in sorted(files_of(output))
        if Path(name).name not in UNEQUAL
    }


def watch(process: subprocess.Popen[bytes], output: Path) -> Iterator[str]:
    """Names in the order in which they appear while a process runs."""
    seen: set[str] = set()
    while process.poll() is None:
        for name in sorted(set(files_of(output)) - seen):
            seen.add(name)
            yield name
        time.sleep(0.001)


def is_write(name: str) -> bool:
    """Whether it is an output that is not whole yet."""
    return ".partial." in Path(name).name and not name.endswith(".band")


def choose(journal: list[str], kills: int, writes: int) -> list[str]:
    """Entries at which to kill: the last ones within a write, the others evenly spread."""
    within = [name for name in journal if is_write(name)]
    if not within:
        raise SystemExit("no write was seen: take a larger image")
    even = [journal[i * len(journal) // (kills - writes)] for i in range(kills - writes)]
    return even + [within[i % len(within)] for i in range(writes)]


def kill_at(words: list[str], output: Path, journal: list[str], *, entry: str) -> list[str]:
    """Begin a run and kill it at an entry of the journal, or the next one seen after it.

    Returns:
        The files that are left; where the entry is a write, one of them is not whole. A write
        that was too short to be seen is tried again.
    """
    for _ in range(20):
        due = set(journal[journal.index(entry) :])
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        for name in watch(process, output):
            if name in due:
                process.send_signal(signal.SIGKILL)
                break
        process.wait()
        left = files_of(output)
        if process.returncode == -signal.SIGKILL and (
            not is_write(entry) or any(map(is_write, left))
        ):
            return left
        shutil.rmtree(output)
    raise SystemExit(f"{entry}: 20 runs were too fast to be killed there: take a larger image")


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="run or model folder; several with commas")
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--writes", type=int, default=5, help="kills inside an output write")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        first = Path(folder) / "first"
        process = subprocess.Popen(command(arguments, first), stdout=subprocess.DEVNULL)
        journal = list(watch(process, first))
        if process.returncode:
            raise SystemExit(f"the first run ended with {process.returncode}")
        expected = digests(first)
        print(f"journal of {len(journal)} entries, {len(expected)} files at the end")
        lost = inside = 0
        for number, entry in enumerate(choose(journal, arguments.kills, arguments.writes), 1):
            output = Path(folder) / f"kill{number}"
            left = kill_at(command(arguments, output), output, journal, entry=entry)
            inside += any(map(is_write, left))
            code = subprocess.run(command(arguments, output, "--resume"), check=False,
                                  stdout=subprocess.DEVNULL).returncode  # fmt: skip
            same = code == 0 and digests(output) == expected
            lost += not same
            told = "identical" if same else f"LOST, exit code {code}"
            print(f"{number:3d}  killed at {entry:55s} {len(left):3d} files left, resumed: {told}",
                  flush=True)  # fmt: skip
        print(f"{arguments.kills} kills, {inside} of them inside an output write: {lost} lost")
    raise SystemExit(1 if lost else 0)


if __name__ == "__main__":
    main()

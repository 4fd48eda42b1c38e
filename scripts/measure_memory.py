"""Compare what `tiled-infer --dry-run` forecasts with what the run then takes.

    python scripts/make_large_image.py 5000 40000 low.tif
    python scripts/make_large_image.py 40000 40000 high.tif
    python scripts/measure_memory.py MODEL low.tif high.tif

For each image: memory (in all, and above the process with the model loaded) and time, forecast and
true. The true peak is the kernel's (`VmHWM`), seen until the process ends. Linux only.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from cervseg.machine import peak_memory


class Truth(NamedTuple):
    """What a run took: bytes at its peak, bytes of disk at the most, seconds."""

    memory: int
    disk: int
    seconds: float


def command(model: str, image: Path, *, output: Path, settings: list[str]) -> list[str]:
    """The command line, for its one JSON document."""
    words = [word for setting in settings for word in ("--set", setting)]
    return [sys.executable, "-m", "cervseg", "tiled-infer", "--model", model, str(image),
            "--output", str(output), "--json", "--quiet", *words]  # fmt: skip


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:  # renamed meanwhile
            continue
    return total


def run(words: list[str], output: Path) -> Truth:
    """Run it to its end and watch what it takes."""
    begun = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(words, stdout=said)
        memory = disk = 0
        while process.poll() is None:
            memory = max(memory, peak_memory(process.pid))
            disk = max(disk, size_of(output))
            time.sleep(0.2)
        if process.returncode:
            raise SystemExit(f"it ended with {process.returncode}")
    return Truth(memory, disk, time.perf_counter() - begun)


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--keep", type=Path, help="folder for the outputs, kept")
    arguments = parser.parse_args()
    for image in arguments.images:
        with tempfile.TemporaryDirectory() as folder:
            output = (arguments.keep or Path(folder)) / image.stem
            words = command(arguments.model, image, output=output, settings=arguments.set)
            asked = subprocess.run([*words, "--dry-run"], stdout=subprocess.PIPE, check=True)
            (row,) = json.loads(asked.stdout)["results"]
            truth = run(words, output)
        idle = row["idle"]
        pairs = {
            "memory in all, MB": (row["memory"] / 1e6, truth.memory / 1e6),
            "above idle, MB": ((row["memory"] - idle) / 1e6, (truth.memory - idle) / 1e6),
            "disk, MB": (row["disk"] / 1e6, truth.disk / 1e6),
            "seconds": (row["seconds"], truth.seconds),
        }
        print(f"{image.name}: {row['height']} x {row['width']}, {row['tiles']} tiles")
        for name, (said, true) in pairs.items():
            print(
                f"  {name:20s} forecast {said:10.0f}   true {true:10.0f}   {true / said:5.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()

"""Find out what grows with the number of fields: time, memory and files of each command.

    python scripts/measure_many.py [--fields 100 1000 10000] [--side 128]

Draws so many small fields, cuts tiles from them, trains an epoch of few steps, scores the test
fields, segments all. Fields are small and the network is tiny, so that what each field costs beside
its pixels is seen. Prints a line a command: seconds, those a field beyond the smallest number, the
largest memory, bytes of its files that grow. Linux only.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from cervseg.machine import peak_memory

CONFIG = """
data:
  output: tiles
  source: {images: fields/images, masks: fields/masks}
  split: {kind: fractions, train: 0.6, valid: 0.2, test: 0.2}
  tile_size: 64
model: {base_filters: 4, num_layers: 2}
train: {output: run, epochs: 1, batch_size: 8, steps_per_epoch: 8}
evaluate: {output: scores}
tiled_infer: {images: fields/images, output: masks, tile_size: 128}
"""
STEPS = ("dataset-tile", "train", "evaluate", "tiled-infer")
FILES = {
    "dataset-tile": "tiles/manifest.csv",
    "train": "run/model/contract.json",
    "evaluate": "scores/report.html",
    "tiled-infer": "masks/inference.json",
}


class Cost(NamedTuple):
    """What a command took."""

    seconds: float
    memory: int


def draw(folder: Path, count: int, side: int) -> None:
    """Fields of clouds, unlike each other, each with one darker disc, annotated."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side]
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for number in range(count):
        centre, radius = rng.uniform(side / 4, side * 3 / 4, 2), rng.uniform(side / 8, side / 4)
        disc = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2
        clouds = Image.fromarray(rng.integers(120, 250, (6, 6, 3), np.uint8)).resize((side, side))
        image = np.asarray(clouds) - disc[..., None] * np.uint8(80)
        name = f"field_{number:06d}.png"
        Image.fromarray(image).save(folder / "images" / name)
        Image.fromarray((disc * 255).astype(np.uint8)).save(folder / "masks" / name)


def run(words: list[str]) -> Cost:
    """Run a command; its time and the largest memory of its process."""
    begun = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "cervseg", *words, "--quiet"],
                               stdout=subprocess.DEVNULL)  # fmt: skip
    memory = 0
    while process.poll() is None:
        memory = max(memory, peak_memory(process.pid))
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"{words[0]} ended with {process.returncode}")
    return Cost(time.perf_counter() - begun, memory)


def measure(counts: list[int], side: int) -> Iterator[tuple[int, str, Cost, int]]:
    """Fields, command, cost, and bytes of the file that grows."""
    for count in counts:
        with tempfile.TemporaryDirectory(prefix="cervseg-many-") as folder:
            os.chdir(folder)
            draw(Path("fields"), count, side)
            Path("c.yaml").write_text(CONFIG, encoding="utf-8")
            for command in STEPS:
                cost = run([command, "c.yaml"])
                yield count, command, cost, Path(FILES[command]).stat().st_size
            os.chdir("/")


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--fields", type=int, nargs="+", default=[100, 1000, 10000])
    parser.add_argument("--side", type=int, default=128, help="of a field, pixels")
    asked = parser.parse_args()
    first: dict[str, tuple[int, float]] = {}
    print("| command | fields | seconds | ms a field more | memory, MB | file, KB |")
    print("|---|---|---|---|---|---|")
    for count, command, cost, size in measure(asked.fields, asked.side):
        fields, seconds = first.setdefault(command, (count, cost.seconds))
        more = f"{(cost.seconds - seconds) / (count - fields) * 1e3:.1f}" if count > fields else ""
        print(f"| `{command}` | {count} | {cost.seconds:.1f} | {more} | {cost.memory / 1e6:.0f} "
              f"| {FILES[command]} {size / 1e3:.0f} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()

"""How many of your own fields does fine-tuning need? Train on few native fields from three starts.

    CERVSEG_DATA=… python scripts/fine_tuning_curve.py OUTPUT [--seeds 3] [--epochs 5]

One network learns the 54 small fields of SIPaKMeD alone. Then 2, 4, 8 and 12 native fields, drawn
by each seed, are learned from its weights (`train --from`), from ImageNet's and from nothing, with
equal steps. Scored are always the same six native fields, whose blocks are neither among the small
nor among the learned ones. Nothing validates: the last weights count, at threshold 0.5. Writes
`curve.csv`, `curve.png`, and a Markdown table to stdout. Finished runs are kept, so it can be
interrupted.
"""

import argparse
import csv
import json
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

CONFIG = Path(__file__).resolve().parent.parent / "configs" / "metaplastic_shipped.yaml"
SCORED = [f"Metaplastic_{number}" for number in range(264, 270)]  # blocks 88 and 89
LEARNED = [f"Metaplastic_{number}" for number in (*range(254, 264), 270, 271)]
SIZES = (2, 4, 8, 12)
STARTS = {
    "small": "from the 54 small fields",
    "imagenet": "from ImageNet",
    "nothing": "from nothing",
}
SCORES = ("dice", "iou", "cell_recall", "cell_match")


class Trial(NamedTuple):
    """A training and what it begins with."""

    start: str
    size: int
    seed: int

    @property
    def name(self) -> str:
        """Of its run."""
        return f"{self.start}-{self.size}-{self.seed}"


def main() -> int:
    """Train what is missing, then tell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5, help="of 30 steps, for each few fields")
    asked = parser.parse_args()
    output: Path = asked.output
    learn_small(output)
    rows = [
        {**trial._asdict(), **learn_few(output, trial, asked.epochs)}
        for seed in range(asked.seeds)
        for size in SIZES
        for trial in (Trial(start, size, seed) for start in STARTS)
    ]
    with (output / "curve.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, [*Trial._fields, *SCORES])
        table.writeheader()
        table.writerows(rows)
    for line in as_table(rows):
        print(line)
    plot(output / "curve.png", rows)
    return 0


def learn_small(output: Path) -> None:
    """The network that has seen no native field."""
    only = ["--set", "data.source=[{kind: label_images, scale: [6, 8], "
            "images: '${CERVSEG_DATA}/sipakmed-metaplastic-small/images', "
            "masks: '${CERVSEG_DATA}/sipakmed-metaplastic-small/cells'}]"]  # fmt: skip
    words = [*only, *outputs(output, "small-only", "small-only")]
    run("dataset-tile", words)
    run("train", words)


def learn_few(output: Path, trial: Trial, epochs: int) -> dict[str, float]:
    """Train on a few native fields; mean scores of the six."""
    drawn = random.Random(trial.seed).sample(LEARNED, trial.size)
    kind = f"split={{kind: lists, train: {quoted(drawn)}, valid: [], test: {quoted(SCORED)}}}"
    native = ["--set", "data.source={images: '${CERVSEG_DATA}/sipakmed-metaplastic/images', "
              "masks: '${CERVSEG_DATA}/sipakmed-metaplastic/masks'}",
              "--set", f"data.{kind}", "--set", "data.group_file=null"]  # fmt: skip
    begin = {
        "nothing": ["--set", "model.encoder_weights=none"],
        "imagenet": [],
        "small": ["--set", f"train.start_from={output / 'runs' / 'small-only'}"],
    }
    words = [
        *native, *begin[trial.start], "--set", f"runtime.seed={trial.seed}",
        "--set", f"train.epochs={epochs}", "--set", "tiled_infer.threshold=0.5",
        "--set", "tiled_infer.hysteresis=0", "--set", "tiled_infer.min_area=0",
        *outputs(output, f"native-{trial.size}-{trial.seed}", trial.name),
    ]  # fmt: skip
    for command in ("dataset-tile", "train", "evaluate"):
        run(command, words)
    scores = output / "runs" / trial.name / "evaluation" / "test" / "scores.json"
    found = json.loads(scores.read_text(encoding="utf-8"))["classes"][0]["scores"]
    return {name: found[name]["mean"] for name in SCORES}


def quoted(names: Sequence[str]) -> str:
    """A list as YAML."""
    return f"[{', '.join(names)}]"


def outputs(output: Path, dataset: str, name: str) -> list[str]:
    """Where a trial's files go."""
    return ["--set", f"data.output={output / 'datasets' / dataset}",
            "--set", f"train.output={output / 'runs' / name}"]  # fmt: skip


def run(command: str, words: Sequence[str]) -> None:
    """Run a command as a user would; what is finished stays."""
    line = [sys.executable, "-m", "cervseg", command, str(CONFIG), *words, "--resume", "--quiet"]
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL)


def as_table(rows: Sequence[dict[str, float | str]]) -> Iterator[str]:
    """Mean Dice and cell match, and between which seeds they lie."""
    yield "| fields | " + " | ".join(STARTS.values()) + " |"
    yield "|---|" + "---|" * len(STARTS)
    for size in SIZES:
        cells = []
        for start in STARTS:
            those = [row for row in rows if (row["start"], row["size"]) == (start, size)]
            dice = [float(row["dice"]) for row in those]
            match = np.mean([float(row["cell_match"]) for row in those])
            cells.append(f"{np.mean(dice):.3f} ({min(dice):.3f} to {max(dice):.3f}), {match:.2f}")
        yield f"| {size} | " + " | ".join(cells) + " |"


def plot(path: Path, rows: Sequence[dict[str, float | str]]) -> None:
    """Draw Dice over fields, a line a start, a dot a seed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for (start, label), marker in zip(STARTS.items(), "Dos", strict=True):
        those = [row for row in rows if row["start"] == start]
        sizes, dice = ([float(row[key]) for row in those] for key in ("size", "dice"))
        means = [np.mean([d for s, d in zip(sizes, dice, strict=True) if s == n]) for n in SIZES]
        (line,) = axes.plot(SIZES, means, label=label)
        axes.plot(sizes, dice, marker, color=line.get_color(), markersize=4, alpha=0.6)
    axes.set(xlabel="native fields learned", ylabel="Dice of six others", xticks=SIZES, ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=100, metadata={"Software": None})


if __name__ == "__main__":
    raise SystemExit(main())

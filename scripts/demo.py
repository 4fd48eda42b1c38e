"""Run the whole road on drawn fields: draw, tile, train, evaluate, infer, and tell how it went.

    python scripts/demo.py [--config configs/demo.yaml] [--fields 24] [--set KEY=VALUE]...

Every step is a command as one would type it, shown before it runs. A second run starts anew; what
the first one wrote is kept beside it under another name. Where the config names two classes, they
are cytoplasm and nucleus; where it names images for `infer`, that runs too.
"""

import argparse
import json
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from cervseg.config import Config
from cervseg.config.loader import load_config
from cervseg.config.sources import FolderSource
from cervseg.data.manifest import open_dataset
from cervseg.errors import CervsegError
from cervseg.inference.outputs import OutputFolder
from cervseg.runs import Run

SCRIPTS = Path(__file__).resolve().parent
CONFIG = SCRIPTS.parent / "configs" / "demo.yaml"


@dataclass(frozen=True)
class Score:
    """Mean Dice of a class over the held-out fields, with its 95 % interval."""

    name: str
    dice: float
    low: float
    high: float
    fields: int
    all_background: float

    @property
    def interval(self) -> str:
        """In words."""
        return f"95 % interval {self.low:.3f} to {self.high:.3f}"


@dataclass(frozen=True)
class Threshold:
    """Mean Dice of the best single threshold, and which it is."""

    dice: float
    rule: str


def run(title: str, *words: str) -> str:
    """Show a command, run it, and return its stdout; what it says meanwhile goes to stderr.

    Raises:
        CalledProcessError: It failed.
    """
    print(f"\n$ {title}", file=sys.stderr, flush=True)
    command = [sys.executable, *words]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def cervseg(*words: str) -> None:
    """Run one of the commands; the paths it writes to stdout are told at the end."""
    run(shlex.join(["cervseg", *words]), "-m", "cervseg", *words)


def script(name: str, *words: str) -> str:
    """Run a script of this folder."""
    return run(shlex.join(["python", f"scripts/{name}", *words]), str(SCRIPTS / name), *words)


def read_scores(config: Config) -> list[Score]:
    """Read what `evaluate` wrote, class by class."""
    folder = Run(config.train.output).evaluation("test")
    document = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    rows = [(record["class"], record["scores"]["dice"]) for record in document["classes"]]
    return [
        Score(name, dice["mean"], dice["low"], dice["high"], dice["images"], dice["baseline"])
        for name, dice in rows
    ]


def fit_threshold(config: Config) -> Threshold:
    """Fit the best single threshold to the split that the model was trained on."""
    rule = json.loads(script("threshold_baseline.py", str(config.data.output), "--json"))
    return Threshold(rule["dice"], f"{rule['channel']} {rule['direction']} {rule['threshold']}")


def held_out_overlays(config: Config) -> list[Path]:
    """The pictures of fields that the model has not seen."""
    output = OutputFolder(config.tiled_infer.output)
    names = [row.name for row in open_dataset(config.data.output).sources_of("test")]
    scored = Run(config.train.output).evaluation("test") / "overlays"
    return [*sorted(scored.glob("*.jpg")), *(output.overlay(name) for name in names)]


def one_class(score: Score, threshold: Threshold) -> tuple[str, ...]:
    """The model beside what costs nothing."""
    return (
        f"  this model             {score.dice:.3f}  ({score.interval})",
        f"  best single threshold  {threshold.dice:.3f}  ({threshold.rule})",
        f"  all background         {score.all_background:.3f}",
    )


def several_classes(scores: Sequence[Score]) -> tuple[str, ...]:
    """The model, class by class; no single threshold tells several apart."""
    width = max(len(score.name) for score in scores)
    return tuple(
        f"  {score.name:<{width}}  {score.dice:.3f}  ({score.interval}; "
        f"all background {score.all_background:.3f})"
        for score in scores
    )


def summary(
    fields: int, lines: Sequence[str], overlays: Sequence[Path], *, seconds: float, steps: str
) -> str:
    """The last lines of the demo."""
    # Linux tells kilobytes; of all commands the hungriest counts.
    gigabytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    return "\n".join(
        (
            f"Dice on {fields} held-out fields, tiles stitched at full size",
            *lines,
            f"{seconds:.0f} seconds ({steps}), at most {gigabytes:.1f} GB of memory",
            "overlays",
            *(f"  {path}" for path in overlays),
        )
    )


def draw_fields(config: Config, count: int) -> None:
    """Draw the fields with the classes that the config names."""
    nuclei = ["--nuclei"] if len(config.data.classes) > 1 else []
    (source,) = config.data.source
    assert isinstance(source, FolderSource)  # so are those of the demos
    folder = str(source.images.parent)
    script("synthetic_fields.py", folder, "--fields", str(count), *nuclei)


def demo(config_path: str, *, fields: int, overrides: Sequence[str]) -> str:
    """Run every step; the summary.

    Raises:
        CervsegError: The config is wrong.
        CalledProcessError: A step failed.
    """
    config = load_config(config_path, overrides).config
    options = [word for text in overrides for word in ("--set", text)]
    clock = [time.monotonic()]
    draw_fields(config, fields)
    inference = ["infer"] if config.infer.images else []
    for group in (["dataset-tile"], ["train"], ["evaluate"], [*inference, "tiled-infer"]):
        for command in group:
            cervseg(command, config_path, "--overwrite", *options)
        clock.append(time.monotonic())
    scores = read_scores(config)
    several = len(scores) > 1
    lines = several_classes(scores) if several else one_class(scores[0], fit_threshold(config))
    names = ("drawing and tiling", "training", "scoring", "inference")
    spans = [after - before for before, after in pairwise(clock)]
    steps = ", ".join(f"{name} {span:.0f}" for name, span in zip(names, spans, strict=True))
    seconds = time.monotonic() - clock[0]
    return summary(scores[0].fields, lines, held_out_overlays(config), seconds=seconds, steps=steps)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; the exit code, that of the step that failed."""
    parser = argparse.ArgumentParser(description="Run the whole road on drawn fields.")
    parser.add_argument("--config", default=None, help="default: configs/demo.yaml")
    parser.add_argument("--fields", type=int, default=24, help="how many to draw (default 24)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    arguments = parser.parse_args(argv)
    try:
        config = arguments.config or shown_path(CONFIG)
        print(demo(config, fields=arguments.fields, overrides=arguments.overrides))
    except CervsegError as exc:
        print(f"error: {exc}" + (f"\nhint: {exc.hint}" if exc.hint else ""), file=sys.stderr)
        return exc.exit_code
    except subprocess.CalledProcessError as exc:
        return exc.returncode if exc.returncode > 0 else 128 - exc.returncode
    except KeyboardInterrupt:
        return 130
    return 0


def shown_path(path: Path) -> str:
    """A path as short as it can be typed here."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


if __name__ == "__main__":
    sys.exit(main())

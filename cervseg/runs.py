"""A run: the folder of one training, and where things lie in it."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from cervseg.files import LOCK


@dataclass(frozen=True)
class Run:
    """Paths of a run folder; making one touches no file.

    Args:
        folder: The run's.
        whole: Of the run that it is a part of, whose file STOP is its own.
    """

    folder: Path
    whole: Path | None = None

    @property
    def config(self) -> Path:
        """The resolved config that it was started with."""
        return self.folder / "config.yaml"

    @property
    def record(self) -> Path:
        """Versions, machine, seed, dataset, times, and how it ended."""
        return self.folder / "run.json"

    @property
    def log(self) -> Path:
        """Notices and errors with their times."""
        return self.folder / "log.txt"

    @property
    def history_table(self) -> Path:
        """One row an epoch."""
        return self.folder / "history.csv"

    @property
    def history(self) -> Path:
        """The same as JSON: one list a column."""
        return self.folder / "history.json"

    @property
    def curves(self) -> Path:
        """The history as a picture."""
        return self.folder / "curves.png"

    @property
    def calibration(self) -> Path:
        """Probabilities on validation fields and what came true, before and after the fit."""
        return self.folder / "calibration.csv"

    @property
    def best(self) -> Path:
        """Weights of the best epoch so far."""
        return self.folder / "checkpoints" / "best.weights.h5"

    @property
    def state(self) -> Path:
        """All that the next epoch depends on, in one file."""
        return self.folder / "checkpoints" / "last.npz"

    @property
    def tensorboard(self) -> Path:
        """Event files, where they are asked for."""
        return self.folder / "tensorboard"

    @property
    def model(self) -> Path:
        """Contract and weights."""
        return self.folder / "model"

    @property
    def stop(self) -> Path:
        """A file of this name ends the training after the running epoch."""
        return (self.whole or self.folder) / "STOP"

    def has_only_begun(self) -> bool:
        """Whether the folder holds nothing but what a run writes before its first epoch."""
        first = {self.config.name, self.record.name, self.log.name, LOCK}
        names = {path.name for path in self.folder.iterdir()} if self.folder.is_dir() else set()
        names -= {name for name in names if name.startswith(self.config.name) and "_bak" in name}
        return bool(names - {LOCK}) and names <= first

    def preview(self, epoch: int) -> Path:
        """The picture after epoch 1, 2, …."""
        return self.folder / "previews" / f"epoch_{epoch:04d}.png"

    def evaluation(self, split: str) -> Path:
        """Scores on one split."""
        return self.folder / "evaluation" / split

    def fold(self, number: int) -> Path:
        """The run of one fold, where this is the folder of a cross-validation."""
        return self.folder / f"fold{number}"

    @property
    def folds(self) -> Path:
        """Scores over all folds."""
        return self.folder / "folds.json"

    @property
    def folds_table(self) -> Path:
        """The same, a row an image and class."""
        return self.folder / "folds.csv"

    def seed(self, number: int) -> Path:
        """The run of one seed, where this is the folder of several."""
        return self.folder / f"seed{number}"

    def member(self, seed: int) -> "Run":
        """One of several trainings whose mean is the model of this run."""
        return Run(self.seed(seed), whole=self.folder)

    def members(self) -> "list[Run]":
        """Those trainings, as far as they have come."""
        found = [path.parent for path in self.folder.glob("seed*/history.csv")]
        found = [path for path in found if path.name[4:].isdecimal()]
        found.sort(key=lambda path: int(path.name[4:]))
        return [Run(path, whole=self.folder) for path in found]

    def models_within(self) -> str:
        """The folders of its folds or seeds that have a model, in words; empty if there is none."""
        found = [
            path.parents[1]
            for part in ("fold[0-9]*", "seed[0-9]*", "seed[0-9]*/fold[0-9]*")
            for path in self.folder.glob(f"{part}/model/contract.json")
        ]
        found.sort(
            key=lambda part: (len(part.parts), [int(n) for n in re.findall(r"\d+", str(part))])
        )
        return " ".join(shlex.quote(str(part)) for part in found)

    @property
    def repeats(self) -> Path:
        """Scores over all seeds."""
        return self.folder / "repeats.json"

    @property
    def repeats_table(self) -> Path:
        """The means of each seed, a row a seed and class."""
        return self.folder / "repeats.csv"

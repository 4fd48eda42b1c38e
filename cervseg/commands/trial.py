"""A training and its scores, as one of several: a fold, or a seed."""

import logging
from dataclasses import dataclass, fields
from pathlib import Path

from cervseg import runtime
from cervseg.commands.evaluate import evaluate
from cervseg.commands.fold import of_fold
from cervseg.commands.record import model_digest, score_settings
from cervseg.commands.report import NAME
from cervseg.commands.train import check_resumed, train
from cervseg.config import Config
from cervseg.config.loader import config_differences, load_config
from cervseg.contract import CONTRACT, Postprocessing
from cervseg.data.manifest import Dataset
from cervseg.errors import ConfigError
from cervseg.files import read_json
from cervseg.reports import Failure, Progress
from cervseg.runs import Run

log = logging.getLogger("cervseg")

SPLIT = "test"

FINISHING = {
    "train.temperature",
    *(f"tiled_infer.{key}" for key in ("threshold", "augment", "tile_size")),
    *(f"tiled_infer.{one.name}" for one in fields(Postprocessing)),
}
"""Keys that become the model's own when its training is over."""


@dataclass(frozen=True)
class Trial:
    """What is trained and scored.

    Args:
        config: Of the experiment; its outputs are this trial's, or have folders of folds.
        name: In notices.
        dataset: As the training sees it.
        fold: The one that is scored, of a dataset in folds.
        allow_leak: Why a leak may stand.
    """

    config: Config
    name: str
    dataset: Dataset
    fold: int | None = None
    allow_leak: str | None = None

    @property
    def run(self) -> Run:
        """Where it is trained."""
        return Run(of_fold(self.config, self.fold).train.output)

    @property
    def scores(self) -> Path:
        """Where it is scored."""
        return self.run.evaluation(SPLIT)


def require_one_process(config: Config, flag: str) -> None:
    """Check that several trainings are not shared by several processes, of which each scored.

    Raises:
        ConfigError: `runtime.processes` says so.
    """
    if config.runtime.processes != 1:
        raise ConfigError(
            f"{flag} is the work of one process, but 'runtime.processes' is "
            f"{config.runtime.processes}",
            hint="train folds or seeds one by one: --fold K, or --set runtime.seed=K",
        )


def train_and_score(trial: Trial, *, progress: Progress) -> tuple[Failure, ...]:
    """Train and score, or take what is there; images that could not be scored are returned."""
    config, run = trial.config, trial.run
    if _is_trained(run):
        check_resumed(run, of_fold(config, trial.fold), trial.dataset)
        if _is_to_be_finished(run, config):
            log.info("%s: trained already, finished anew as the config says now", trial.name)
            runtime.forget_models()
            train(config, fold=trial.fold, allow_leak=trial.allow_leak, resume=True,
                  progress=progress)  # fmt: skip
        elif _is_scored(trial.scores, config, run.model):
            log.info("%s: trained and scored already", trial.name)
            return ()
        else:
            log.info("%s: trained already", trial.name)
    else:
        log.info("%s: training", trial.name)
        runtime.forget_models()
        train(config, fold=trial.fold, allow_leak=trial.allow_leak, resume=True, progress=progress)
    log.info("%s: scoring", trial.name)
    report = evaluate(
        config,
        fold=trial.fold,
        model=(run.folder,),
        output=trial.scores,
        allow_leak=trial.allow_leak,
        overwrite=True,
        progress=progress,
    )
    return report.failures


def _is_trained(run: Run) -> bool:
    """Whether the training came to its end; one that a file STOP ended may go on."""
    if not run.record.is_file() or not (run.model / CONTRACT).is_file():
        return False
    return read_json(run.record, what="run").get("ended") in ("epochs", "patience")


def _is_to_be_finished(run: Run, config: Config) -> bool:
    """Whether what follows a training, and becomes the model's own, is asked for otherwise."""
    differences = config_differences(load_config(run.config).config, config)
    return not FINISHING.isdisjoint(differences)


def _is_scored(folder: Path, config: Config, model: Path) -> bool:
    """Whether all images were scored as they would be now, by the model that is there."""
    if not (folder / NAME).is_file():  # what is written last
        return False
    document = read_json(folder / "scores.json", what="table of scores")
    scored = document.get("scored")
    models = scored.get("models") if isinstance(scored, dict) else None
    return (
        document.get("settings") == score_settings(config, "tiled")
        and not document["failed"]
        and models == [model_digest(model)]
    )

"""`cervseg train --all-folds`: each fold trained and scored, then summed up."""

import logging
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cervseg import runtime
from cervseg.commands.evaluate import evaluate
from cervseg.commands.fold import of_fold
from cervseg.commands.record import score_settings
from cervseg.commands.report import NAME, write_page
from cervseg.commands.train import check_resumed, train
from cervseg.config import Config
from cervseg.config.loader import as_config
from cervseg.contract import CONTRACT
from cervseg.data.folds import not_in_folds
from cervseg.data.leaks import Tolerance, refuse_leaks
from cervseg.data.manifest import Dataset, open_dataset
from cervseg.files import claim, read_json
from cervseg.reporting.folds import (
    FoldScores,
    fold_records,
    fold_tables,
    pool,
    read_fold,
    write_folds,
)
from cervseg.reporting.scores import Evaluation, score_tables
from cervseg.reports import JSON, SILENT, Failure, Progress, Report
from cervseg.runs import Run

log = logging.getLogger("cervseg")

SPLIT = "test"


def cross_validate(
    config: Config | Path | str,
    *,
    allow_leak: str | None = None,
    config_words: str | None = None,
    overwrite: bool = False,
    resume: bool = False,
    progress: Progress = SILENT,
) -> Report:
    """Train and score every fold of `data.folds`, one after another, in `train.output`.

    Each is what `train` and `evaluate` do with that `fold`. With `resume` what is trained and
    scored is kept, and the fold that was interrupted goes on; a fold that was scored with other
    settings is scored again.

    Raises:
        ConfigError: The dataset is not in folds, or a key does not fit; see `train`.
        OutputError: The folder is occupied.
        DataError: The dataset is missing, broken, or changed since.
        LeakError: A picture stands in two folds.
        Interrupted: Ctrl-C or SIGTERM; finished folds and epochs are saved.
    """
    config, tolerance = as_config(config), Tolerance(allow_leak)
    dataset = open_dataset(config.data.output)
    if not dataset.folds:
        raise not_in_folds(dataset.folder)
    dataset.require_options(config.data)
    with tolerance.tolerating():
        refuse_leaks(dataset.sources)
    run = Run(config.train.output)
    work = _Work(config, dataset, run, tolerance, progress)
    resumed = resume and any(run.fold(fold).is_dir() for fold in range(dataset.folds))
    with claim(run.folder, overwrite=overwrite, resume=resumed):
        scores: list[FoldScores] = []
        failures: list[Failure] = []
        for fold in range(dataset.folds):
            found, failed = _one_fold(work, fold)
            scores.append(found)
            failures += failed
            pooled = pool(scores, seed=config.runtime.seed, resamples=config.evaluate.resamples)
            write_folds(run, scores, pooled, total=dataset.folds, notes=tolerance.record())
        write_page([run.folder], run.folder / NAME)
    return _report(work, scores, pooled, failures=failures, config_words=config_words)


class _Work(NamedTuple):
    """What all folds share."""

    config: Config
    dataset: Dataset
    run: Run
    tolerance: Tolerance
    progress: Progress


def _one_fold(work: _Work, fold: int) -> tuple[FoldScores, tuple[Failure, ...]]:
    """Train and score a fold, or take what is there."""
    config, run = work.config, Run(work.run.fold(fold))
    folder, name = run.evaluation(SPLIT), f"fold {fold} of 0 to {work.dataset.folds - 1}"
    reason = work.tolerance.reason
    if _is_trained(run):
        check_resumed(run, of_fold(config, fold), work.dataset.of_fold(fold))
        if _is_scored(folder, config):
            log.info("%s: trained and scored already", name)
            return read_fold(fold, folder), ()
        log.info("%s: trained already", name)
    else:
        log.info("%s: training", name)
        runtime.forget_models()
        train(config, fold=fold, allow_leak=reason, resume=True, progress=work.progress)
    log.info("%s: scoring", name)
    report = evaluate(
        config,
        fold=fold,
        model=(run.folder,),
        output=folder,
        allow_leak=reason,
        overwrite=True,
        progress=work.progress,
    )
    return read_fold(fold, folder), report.failures


def _report(
    work: _Work,
    scores: Sequence[FoldScores],
    pooled: Evaluation,
    *,
    failures: Sequence[Failure],
    config_words: str | None,
) -> Report:
    folds: list[JSON] = [*fold_records(scores)]
    models = [w for fold in scores for w in ("--model", str(work.run.fold(fold.fold)))]
    words = [*filter(None, [config_words]), shlex.join(models)]
    words += [] if work.config.tiled_infer.images else ["IMAGES"]
    return Report(
        "train",
        work.run.folder,
        results=tuple({**result, "folds": folds} for result in pooled.results()),
        paths=(work.run.folder,),
        failures=tuple(failures),
        tables=(*fold_tables(scores), *score_tables(pooled)),
        next_command=" ".join(("cervseg tiled-infer", *words)),
    )


def _is_trained(run: Run) -> bool:
    """Whether the training came to its end; one that a file STOP ended may go on."""
    if not run.record.is_file() or not (run.model / CONTRACT).is_file():
        return False
    return read_json(run.record, what="run").get("ended") in ("epochs", "patience")


def _is_scored(folder: Path, config: Config) -> bool:
    """Whether all images were scored as they would be now."""
    if not (folder / "scores.json").is_file():
        return False
    document = read_json(folder / "scores.json", what="table of scores")
    return document.get("settings") == score_settings(config, "tiled") and not document["failed"]

"""`cervseg train --all-folds`: each fold trained and scored, then summed up."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cervseg.commands.report import NAME, write_page
from cervseg.commands.trial import Trial, require_one_process, train_and_score
from cervseg.config import Config
from cervseg.config.loader import as_config
from cervseg.data.folds import not_in_folds
from cervseg.data.leaks import Tolerance, refuse_leaks
from cervseg.data.manifest import Dataset, open_dataset
from cervseg.files import claim
from cervseg.reporting.folds import fold_records, fold_tables, pool, write_folds
from cervseg.reporting.scored import RunScores, read_scores
from cervseg.reporting.scores import Evaluation, score_tables
from cervseg.reports import JSON, SILENT, Failure, Progress, Report
from cervseg.runs import Run


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
    require_one_process(config, "--all-folds")
    dataset = open_dataset(config.data.output)
    if not dataset.folds:
        raise not_in_folds(dataset.folder)
    dataset.require_options(config.data)
    with tolerance.tolerating():
        refuse_leaks(dataset.sources)
    run = Run(config.train.output)
    work = _Work(config, dataset, run, tolerance, progress)
    resumed = resume and any(run.fold(fold).is_dir() for fold in range(dataset.folds))
    needed = (config.train.start_from, dataset.folder)
    with claim(run.folder, overwrite=overwrite, resume=resumed, needed=needed):
        scores: list[RunScores] = []
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


def _one_fold(work: _Work, fold: int) -> tuple[RunScores, tuple[Failure, ...]]:
    """Train and score a fold, or take what is there."""
    trial = Trial(
        work.config,
        name=f"fold {fold} of 0 to {work.dataset.folds - 1}",
        dataset=work.dataset.of_fold(fold),
        fold=fold,
        allow_leak=work.tolerance.reason,
    )
    failures = train_and_score(trial, progress=work.progress)
    return read_scores(fold, trial.scores / "scores.json"), failures


def _report(
    work: _Work,
    scores: Sequence[RunScores],
    pooled: Evaluation,
    *,
    failures: Sequence[Failure],
    config_words: str | None,
) -> Report:
    folds: list[JSON] = [*fold_records(scores)]
    models = [w for fold in scores for w in ("--model", str(work.run.fold(fold.number)))]
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

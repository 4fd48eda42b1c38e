"""`cervseg train --repeats`: the same training with several seeds, each scored."""

import logging
import shlex
from pathlib import Path

from cervseg.commands.cross_validation import cross_validate
from cervseg.commands.report import NAME, write_page
from cervseg.commands.trial import Trial, require_one_process, train_and_score
from cervseg.config import Config
from cervseg.config.loader import as_config
from cervseg.data.folds import open_fold
from cervseg.data.manifest import open_dataset
from cervseg.errors import ConfigError
from cervseg.files import claim
from cervseg.reporting.repeats import repeat_records, repeat_tables, write_repeats
from cervseg.reporting.scored import RunScores, read_scores
from cervseg.reports import SILENT, Failure, Progress, Report
from cervseg.runs import Run

log = logging.getLogger("cervseg")


def repeat(
    config: Config | Path | str,
    *,
    seeds: int,
    all_folds: bool = False,
    allow_leak: str | None = None,
    config_words: str | None = None,
    overwrite: bool = False,
    resume: bool = False,
    progress: Progress = SILENT,
) -> Report:
    """Train and score with `runtime.seed` and the seeds after it, in folders `seed0`, `seed1`, ….

    Tiles and splits stay as they are: what differs is the beginning of the weights, the order and
    the augmentation of samples. With `resume` what is trained and scored is kept.

    Args:
        config: Of the experiment.
        seeds: How many, 2 or more.
        all_folds: Cross-validate with each seed.
        allow_leak: Why a leak may stand.
        config_words: How a command line names the config, for the next command.
        overwrite: Move an occupied output aside.
        resume: Go on where the run was interrupted.
        progress: Draws the bars.

    Raises:
        ConfigError: Fewer than 2 seeds, or as `train` and `cross_validate`.
        OutputError: The folder is occupied.
        DataError: The dataset is missing, broken, changed since, or nothing is held out for scores.
        LeakError: As `train`.
        Interrupted: Ctrl-C or SIGTERM; finished seeds and epochs are saved.
    """
    if seeds < 2:
        raise ConfigError("--repeats needs 2 seeds or more")
    config = as_config(config)
    require_one_process(config, "--repeats")
    if not all_folds:
        open_fold(config.data.output, None, hint="add --all-folds").require_sources("test")
    run, first = Run(config.train.output), config.runtime.seed
    numbers = range(first, first + seeds)
    resumed = resume and any(run.seed(seed).is_dir() for seed in numbers)
    scores: list[RunScores] = []
    failures: list[Failure] = []
    needed = (config.train.start_from, config.data.output)
    with claim(run.folder, overwrite=overwrite, resume=resumed, needed=needed):
        for seed in numbers:
            of_seed, name = _of_seed(config, seed), f"seed {seed} of {first} to {numbers[-1]}"
            one = _cross_validated if all_folds else _trained
            path, failed = one(of_seed, name, allow_leak=allow_leak, progress=progress)
            scores.append(read_scores(seed, path))
            failures += failed
            write_repeats(run, scores, total=seeds)
        write_page([run.folder], run.folder / NAME)
    models = [word for seed in numbers for word in ("--model", str(run.seed(seed)))]
    where = [*filter(None, [config_words]), shlex.join(models)]
    where += [] if config.tiled_infer.images else ["IMAGES"]
    return Report(
        "train",
        run.folder,
        results=tuple(repeat_records(scores)),
        paths=(run.folder,),
        failures=tuple(failures),
        tables=tuple(repeat_tables(scores)),
        next_command=None if all_folds else " ".join(("cervseg tiled-infer", *where)),
    )


def _trained(
    config: Config, name: str, *, allow_leak: str | None, progress: Progress
) -> tuple[Path, tuple[Failure, ...]]:
    """Train and score one seed: its table of scores, and images that have none."""
    dataset = open_dataset(config.data.output)
    trial = Trial(config, name=name, dataset=dataset, allow_leak=allow_leak)
    return trial.scores / "scores.json", train_and_score(trial, progress=progress)


def _cross_validated(
    config: Config, name: str, *, allow_leak: str | None, progress: Progress
) -> tuple[Path, tuple[Failure, ...]]:
    """The same over all folds."""
    log.info("%s", name)
    report = cross_validate(config, allow_leak=allow_leak, resume=True, progress=progress)
    return Run(config.train.output).folds, report.failures


def _of_seed(config: Config, seed: int) -> Config:
    """The config with a seed, its output a folder in that of the whole."""
    train = config.train.model_copy(update={"output": Run(config.train.output).seed(seed)})
    runtime = config.runtime.model_copy(update={"seed": seed})
    return config.model_copy(update={"train": train, "runtime": runtime})

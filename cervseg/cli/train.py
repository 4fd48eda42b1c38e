"""`cervseg train`."""

from pathlib import Path
from typing import Annotated, TypedDict

import typer

from cervseg.cli.job import Job, Talk, load, refuse_both, words_of
from cervseg.cli.options import (
    NO_VALUE,
    AllowLeak,
    Debug,
    Fold,
    Json,
    OptionalConfigFile,
    Overrides,
    Overwrite,
    Quiet,
    Resume,
)
from cervseg.errors import ConfigError
from cervseg.reports import Progress, Report

EXAMPLES = (
    "cervseg train configs/metaplastic.yaml",
    "cervseg train configs/metaplastic.yaml --resume",
    "cervseg train configs/metaplastic.yaml --set train.epochs=5 --overwrite",
    "cervseg train configs/metaplastic.yaml --from runs/demo",
    "cervseg train configs/metaplastic.yaml --set data.folds=5 --all-folds",
    "cervseg train configs/demo.yaml --repeats 3",
    "cervseg train --verify runs/demo",
)


Start = Annotated[
    Path | None,
    typer.Option("--from", metavar="MODEL", help="Start from its weights: train.start_from."),
]
AllFolds = Annotated[
    bool,
    typer.Option(
        "--all-folds",
        metavar=NO_VALUE,
        help="Train and score each fold, then sum up: cross-validation.",
    ),
]
Repeats = Annotated[
    int | None,
    typer.Option(
        "--repeats",
        metavar="N",
        min=2,
        help="Train and score with N seeds, and tell the spread.",
    ),
]
Verify = Annotated[
    Path | None,
    typer.Option(
        "--verify",
        metavar="RUN",
        help="Train a finished run again from its own record, and compare (exit 6: it differs).",
    ),
]


class _Common(TypedDict):
    """What every way to train takes."""

    allow_leak: str | None
    overwrite: bool
    resume: bool
    progress: Progress
    config_words: str | None


def train(
    config: OptionalConfigFile = None,
    *,
    start: Start = None,
    fold: Fold = None,
    all_folds: AllFolds = False,
    repeats: Repeats = None,
    verify: Verify = None,
    allow_leak: AllowLeak = None,
    overrides: Overrides = None,
    overwrite: Overwrite = False,
    resume: Resume = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> Job:
    """Fit a network to the tiles; the run folder holds the model and its history.

    Ctrl-C saves and stops; a file named STOP in the run folder ends it after the epoch.
    """
    refuse_both(overwrite, resume)
    several = "--all-folds" if all_folds else "--repeats" if repeats else None
    if fold is not None and several:
        raise ConfigError(f"--fold and {several} exclude each other")
    if verify is not None:
        if config or overrides or fold is not None or several or start or allow_leak:
            raise ConfigError(
                "--verify takes all from its run", hint="leave out CONFIG and what changes it"
            )
    elif config is None:
        raise ConfigError("missing argument 'CONFIG'", hint="see cervseg train --help")
    if start is not None:
        from cervseg.config.syntax import format_value

        overrides = [*(overrides or ()), f"train.start_from={format_value(str(start))}"]

    def work(progress: Progress) -> Report:
        if verify is not None:
            from cervseg.commands.verifying import verify as train_again

            return train_again(verify, overwrite=overwrite, resume=resume, progress=progress)
        settings = load(config, overrides)
        common = _Common(
            allow_leak=allow_leak,
            overwrite=overwrite,
            resume=resume,
            progress=progress,
            config_words=words_of(config, overrides),
        )
        if repeats:
            from cervseg.commands.repeating import repeat

            return repeat(settings, seeds=repeats, all_folds=all_folds, **common)
        if all_folds:
            from cervseg.commands.cross_validation import cross_validate

            return cross_validate(settings, **common)
        from cervseg.commands.train import train

        return train(settings, fold=fold, **common)

    return Job("train", work, Talk(json=json, quiet=quiet, debug=debug))

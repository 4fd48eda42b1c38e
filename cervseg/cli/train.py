"""`cervseg train`."""

from pathlib import Path
from typing import Annotated

import typer

from cervseg.cli.job import Job, Talk, load, refuse_both, words_of
from cervseg.cli.options import (
    NO_VALUE,
    AllowLeak,
    ConfigFile,
    Debug,
    Fold,
    Json,
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


def train(
    config: ConfigFile,
    *,
    start: Start = None,
    fold: Fold = None,
    all_folds: AllFolds = False,
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
    if all_folds and fold is not None:
        raise ConfigError("--fold and --all-folds exclude each other")
    if start is not None:
        from cervseg.config.syntax import format_value

        overrides = [*(overrides or ()), f"train.start_from={format_value(str(start))}"]

    def work(progress: Progress) -> Report:
        if all_folds:
            from cervseg.commands.cross_validation import cross_validate

            return cross_validate(
                load(config, overrides),
                allow_leak=allow_leak,
                overwrite=overwrite,
                resume=resume,
                progress=progress,
                config_words=words_of(config, overrides),
            )
        from cervseg.commands.train import train

        return train(
            load(config, overrides),
            fold=fold,
            allow_leak=allow_leak,
            overwrite=overwrite,
            resume=resume,
            progress=progress,
            config_words=words_of(config, overrides),
        )

    return Job("train", work, Talk(json=json, quiet=quiet, debug=debug))

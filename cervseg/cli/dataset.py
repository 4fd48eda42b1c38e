"""`cervseg dataset-tile` and `cervseg dataset-check`."""

from pathlib import Path
from typing import Annotated

import typer

from cervseg.cli.job import Job, Talk, load, refuse_both, words_of
from cervseg.cli.options import (
    NO_VALUE,
    AllowLeak,
    ConfigFile,
    Debug,
    Json,
    Output,
    Overrides,
    Overwrite,
    Quiet,
    Resume,
    Subject,
)
from cervseg.files import is_config
from cervseg.reports import Progress, Report

EXAMPLES = (
    "cervseg dataset-tile configs/metaplastic.yaml",
    "cervseg dataset-tile configs/metaplastic.yaml --set data.scale=0.5",
)


def dataset_tile(
    config: ConfigFile,
    *,
    allow_leak: AllowLeak = None,
    overrides: Overrides = None,
    overwrite: Overwrite = False,
    resume: Resume = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> Job:
    """Check photographs and masks, split them without leaks, cut them into tiles."""
    refuse_both(overwrite, resume)

    def work(progress: Progress) -> Report:
        from cervseg.commands.dataset_tile import dataset_tile

        return dataset_tile(
            load(config, overrides),
            allow_leak=allow_leak,
            overwrite=overwrite,
            resume=resume,
            progress=progress,
            config_words=words_of(config, overrides),
        )

    return Job("dataset-tile", work, Talk(json=json, quiet=quiet, debug=debug))


CHECK_EXAMPLES = (
    "cervseg dataset-check configs/metaplastic.yaml",
    "cervseg dataset-check configs/metaplastic.yaml --fix datasets/metaplastic-clean",
    "cervseg dataset-check fields --strict --output check",
    "cervseg dataset-check configs/herlev.yaml --set 'data.split={kind: folders}'",
    "cervseg dataset-check configs/metaplastic.yaml --augmentation",
)


def dataset_check(
    subject: Subject,
    *,
    output: Output = Path("cervseg-check"),
    fix: Annotated[
        Path | None,
        typer.Option("--fix", metavar="DIR", help="Write a cleaned copy there; see the docs."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", metavar=NO_VALUE, help="Warnings are errors.")
    ] = False,
    augmentation: Annotated[
        bool,
        typer.Option(
            "--augmentation", metavar=NO_VALUE, help="Also draw what training makes of images."
        ),
    ] = False,
    overrides: Overrides = None,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> Job:
    """Check every image and mask of a dataset; show what it consists of; write a cleaned copy.

    Finds broken files, masks that do not fit, noise, wrong colours and indices, specks, near
    duplicates and leaks. Ends with 3 where there are errors, 4 where there is a leak, 0 where
    there are warnings only.
    """
    config, folder = (subject, None) if is_config(subject) else (None, subject)

    def work(progress: Progress) -> Report:
        from cervseg.commands.dataset_check import dataset_check

        return dataset_check(
            load(config, overrides),
            folder=folder,
            output=output or Path("cervseg-check"),
            fix=fix,
            strict=strict,
            augmentation=augmentation,
            overwrite=overwrite,
            progress=progress,
        )

    return Job("dataset-check", work, Talk(json=json, quiet=quiet, debug=debug))

"""`cervseg config show | schema | init | import`."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from cervseg.cli.job import Job, Talk
from cervseg.cli.options import (
    ConfigFile,
    Debug,
    Json,
    Output,
    OutputFile,
    Overrides,
    Overwrite,
    Quiet,
)
from cervseg.errors import ConfigError, OutputError
from cervseg.reports import Progress, Report

EXAMPLES = (
    "cervseg config init fields masks --output cells.yaml",
    "cervseg config show cells.yaml",
)
SHOW_EXAMPLES = (
    "cervseg config show configs/metaplastic.yaml",
    "cervseg config show configs/metaplastic.yaml --set train.epochs=5 --json",
)
SCHEMA_EXAMPLES = ("cervseg config schema",)
INIT_EXAMPLES = (
    "cervseg config init fields masks --output cells.yaml",
    "cervseg config init fields",
)
IMPORT_EXAMPLES = (
    "cervseg config import old.config",
    "cervseg config import old.config --weights best_model.h5 --output runs/old",
)

OldFile = Annotated[
    Path,
    typer.Argument(metavar="OLD", help="An INI file of the reference.", show_default=False),
]
Weights = Annotated[
    Path | None,
    typer.Option("--weights", metavar="H5", help="Its trained weights, best_model.h5."),
]
Images = Annotated[
    Path, typer.Argument(metavar="IMAGES", help="A folder of photographs.", show_default=False)
]
Masks = Annotated[
    Path | None,
    typer.Argument(metavar="MASKS", help="The folder of their masks.", show_default=False),
]


def show(
    config: ConfigFile,
    *,
    overrides: Overrides = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> Job:
    """Show each resolved value and where it came from: default, file and line, or --set."""

    def work(progress: Progress) -> Report | str:
        from cervseg.commands.config import show_config

        report = show_config(config, overrides or ())
        if json:
            return dataclasses.replace(report, tables=())
        return "\n".join(table.text() for table in report.tables)

    return Job("config show", work, Talk(json=json, quiet=quiet, debug=debug))


def schema(*, debug: Debug = False) -> Job:
    """Print the JSON Schema of a config, by which editors complete and check."""

    def work(progress: Progress) -> str:
        from cervseg.commands.config import config_schema

        return config_schema()

    return Job("config schema", work, Talk(debug=debug))


def init(
    images: Images, masks: Masks = None, *, output: OutputFile = None, debug: Debug = False
) -> Job:
    """Draw up a short commented config that fits a folder of images."""

    def work(progress: Progress) -> Report | str:
        from cervseg.commands.config import draw_up

        if output is None:
            return draw_up(images, masks).text
        if output.exists():
            raise OutputError(f"{output}: the file exists", hint="choose another --output")
        from cervseg.files import write_text

        starter = draw_up(images, masks, output=output)
        write_text(output, starter.text)
        return Report(
            "config init", output=output, paths=(output,), next_command=starter.next_command
        )

    return Job("config init", work, Talk(debug=debug))


def import_(
    old: OldFile,
    *,
    weights: Weights = None,
    output: Output = None,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> Job:
    """Turn a config of the reference, and its weights, into a run folder; nothing is executed.

    Without --output the YAML goes to stdout.
    """
    if weights is not None and output is None:
        raise ConfigError("--weights needs --output", hint="name the run folder to write")

    def work(progress: Progress) -> Report | str:
        from cervseg.commands.import_config import import_config, imported_text

        if output is not None:
            return import_config(old, output, weights=weights, overwrite=overwrite)
        text = imported_text(old)
        return Report("config import", results=({"yaml": text},)) if json else text

    return Job("config import", work, Talk(json=json, quiet=quiet, debug=debug))

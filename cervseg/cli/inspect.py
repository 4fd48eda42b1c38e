"""`cervseg inspect`."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from cervseg.cli.job import Job, Talk, load
from cervseg.cli.options import Debug, Json, Output, Overrides, Overwrite, Quiet
from cervseg.errors import ConfigError
from cervseg.files import is_config
from cervseg.reports import Progress, Report

EXAMPLES = (
    "cervseg inspect",
    "cervseg inspect configs/metaplastic.yaml",
    "cervseg inspect configs/metaplastic.yaml --output network",
    "cervseg inspect runs/metaplastic --json",
    "cervseg inspect builtin:metaplastic",
)

Subject = Annotated[
    Path | None,
    typer.Argument(
        metavar="[CONFIG|MODEL]",
        help="A config (.yaml), a run or model folder, or `builtin:NAME`. Default: list all names.",
        show_default=False,
    ),
]


def inspect(
    subject: Subject = None,
    *,
    output: Output = None,
    overrides: Overrides = None,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> Job:
    """Show layers, parameters, multiply-adds, receptive field and memory of a network.

    Of a model also its contract, and the scores of its card. With `--output` also `summary.txt`
    and the picture `model.png`. Without an argument, list networks, losses, metrics and built-in
    models.
    """
    if subject is None and (output is not None or overrides):
        raise ConfigError("nothing to inspect", hint="name a config or a model")

    def work(progress: Progress) -> Report | str:
        from cervseg.commands.inspect import inspect_network, list_names

        report = list_names()
        if subject is not None:
            config, model = (subject, None) if is_config(subject) else (None, subject)
            report = inspect_network(
                load(config, overrides),
                model=model,
                output=output,
                overwrite=overwrite,
            )
        if json:
            return dataclasses.replace(report, tables=())
        if output is not None:  # the layers are in the file
            return dataclasses.replace(report, tables=report.tables[1:])
        return "\n\n".join(f"{t.title}\n{t.text()}" for t in report.tables if t.rows)

    return Job("inspect", work, Talk(json=json, quiet=quiet, debug=debug))

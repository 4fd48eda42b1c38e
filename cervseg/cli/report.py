"""`cervseg report`."""

from pathlib import Path
from typing import Annotated

import typer

from cervseg.cli.job import Job, Talk
from cervseg.cli.options import Debug, Json, Quiet
from cervseg.reports import Progress, Report

EXAMPLES = (
    "cervseg report runs/metaplastic",
    "cervseg report cervseg-output",
    "cervseg report runs/a/evaluation/test runs/b/evaluation/test --output a_and_b.html",
)

Folders = Annotated[
    list[Path], typer.Argument(metavar="FOLDER...", help="Of train, evaluate, tiled-infer.")
]
PageFile = Annotated[
    Path | None,
    typer.Option("--output", metavar="FILE", help="Default: report.html in the folder."),
]


def report(
    folders: Folders,
    *,
    output: PageFile = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> Job:
    """One page about runs, evaluations, outputs: scores, curves, pictures; several side by side.

    It needs no network and no other file. `evaluate` writes one by itself.
    """

    def work(_: Progress) -> Report:
        from cervseg.commands.report import report

        return report(folders, output=output)

    return Job("report", work, Talk(json=json, quiet=quiet, debug=debug))

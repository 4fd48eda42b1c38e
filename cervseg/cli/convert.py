"""`cervseg convert`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from cervseg.cli.job import Job, Talk, load, refuse_both
from cervseg.cli.options import ConfigFile, Debug, Json, Output, Overrides, Overwrite, Quiet, Resume
from cervseg.reports import Progress, Report

EXAMPLES = (
    "cervseg convert configs/metaplastic.yaml --to geojson --output outlines",
    "cervseg convert sipakmed.yaml --to label_images --output labels",
)


def convert(
    config: ConfigFile,
    *,
    to: Annotated[
        Literal["masks", "label_images", "geojson"],
        typer.Option("--to", help="The form to write.", show_default=False),
    ],
    output: Output = None,
    overrides: Overrides = None,
    overwrite: Overwrite = False,
    resume: Resume = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> Job:
    """Write the annotations of `data.source` as masks, label images or GeoJSON for QuPath."""
    refuse_both(overwrite, resume)

    def work(progress: Progress) -> Report:
        from cervseg.commands.convert import convert

        return convert(
            load(config, overrides),
            to=to,
            output=output or Path("cervseg-output"),
            overwrite=overwrite,
            resume=resume,
            progress=progress,
        )

    return Job("convert", work, Talk(json=json, quiet=quiet, debug=debug))

"""`cervseg export`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from cervseg.cli.job import Job, Talk
from cervseg.cli.options import Debug, Json, Output, Overwrite, Quiet
from cervseg.reports import Progress, Report

EXAMPLES = (
    "cervseg export runs/metaplastic --format openvino",
    "cervseg export runs/metaplastic --format onnx --images fields --output onnx_model",
)


def export(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="A run folder, a model folder or `builtin:NAME`.",
            show_default=False,
        ),
    ],
    *,
    form: Annotated[
        Literal["keras", "saved_model", "onnx", "openvino"],
        typer.Option("--format", help="What to write.", show_default=False),
    ],
    output: Output = None,
    precision: Annotated[
        Literal["float32", "bfloat16"],
        typer.Option("--precision", help="Of the activations of what is written."),
    ] = "float32",
    tile_size: Annotated[
        int | None,
        typer.Option(
            "--tile-size", metavar="PIXELS", min=1, help="Side of its tiles. Default: the model's."
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            "--images", metavar="DIR", help="Photographs to compare on. Default: drawn textures."
        ),
    ] = None,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> Job:
    """Write a model for another engine or program, and compare its answers.

    `onnx` and `openvino` are models for every command here; `keras` and `saved_model` are for
    other programs. Exit code 6, and nothing written, where a probability differs by over 1e-3.
    """

    def work(progress: Progress) -> Report:
        from cervseg.commands.export import export

        return export(
            model,
            to=form,
            output=output,
            precision=precision,
            tile_size=tile_size,
            images=images,
            overwrite=overwrite,
        )

    return Job("export", work, Talk(json=json, quiet=quiet, debug=debug))

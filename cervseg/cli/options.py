"""Arguments and options that several commands share, and how examples stand in a help."""

from pathlib import Path
from typing import Annotated

import typer

NO_VALUE = ""
"""The metavar of a flag; Typer would show `<bool>`, as if one could write `--quiet true`."""

ConfigFile = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="The experiment, a YAML file.", show_default=False)
]
OptionalConfigFile = Annotated[
    Path | None,
    typer.Argument(
        metavar="CONFIG",
        help="The experiment, a YAML file.",
        readable=False,  # it may be an image; whoever reads it tells why it can't be read
        show_default=False,
    ),
]
Subject = Annotated[
    Path,
    typer.Argument(
        metavar="CONFIG|FOLDER",
        help="An experiment (.yaml), a dataset folder, or a folder with `images` and `masks`.",
        show_default=False,
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change one key of the config, as in `train.epochs=5`; may be repeated.",
    ),
]
Models = Annotated[
    list[Path] | None,
    typer.Option(
        "--model",
        metavar="MODEL",
        help="A run folder, a model folder or `builtin:NAME`; several are averaged.",
    ),
]
Output = Annotated[
    Path | None, typer.Option("--output", metavar="DIR", help="The folder to write.")
]
OutputFile = Annotated[
    Path | None,
    typer.Option("--output", metavar="FILE", help="The file to write. Default: stdout."),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        metavar=NO_VALUE,
        help="Write anew; what is there is kept under another name.",
    ),
]
Resume = Annotated[
    bool,
    typer.Option("--resume", metavar=NO_VALUE, help="Go on where the last run stopped, or start."),
]
AllowLeak = Annotated[
    str | None,
    typer.Option(
        "--allow-leak",
        metavar="REASON",
        help="Go on although data leaks, and keep the reason with what is written.",
    ),
]
Fold = Annotated[
    int | None,
    typer.Option(
        "--fold", metavar="K", min=0, help="Of a dataset in folds: the one that is scored, from 0."
    ),
]
Json = Annotated[
    bool, typer.Option("--json", metavar=NO_VALUE, help="One JSON document on stdout.")
]
Quiet = Annotated[bool, typer.Option("--quiet", metavar=NO_VALUE, help="Say only what went wrong.")]
Debug = Annotated[
    bool, typer.Option("--debug", metavar=NO_VALUE, help="Show the causes of an error.")
]


def epilog(*examples: str) -> str:
    """Write command lines as the last section of a help."""
    return "\n".join(("**Examples**", "", "```", *examples, "```"))

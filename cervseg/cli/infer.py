"""`cervseg infer` and `cervseg tiled-infer`: one command line, two ways to look at an image."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cervseg.cli.job import Job, Talk, load, refuse_both
from cervseg.cli.options import (
    NO_VALUE,
    Debug,
    Json,
    Models,
    OptionalConfigFile,
    Output,
    Overrides,
    Overwrite,
    Quiet,
    Resume,
)
from cervseg.errors import ConfigError
from cervseg.files import is_config
from cervseg.reports import Progress, Report

if TYPE_CHECKING:
    from cervseg.config import Config

INFER_EXAMPLES = (
    "cervseg infer configs/metaplastic.yaml",
    "cervseg infer --model runs/metaplastic field.jpg --output masks",
)
TILED_INFER_EXAMPLES = (
    "cervseg tiled-infer field.jpg",
    "cervseg tiled-infer configs/metaplastic.yaml",
    "cervseg tiled-infer configs/metaplastic.yaml fields --output masks",
    "cervseg tiled-infer --model runs/metaplastic fields/*.jpg",
    "find fields -name '*.jpg' | cervseg tiled-infer --model runs/metaplastic -",
)

Images = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="IMAGES",
        help="Files, folders, or `-`: paths from stdin, one a line. Default: the config's.",
        show_default=False,
    ),
]

DryRun = Annotated[
    bool,
    typer.Option("--dry-run", metavar=NO_VALUE, help="Only forecast memory, disk, tiles and time."),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="N|ADDRESS",
        help="Share the work: start N processes here, or join a Dask scheduler, tcp://…",
    ),
]
Share = Annotated[
    str | None,
    typer.Option(
        "--shard", metavar="I/N", help="Only every N-th image from the I-th on: for job arrays."
    ),
]


def infer(
    config: OptionalConfigFile = None,
    images: Images = None,
    *,
    model: Models = None,
    output: Output = None,
    overrides: Overrides = None,
    overwrite: Overwrite = False,
    resume: Resume = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> Job:
    """Segment each image as a whole, fitted to the network: masks and overlays.

    The first argument is the config if it ends in .yaml or .yml.
    """
    refuse_both(overwrite, resume)
    asked = _read_arguments("infer", config, images)

    def work(progress: Progress) -> Report:
        from cervseg.commands.infer import infer

        return infer(
            asked.load_config(overrides), images=asked.find_images(),
            model=tuple(model or ()), output=output, overwrite=overwrite, resume=resume,
            progress=progress,
        )  # fmt: skip

    return Job("infer", work, Talk(json=json, quiet=quiet, debug=debug))


def tiled_infer(
    config: OptionalConfigFile = None,
    images: Images = None,
    *,
    model: Models = None,
    output: Output = None,
    overrides: Overrides = None,
    overwrite: Overwrite = False,
    resume: Resume = False,
    dry_run: DryRun = False,
    cluster: Cluster = None,
    shard: Share = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> Job:
    """Segment images of any size at native resolution, tile by tile: masks and overlays.

    The first argument is the config if it ends in .yaml or .yml.
    """
    refuse_both(overwrite, resume)
    asked = _read_arguments("tiled-infer", config, images)

    def work(progress: Progress) -> Report:
        from cervseg.commands.infer import tiled_infer

        return tiled_infer(
            asked.load_config(overrides), images=asked.find_images(),
            model=tuple(model or ()), output=output, overwrite=overwrite, resume=resume,
            dry_run=dry_run, cluster=cluster, shard=shard, progress=progress,
        )  # fmt: skip

    return Job("tiled-infer", work, Talk(json=json, quiet=quiet, debug=debug))


@dataclass(frozen=True)
class _Asked:
    """The positional arguments, told apart."""

    config: Path | None
    images: tuple[str, ...]

    def load_config(self, overrides: Sequence[str] | None) -> "Config | None":
        """The config, also where only `--set` says something; None where nothing does."""
        return load(self.config, overrides) if self.config or overrides else None

    def find_images(self) -> tuple[Path, ...]:
        """The images named, stdin's in the place of `-`."""
        found: list[Path] = []
        for image in self.images:
            found.extend(_read_paths() if image == "-" else [Path(image)])
        return tuple(found)


def _read_arguments(command: str, config: Path | None, images: list[str] | None) -> _Asked:
    if config is None:
        raise ConfigError(
            f"{command} needs CONFIG or IMAGES", hint=f"cervseg {command} --model MODEL IMAGES"
        )
    if is_config(config):
        return _Asked(config, tuple(images or ()))
    return _Asked(None, (str(config), *(images or ())))


def _read_paths() -> list[Path]:
    """Read paths from stdin, one a line.

    Raises:
        ConfigError: stdin is a terminal, closed or empty.
    """
    hint = "find IMAGES -name '*.png' | cervseg tiled-infer --model RUN -"
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        raise ConfigError("'-' reads paths from stdin, but nothing is piped in", hint=hint)
    # Bytes, since a file name need not be UTF-8.
    lines = (line.rstrip(b"\r") for line in sys.stdin.buffer.read().split(b"\n"))
    paths = [Path(os.fsdecode(line)) for line in lines if line.strip()]
    if not paths:
        raise ConfigError("'-' reads paths from stdin, but stdin is empty", hint=hint)
    return paths

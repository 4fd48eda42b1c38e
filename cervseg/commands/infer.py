"""`cervseg infer` and `cervseg tiled-infer`: images to masks, overlays and objects."""

from collections.abc import Sequence
from pathlib import Path

from cervseg.commands.segmenting import Asked, Shard, run_inference
from cervseg.config import Config
from cervseg.config.inference import InferConfig
from cervseg.config.loader import as_config
from cervseg.reports import SILENT, Progress, Report


def infer(
    config: Config | Path | str | None = None,
    *,
    images: Sequence[Path | str] = (),
    model: Sequence[Path | str] = (),
    output: Path | str | None = None,
    overwrite: bool = False,
    resume: bool = False,
    progress: Progress = SILENT,
) -> Report:
    """Segment whole images, each fitted to one tile of the network.

    Args:
        config: Of the experiment; None: all defaults.
        images: Files and folders; default: the key `images`.
        model: Run or model folders, several for their mean; default: the key `model`, else
            `train.output`.
        output: Folder to write; default: the key `output`.
        overwrite: Move an occupied output aside.
        resume: Leave images out that are done.
        progress: Draws the bars.

    Raises:
        ConfigError: A key does not fit the model, or two images have one name.
        OutputError: The output folder is occupied.
        DataError: An input is missing; a broken image is a failure in the report instead.
        ModelError: The model is missing or broken.
        Interrupted: Ctrl-C or SIGTERM; finished images stay.
    """
    config = as_config(config)
    section = _merged(config.infer, config, images=images, model=model, output=output)
    return run_inference("infer", section, config.runtime, overwrite=overwrite, resume=resume,
                         progress=progress)  # fmt: skip


def tiled_infer(
    config: Config | Path | str | None = None,
    *,
    images: Sequence[Path | str] = (),
    model: Sequence[Path | str] = (),
    output: Path | str | None = None,
    overwrite: bool = False,
    resume: bool = False,
    shard: str | None = None,
    cluster: str | None = None,
    dry_run: bool = False,
    progress: Progress = SILENT,
) -> Report:
    """Segment images of any size at the model's scale, tile by tile.

    Args:
        config: Of the experiment; None: all defaults.
        images: Files and folders; default: the key `images`.
        model: Run, model or exported folders, several for their mean; default: the key
            `model`, else `train.output`.
        output: Folder to write; default: the key `output`.
        overwrite: Move an occupied output aside.
        resume: Leave images and bands out that are done.
        shard: `2/8`: the second of every eight images, beside other shards in one folder.
        cluster: Number of processes to start on this machine, or a Dask scheduler's address.
        dry_run: Only forecast memory, disk and time.
        progress: Draws the bars.

    Raises:
        CervsegError: As `infer`, and:
        BudgetError: More memory is needed than `max_ram`.
        ConfigError: Tile or overlap do not fit the model's stride.
    """
    config = as_config(config)
    section = _merged(config.tiled_infer, config, images=images, model=model, output=output)
    return run_inference("tiled-infer", section, config.runtime, overwrite=overwrite,
                         resume=resume, shard=None if shard is None else Shard.parse(shard),
                         cluster=cluster, dry=dry_run,
                         progress=progress)  # fmt: skip


def _merged(
    section: InferConfig,
    config: Config,
    *,
    images: Sequence[Path | str],
    model: Sequence[Path | str],
    output: Path | str | None,
) -> Asked:
    return Asked(
        section,
        _paths(images) or ([section.images] if section.images else []),
        _paths(model) or list(section.model) or [config.train.output],
        section.output if output is None else Path(output),
    )


def _paths(given: Sequence[Path | str] | Path | str) -> list[Path]:
    """A path or several; a lone text is one path, not its letters."""
    return [Path(given)] if isinstance(given, Path | str) else list(map(Path, given))

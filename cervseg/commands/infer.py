"""`cervseg infer` and `cervseg tiled-infer`: images to masks, overlays and objects."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cervseg.commands.segmenting import Asked, Shard, run_inference
from cervseg.config import Config
from cervseg.config.inference import InferConfig
from cervseg.config.loader import as_config
from cervseg.contract import BUILTIN, DEFAULT_MODEL, builtin_models
from cervseg.reports import SILENT, Progress, Report

log = logging.getLogger("cervseg")


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
        model: Run or model folders, `builtin:NAME`, several for their mean; default: the key
            `model`, else `train.output`; without an experiment `builtin:metaplastic`.
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
    section, notices = _merged(config.infer, config, images=images, model=model, output=output)
    report = run_inference("infer", section, config.runtime, overwrite=overwrite, resume=resume,
                           progress=progress)  # fmt: skip
    return replace(report, notices=(*notices, *report.notices))


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
        model: Run, model or exported folders, `builtin:NAME`, several for their mean; default:
            as of `infer`.
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
    section, notices = _merged(
        config.tiled_infer, config, images=images, model=model, output=output
    )
    report = run_inference("tiled-infer", section, config.runtime, overwrite=overwrite,
                           resume=resume, shard=None if shard is None else Shard.parse(shard),
                           cluster=cluster, dry=dry_run,
                           progress=progress)  # fmt: skip
    return replace(report, notices=(*notices, *report.notices))


def _merged(
    section: InferConfig,
    config: Config,
    *,
    images: Sequence[Path | str],
    model: Sequence[Path | str],
    output: Path | str | None,
) -> tuple[Asked, tuple[str, ...]]:
    named = _paths(model) or list(section.model)
    default = _default_model(config)
    asked = Asked(
        section,
        _paths(images) or ([section.images] if section.images else []),
        named or [default],
        section.output if output is None else Path(output),
    )
    if named or default != DEFAULT_MODEL:
        return asked, ()
    notice = f"the model is {DEFAULT_MODEL}; --model names another"
    log.info(notice)  # now, not only when all is done
    return asked, (notice,)


def _default_model(config: Config) -> Path:
    """The run of an experiment; where the config describes none, the built-in model."""
    described = config.model_fields_set & {"data", "model", "train"}
    if described or str(DEFAULT_MODEL).removeprefix(BUILTIN) not in builtin_models():
        return config.train.output
    return DEFAULT_MODEL


def _paths(given: Sequence[Path | str] | Path | str) -> list[Path]:
    """A path or several; a lone text is one path, not its letters."""
    return [Path(given)] if isinstance(given, Path | str) else list(map(Path, given))

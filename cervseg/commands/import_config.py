"""`config import`: an old experiment, its config and its trained weights, comes along."""

import logging
import shlex
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cervseg import runtime
from cervseg.commands.draft import asked_threshold, draft_contract
from cervseg.config.legacy import Imported, import_legacy
from cervseg.contract import Contract
from cervseg.errors import ConfigError, ModelError
from cervseg.files import claim, refuse_occupied, write_text
from cervseg.grid import round_up
from cervseg.reports import Report
from cervseg.runs import Run

if TYPE_CHECKING:
    from cervseg.arrays import Tensor

log = logging.getLogger("cervseg")

LARGEST = 1_000_000
"""Bytes of an old config; those of the family have 3000."""


def imported_text(old: Path) -> str:
    """Translate an old config, to be shown.

    Raises:
        ConfigError: It can't be read, or not be understood; lists all that is wrong.
    """
    imported = import_legacy(_read(old), str(old))
    for notice in imported.notices:
        log.info(notice)
    return imported.text


def import_config(
    old: Path, output: Path, *, weights: Path | None = None, overwrite: bool = False
) -> Report:
    """Write an old experiment as a run folder: its config and, if given, its model.

    Args:
        old: The config, as the reference's scripts take it.
        output: The run folder to write.
        weights: `best_model.h5` of the same experiment.
        overwrite: Move an occupied folder aside first.

    Raises:
        ConfigError: The config can't be read, or not be understood; lists all that is wrong.
        ModelError: The weights are broken, don't fit, or would answer otherwise here.
        OutputError: The folder is occupied.
    """
    text = _read(old)
    imported = import_legacy(text, str(old), run=str(output))
    refuse_occupied(output, overwrite=overwrite)
    model: Tensor | None = None
    contract: Contract | None = None
    if weights is not None:
        imported, model, contract = _load_model(text, old, output=output, weights=weights)
    run, notices = Run(output), list(imported.notices)
    with claim(output, overwrite=overwrite):
        write_text(run.config, imported.text)
        if model is not None and contract is not None:
            from cervseg.models.folder import save_model

            save_model(run.model, model, contract)
            notices.append("the model does not say which images it has seen, so none are refused")
    paths = (run.config,) if model is None else (run.config, run.model)
    following = "dataset-tile" if model is None else "tiled-infer"
    return Report(
        "config import",
        output,
        results=({"config": str(run.config), "model": str(run.model) if model else None},),
        paths=paths,
        notices=tuple(notices),
        next_command=shlex.join(["cervseg", following, str(run.config)]),
    )


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST:
            raise ConfigError(f"{path}: larger than {LARGEST // 1_000_000} MB, so no config")
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as exc:
        raise ConfigError(f"{path}: no such config file") from exc
    except IsADirectoryError as exc:
        raise ConfigError(f"{path}: a folder, not a config file") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path}: not UTF-8 text") from exc
    except OSError as exc:
        raise ConfigError(f"{path}: can't be read: {exc.strerror}") from exc


def _load_model(
    text: str, old: Path, *, output: Path, weights: Path
) -> tuple[Imported, "Tensor", Contract]:
    runtime.start()  # an old config says nothing of the machine
    from cervseg.models.folder import with_geometry
    from cervseg.models.inspection import geometry
    from cervseg.models.legacy import load_legacy, normalized_after

    place = normalized_after(weights)
    imported = import_legacy(text, str(old), run=str(output), normalize_after=place)
    if imported.obstacles:
        raise ModelError(
            f"{weights}: would answer otherwise here: {'; '.join(imported.obstacles)}",
            hint="leave --weights out and train anew",
        )
    contract = _contract_of(imported)
    model = load_legacy(weights, contract)
    size = round_up(contract.tile_size, geometry(model).align)
    return imported, model, with_geometry(replace(contract, tile_size=size), model)


def _contract_of(imported: Imported) -> Contract:
    """The contract as far as it is known without the network."""
    draft = draft_contract(imported.config)
    return replace(
        draft,
        color_order=imported.color_order,
        threshold=asked_threshold(imported.config) or draft.threshold,
        versions=runtime.versions(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )

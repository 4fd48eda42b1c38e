"""`cervseg train --verify`: a finished run trained again from its own record, and compared."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path

import numpy as np

from cervseg import runtime
from cervseg.commands.fold import of_fold
from cervseg.commands.train import train
from cervseg.config import Config
from cervseg.config.loader import load_config
from cervseg.contract import Contract
from cervseg.data.folds import open_fold
from cervseg.errors import CheckError, DataError
from cervseg.files import read_csv, read_json
from cervseg.reports import JSON, SILENT, Progress, Report
from cervseg.runs import Run

FREE = ("created", "versions")
"""What two equal models may differ in."""


def verify(
    folder: Path | str,
    *,
    overwrite: bool = False,
    resume: bool = False,
    progress: Progress = SILENT,
) -> Report:
    """Train a run again, with its config, data, seed and threads, and compare to the last bit.

    The second training lies in `RUN.verify` until it proves equal. It takes as long as the first.

    Args:
        folder: Of the run.
        overwrite: Move an earlier `RUN.verify` aside.
        resume: Go on with it.
        progress: Draws the bars.

    Raises:
        CheckError: Something differs: tells what first, and which versions are others.
        DataError: The run has not ended, or its dataset is missing or changed since.
        OutputError: `RUN.verify` is there.
        Interrupted: Ctrl-C or SIGTERM; finished epochs are saved.
    """
    folder = Path(folder)
    run = Run(folder if folder.name.strip(".") else folder.resolve())  # `.` and `..` get a name
    record = read_json(run.record, what="run")
    if record.get("ended") not in ("epochs", "patience"):
        raise DataError(
            f"{run.folder}: the training has not ended, so it can't be verified",
            hint="cervseg train … --resume ends it",
        )
    fold = record.get("fold")
    assert fold is None or isinstance(fold, int)
    place = run.folder.with_name(f"{run.folder.name}.verify")
    config = _again(load_config(run.config).config, record, output=place)
    dataset = open_fold(config.data.output, fold)
    if dataset.fingerprint != record.get("dataset"):
        raise DataError(f"{dataset.folder}: changed since the run in {run.folder}")
    train(
        config,
        fold=fold,
        allow_leak=_reason(record),
        overwrite=overwrite,
        resume=resume,
        progress=progress,
    )
    again = Run(of_fold(config, fold).train.output)
    if difference := next(_differences(run, again), None):
        raise CheckError(
            f"{run.folder}: trained again it differs: {difference}",
            hint=_reasons(record, read_json(again.record, what="run"))
            or f"the second training is in {again.folder}",
        )
    epochs = sum(map(len, _histories(run).values()))
    shutil.rmtree(place)
    return Report(
        "train",
        run.folder,
        results=({"run": str(run.folder), "equal": True, "epochs": epochs},),
        notices=(f"trained again, equal to the last bit: {epochs} epochs, weights, contract",),
    )


def _again(config: Config, record: Mapping[str, JSON], *, output: Path) -> Config:
    threads = record.get("threads")
    assert threads is None or isinstance(threads, int)
    return config.model_copy(
        update={
            "train": config.train.model_copy(update={"output": output}),
            "runtime": config.runtime.model_copy(update={"threads": threads, "processes": 1}),
        }
    )


def _reason(record: Mapping[str, JSON]) -> str | None:
    """Why a leak was allowed."""
    allowed = record.get("allowed_leak")
    return str(allowed.get("reason")) if isinstance(allowed, dict) else None


def _differences(run: Run, again: Run) -> Iterator[str]:
    """What differs, in the order in which it came about."""
    ours, others = _histories(run), _histories(again)
    for part, first in ours.items():
        second = others.get(part, [])
        for mine, theirs in zip_longest(first, second):
            if mine is None or theirs is None:
                yield f"{part}{len(second)} epochs instead of {len(first)}"
                return
            for name, value in mine.items():
                if theirs.get(name) != value:
                    found = f"{name} {theirs.get(name)} instead of {value}"
                    yield f"{part}epoch {mine['epoch']}, {found}"
    contracts = Contract.load(run.model), Contract.load(again.model)
    yield from _different_weights((run, again), contracts)
    one, other = ({k: v for k, v in asdict(c).items() if k not in FREE} for c in contracts)
    for name, value in one.items():
        if value != other[name]:
            yield f"{name} {other[name]} instead of {value}"


def _histories(run: Run) -> dict[str, list[dict[str, str]]]:
    """That of the run; of a soup those of its trainings, by what tells them apart."""
    members = [] if run.history_table.is_file() else run.members()
    parts = {f"{member.folder.name}, ": member for member in members} or {"": run}
    return {
        name: read_csv(part.history_table, ("epoch",), what="history")
        for name, part in parts.items()
    }


def _different_weights(
    runs: tuple[Run, Run], contracts: tuple[Contract, Contract]
) -> Iterator[str]:
    from cervseg.models.folder import load_model

    networks = [load_model(r.model, c) for r, c in zip(runs, contracts, strict=True)]
    for one, other in zip(*(network.weights for network in networks), strict=True):
        values = np.asarray(one), np.asarray(other)
        if not np.array_equal(*values, equal_nan=True):
            far = float(np.abs(values[0] - values[1]).max(initial=0))
            yield f"weights {one.path}, by up to {far:.3g}"
    runtime.forget_models()


def _reasons(before: Mapping[str, JSON], now: Mapping[str, JSON]) -> str | None:
    """Versions and machine, where they are others than those of the run."""
    told = []
    for part in ("versions", "machine"):
        one, other = before.get(part), now.get(part)
        if isinstance(one, dict) and isinstance(other, dict):
            told += [
                f"{k} {v} instead of {one.get(k)}" for k, v in other.items() if v != one.get(k)
            ]
    return ", ".join(told) or None

"""`run.json`: with what a training was made, how long it took and how it ended."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime

from cervseg import machine, runtime
from cervseg.config import Config
from cervseg.data.fields import SPLITS
from cervseg.data.manifest import Dataset
from cervseg.files import read_json, write_json
from cervseg.reports import JSON
from cervseg.runs import Run


def open_record(
    run: Run, config: Config, dataset: Dataset, *, resumed: bool, found: Mapping[str, JSON]
) -> dict[str, JSON]:
    """Begin the record, or go on with it; the backend must have started.

    Args:
        run: Where it is kept.
        config: Of the experiment.
        dataset: What is learned.
        resumed: Whether the run goes on.
        found: What else is kept of data and leaks.

    Returns:
        What `close_record` takes.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    record: dict[str, JSON] = (
        read_json(run.record, what="run")
        if resumed
        else {"started": now, "seconds": 0.0, "seed": config.runtime.seed}
    )
    record.pop("format", None)
    record |= {
        **found,
        "dataset": dataset.fingerprint,
        "threads": config.runtime.threads or runtime.allowed_cores(),
        "versions": runtime.versions(),
        "machine": runtime.machine(),
        "ended": None,
        "resumed": [*_as_list(record.get("resumed")), *([now] if resumed else [])],
    }
    write_json(run.record, record)
    return {**record, "clock": time.monotonic()}


def tally(dataset: Dataset) -> dict[str, JSON]:
    """Images, groups and tiles of each split."""
    rows = {split: dataset.sources_of(split) for split in SPLITS}
    return {
        split: {"images": len(of), "groups": len({row.group for row in of}),
                "tiles": len(dataset.tiles_of(split))}
        for split, of in rows.items()
    }  # fmt: skip


def _as_list(value: JSON) -> list[JSON]:
    return list(value) if isinstance(value, list) else []


def close_record(run: Run, record: Mapping[str, JSON], *, ended: str) -> None:
    """Add how long it took, the largest memory, and why it ended."""
    closed = dict(record)
    begun, seconds = closed.pop("clock"), closed["seconds"]
    assert isinstance(begun, float) and isinstance(seconds, int | float)
    closed["seconds"] = round(seconds + time.monotonic() - begun, 1)
    closed["peak_memory"] = machine.peak_memory()
    write_json(run.record, {**closed, "ended": ended})

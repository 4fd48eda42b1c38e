"""What a page tells of a training: curves, data, calibration, config, versions."""

import math
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import cast

from cervseg.bounds import one_line
from cervseg.errors import DataError
from cervseg.files import read_csv, read_json
from cervseg.reporting.charts import (
    MOST_CHARTS,
    Chart,
    Line,
    reliability_chart,
    training_charts,
    words,
)
from cervseg.reporting.page import PageTable, Subject, Text, as_text
from cervseg.reports import JSON
from cervseg.runs import Run


def read_run(run: Run) -> Subject:
    """Read what `train` wrote: curves, calibration, config, versions."""
    record = read_json(run.record, what="record of a run") if run.record.is_file() else {}
    charts: list[Chart] = []
    if run.history_table.is_file():
        rows = read_csv(run.history_table, ("epoch",), what="history")
        history = {name: [_float(row[name]) for row in rows] for name in (rows[0] if rows else {})}
        charts += training_charts(history)
    charts += _calibration_charts(run)
    texts = [
        Text(path.name, path.read_text(encoding="utf-8", errors="replace"))
        for path in (run.config, run.log)
        if path.is_file()
    ]
    try:
        data = [*_data_table(record)]
    except (AttributeError, TypeError) as exc:
        raise DataError(f"{run.record}: not the record of a run: {one_line(repr(exc))}") from exc
    shown = {k: v for k, v in record.items() if k not in ("format", "data") and v != []}
    if isinstance(peak := record.get("peak_memory"), int):
        shown["peak_memory"] = f"{peak / 1e9:.2f} GB"
    flat = [(words(key), as_text(value)) for key, value in shown.items()]
    table = PageTable("The run", ("", ""), flat, words=True)
    unfinished = () if record.get("ended") or run.whole else ("the training has not ended",)
    told = "one of several trainings" if run.whole else "a training"
    return Subject(
        str(run.folder), told=told, warnings=unfinished,
        tables=(*data, *((table,) if flat else ())),
        charts=tuple(charts), texts=tuple(texts),
    )  # fmt: skip


def _data_table(record: Mapping[str, JSON]) -> Iterator[PageTable]:
    data = cast(dict[str, JSON], record.get("data") or {})
    splits = cast(dict[str, dict[str, JSON]], data.get("splits") or {})
    if not splits:
        return
    columns = ("images", "groups", "tiles")
    rows = [(name, *(str(counts.get(column) or "-") for column in columns))
            for name, counts in splits.items()]  # fmt: skip
    drawn = any(counts.get("images") and not counts.get("tiles") for counts in splits.values())
    if record.get("allowed_leak"):
        note = f"A leak was allowed: {as_text(record['allowed_leak'])}"
    else:
        note = "No group and no picture, by its decoded pixels, is in two of them."
    alike = "; ".join(map(str, cast(list[JSON], data.get("alike") or [])))
    about = "Where there are no tiles, windows are drawn from the images." if drawn else ""
    told = " ".join(filter(None, (note, alike, about)))
    yield PageTable("Data", ("split", *columns), rows, told)


def _calibration_charts(run: Run) -> Iterator[Chart]:
    if not run.calibration.is_file():
        return
    columns = ("temperature", "class", "mean", "share")
    rows = read_csv(run.calibration, columns, what="table of calibration")
    for name in islice(dict.fromkeys(row["class"] for row in rows), MOST_CHARTS):
        lines = []
        for number, temperature in enumerate(dict.fromkeys(row["temperature"] for row in rows)):
            those = [r for r in rows if (r["class"], r["temperature"]) == (name, temperature)]
            label = f"temperature {_float(temperature):g}" + (" (before)" if not number else "")
            lines.append(Line(label, [_float(r["mean"]) for r in those],
                              [_float(r["share"]) for r in those]))  # fmt: skip
        chart = reliability_chart(name, lines)
        yield chart._replace(caption=f"validation images: {chart.caption}")


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan

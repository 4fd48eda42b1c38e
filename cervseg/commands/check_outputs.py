"""What `dataset-check` says: tables for the eye, records for programs, CSV files."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

from cervseg.classes import Classes
from cervseg.data.checks import Finding, Kind, percent
from cervseg.data.examination import Examined
from cervseg.data.fields import SPLITS
from cervseg.data.statistics import FieldStatistics, Outlier, SplitStatistics, sum_up
from cervseg.data.survey import Survey
from cervseg.files import write_csv
from cervseg.reports import JSON, Table

MOST_OUTLIERS = 10
"""Lines of the table; all are in the results."""

STAINS = ("red", "green", "blue")


def findings_table(findings: Sequence[Finding]) -> Table:
    """A line for each kind of finding."""
    rows = []
    for kind, severity, found in by_kind(findings):
        shares = [f.share for f in found if f.share is not None]
        names = list(dict.fromkeys(Path(f.item).name for f in found))
        rows.append(
            (
                kind,
                severity,
                str(len(found)),
                percent(max(shares)) if shares else "-",
                f"{names[0]}: {found[0].message}",
            )
        )
    columns = ("finding", "severity", "how many", "largest share", "for example")
    return Table("what was found", columns, tuple(rows))


def by_kind(findings: Sequence[Finding]) -> Iterator[tuple[Kind, str, list[Finding]]]:
    """The findings of each kind, errors first; of a kind, those with the largest share first."""
    grouped: dict[tuple[str, Kind], list[Finding]] = defaultdict(list)
    for finding in findings:
        grouped[finding.severity, finding.kind].append(finding)
    kinds = get_args(Kind)
    for severity, kind in sorted(grouped, key=lambda key: (key[0], kinds.index(key[1]))):
        yield kind, severity, sorted(grouped[severity, kind], key=lambda f: -(f.share or 0))


def statistics_table(splits: Sequence[SplitStatistics], survey: Survey) -> Table:
    """A line for each split."""
    names = survey.classes.names
    columns = (
        "split", "images", "groups", "tiles", "sizes",
        *(f"{name} pixels" for name in names),
        *(f"{name} objects" for name in names),
        *(f"{name} median area" for name in names),
        "intensity", "stain r g b",
    )  # fmt: skip
    rows = []
    for split in sorted(splits, key=lambda s: rank(s.split)):
        counted = max(1, sum(split.pixels[:-1]))
        rows.append(
            (
                split.split or "all",
                str(split.images),
                str(split.groups),
                str(survey.tiles.get(split.split, "-")),
                f"{_span(split.widths)} x {_span(split.heights)}",
                *(f"{pixels / counted:.2%}" for pixels in split.pixels[1:-1]),
                *map(str, split.objects),
                *("-" if math.isnan(area) else f"{area:.0f}" for area in split.area),
                f"{split.intensity:.0f}",
                " ".join("-" if math.isnan(v) else f"{v:.2f}" for v in split.stain),
            )
        )
    return Table("statistics", columns, tuple(rows))


def rank(split: str) -> int:
    """The place of a split in every table; what has none comes last."""
    return [*SPLITS, ""].index(split)


def _span(ends: tuple[int, int]) -> str:
    return str(ends[0]) if ends[0] == ends[1] else f"{ends[0]}-{ends[1]}"


def outlier_table(outliers: Sequence[Outlier]) -> Table:
    """The farthest, a line each."""
    rows = tuple(
        (o.name, o.quantity, f"{o.value:.4g}", f"{o.typical:.4g}", f"{o.score:+.1f}")
        for o in outliers[:MOST_OUTLIERS]
    )
    columns = ("image", "quantity", "value", "median", "robust z")
    title = f"outliers ({len(outliers)})" if len(outliers) > len(rows) else "outliers"
    return Table(title, columns, rows)


def field_records(
    survey: Survey,
    examined: Sequence[Examined],
    findings: Sequence[Finding],
    *,
    outliers: Sequence[Outlier],
) -> Iterator[dict[str, JSON]]:
    """The results of `--json`: a record each field, then one of what concerns no single field."""
    by_item: dict[str, list[JSON]] = defaultdict(list)
    for finding in findings:
        by_item[finding.item].append(finding._asdict())
    for one in examined:
        name, numbers = one.field.name, one.statistics
        yield {
            "field": name,
            "image": str(one.field.image),
            "origin": str(one.field.origin) if one.field.origin else None,
            "group": one.field.group,
            "split": one.field.split,
            "sha256": one.sha256,
            "phash": one.phash,
            "statistics": numbers._asdict() if numbers else None,
            "outlier": [o._asdict() for o in outliers if o.name == name],
            "findings": by_item.pop(name, []),
        }
    rows = [one.statistics for one in examined if one.statistics]
    yield {
        "field": None,
        "splits": [split._asdict() for split in sum_up(rows)],
        "tiles": dict(survey.tiles),
        "findings": [finding for rest in by_item.values() for finding in rest],
    }


def write_findings(
    folder: Path,
    findings: Sequence[Finding],
    rows: Sequence[FieldStatistics],
    *,
    classes: Classes,
) -> list[Path]:
    """Write `findings.csv` and `fields.csv`."""
    table, numbers = folder / "findings.csv", folder / "fields.csv"
    write_csv(table, Finding._fields, findings)
    columns = (
        "name", "split", "group", "height", "width", "background",
        *classes.names, "ignored", *(f"{name}_objects" for name in classes.names),
        "intensity", "contrast", *(f"stain_{colour}" for colour in STAINS),
    )  # fmt: skip
    write_csv(
        numbers,
        columns,
        [
            (*row[:5], *row.pixels, *map(len, row.areas), row.intensity, row.contrast, *row.stain)
            for row in rows
        ],
    )
    return [table, numbers]

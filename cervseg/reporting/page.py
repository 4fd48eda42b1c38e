"""One page that a person reads: what is on it, and how it becomes HTML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cervseg.reporting.charts import Chart
from cervseg.reports import JSON


@dataclass(frozen=True)
class PageTable:
    """A table of a page.

    Args:
        title: Over it.
        columns: Its head.
        rows: Of words.
        note: Between title and table.
        sortable: By a click on a column.
        words: Of sentences, so to the left.
    """

    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    note: str = ""
    sortable: bool = False
    words: bool = False


class Headline(NamedTuple):
    """A number that is read first."""

    label: str
    value: str
    detail: str


class Field(NamedTuple):
    """An image and, transparent, truth and prediction over it, as `data:` addresses."""

    caption: str
    image: str
    truth: str
    prediction: str


class Cell(NamedTuple):
    """The picture of a cell, as a `data:` address."""

    caption: str
    image: str


class Cells(NamedTuple):
    """Pictures of one kind; `told` says what is on each."""

    title: str
    pictures: list[Cell]
    told: str = "truth on the left, prediction on the right"


class Text(NamedTuple):
    """A file as it is."""

    title: str
    body: str


@dataclass(frozen=True)
class Subject:
    """An evaluation or a run, ready to be shown.

    Args:
        name: Its heading, the folder.
        told: What it is, in a line.
        warnings: What a reader must know first.
        headline: Numbers that are read first.
        tables: In order.
        charts: Curves.
        fields: Worst and best images.
        cells: What went wrong, by fate.
        texts: Files, folded.
        scores: By class and score, the values of each image by its name; for comparisons.
    """

    name: str
    told: str = ""
    warnings: tuple[str, ...] = ()
    headline: tuple[Headline, ...] = ()
    tables: tuple[PageTable, ...] = ()
    charts: tuple[Chart, ...] = ()
    fields: tuple[Field, ...] = ()
    cells: tuple[Cells, ...] = ()
    texts: tuple[Text, ...] = ()
    scores: Mapping[tuple[str, str], Mapping[str, float]] | None = None


class Comparison(NamedTuple):
    """Evaluations side by side; `records` says for programs what the table says."""

    note: str
    table: PageTable
    records: tuple[Mapping[str, JSON], ...] = ()


def as_text(value: JSON, depth: int = 0) -> str:
    """A value of a JSON file as a person reads it, a line for each key."""
    if isinstance(value, Mapping):
        lines = [f"{key}: {as_text(part, depth + 1)}" for key, part in value.items()]
        return "\n".join(lines) if depth == 0 else ", ".join(lines)
    if isinstance(value, list | tuple):
        return ", ".join(as_text(part, depth + 1) for part in value)
    return "" if value is None else str(value)


def render(title: str, subjects: Sequence[Subject], comparison: Comparison | None = None) -> str:
    """The page; whatever comes from files is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("cervseg.reporting"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    template = environment.get_template("report.html")
    return template.render(title=title, subjects=subjects, comparison=comparison)

"""`cervseg report`: runs and evaluations to one HTML page."""

from collections.abc import Sequence
from pathlib import Path

from cervseg.errors import ConfigError, OutputError
from cervseg.files import write_bytes
from cervseg.reporting.comparison import compare
from cervseg.reporting.page import Comparison, render
from cervseg.reporting.subjects import read_subjects
from cervseg.reports import Report, Table

NAME = "report.html"

GENERATOR, MARKED_WITHIN = b'<meta name="generator" content="cervseg">', 400
"""By which a page is known as ours, and before which byte that stands."""


def report(folders: Sequence[Path | str], *, output: Path | str | None = None) -> Report:
    """Write one page about runs and evaluations; several are also compared.

    A page that was written by this function is replaced.

    Args:
        folders: What `train` and `evaluate` wrote.
        output: The page; default: `report.html` in the folder, or here for several folders.

    Returns:
        Where evaluations were compared, a result for each score: how far it differs.

    Raises:
        ConfigError: No folder.
        DataError: One is neither a run nor an evaluation, or broken.
        OutputError: The file is there and is another, or it can't be written.
    """
    paths = [Path(folder) for folder in folders]
    if not paths:
        raise ConfigError("report needs a folder", hint="cervseg report runs/cells")
    page = Path(output) if output else (paths[0] / NAME if len(paths) == 1 else Path(NAME))
    if page.exists() and not _is_report(page):
        raise OutputError(f"{page}: the file exists, and is no report", hint="another --output")
    compared = write_page(paths, page)
    if compared is None:
        return Report("report", output=page, paths=(page,))
    rows = tuple(tuple(row) for row in compared.table.rows)
    table = Table("side by side", compared.table.columns, rows)
    return Report("report", output=page, results=compared.records, paths=(page,),
                  notices=(compared.note,), tables=(table,) if rows else ())  # fmt: skip


def _is_report(page: Path) -> bool:
    if not page.is_file():  # a folder, say
        return False
    with page.open("rb") as file:
        return GENERATOR in file.read(MARKED_WITHIN)


def write_page(paths: Sequence[Path], page: Path) -> Comparison | None:
    """Write a page about folders, whatever is there; return how they compare, if they do."""
    subjects = [subject for path in paths for subject in read_subjects(path)]
    title = f"cervseg: {paths[0]}" + (f" and {len(paths) - 1} more" if len(paths) > 1 else "")
    compared = compare(subjects)
    text = render(title, subjects, compared)
    write_bytes(page, text.encode("utf-8", "backslashreplace"))  # names may be no UTF-8
    return compared

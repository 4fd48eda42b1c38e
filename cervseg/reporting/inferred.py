"""What a page tells of an output folder: objects of each image, and where to look first."""

from pathlib import Path

from cervseg.bounds import one_line, stays_below
from cervseg.errors import DataError
from cervseg.files import read_csv
from cervseg.reporting.embedded import MOST_BYTES, address
from cervseg.reporting.page import Cell, Cells, PageTable, Subject

MOST_PLACES = 48
"""In a page; the table has all."""


def read_output(folder: Path) -> Subject:
    """Read what `infer` or `tiled-infer` wrote.

    Raises:
        DataError: A table is broken.
    """
    columns = ("image", "class", "objects", "pixels", "tiles", "skipped", "seam")
    rows = [
        tuple(row[name] for name in columns)
        for path in sorted(folder.glob("summary*.csv"))
        for row in read_csv(path, columns, what="summary")
    ]
    note = (
        "A click on a column sorts by it. seam: how much more the probability changes across the "
        "borders of tiles than elsewhere; 1 is seamless."
    )
    table = PageTable("Images", columns, rows, note, sortable=True)
    return Subject(
        str(folder), told=f"masks of images: {len({row[0] for row in rows})}", tables=(table,),
        cells=_places(folder),
    )  # fmt: skip


def _places(folder: Path) -> tuple[Cells, ...]:
    columns = ("pixels_expected_wrong", "image", "rank_in_image", "top", "left")
    rows = [
        row
        for path in folder.glob("look_first*.csv")
        for row in read_csv(path, columns, what="ranking of places")
    ]
    try:
        rows.sort(key=lambda row: -float(row["pixels_expected_wrong"]))
    except ValueError as exc:
        raise DataError(f"{folder}: not a ranking of places: {one_line(exc)}") from exc
    cells, left = [], MOST_BYTES
    for row in rows[:MOST_PLACES]:
        name = f"{row['image']}.{row['rank_in_image']}.jpg"
        if not stays_below(name):
            raise DataError(
                f"{folder}: not a ranking of places: a picture called {one_line(repr(name))}"
            )
        path = folder / "look_first" / name
        if not path.is_file() or (left := left - path.stat().st_size) < 0:
            continue
        where = f"{row['image']}, {row['left']} across, {row['top']} down"
        told = f"{where}: {row['pixels_expected_wrong']} pixels expected to be wrong"
        cells.append(Cell(told, address(path)))
    return (Cells("Look here first", cells, "the mask over the image"),) if cells else ()

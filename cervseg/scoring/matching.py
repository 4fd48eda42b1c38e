"""What became of each cell: found, missed, merged with others, split, or never there."""

from collections import Counter, defaultdict
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cervseg.grid import Window

Fate = Literal["found", "rough", "merged", "split", "missed", "extra"]

FATES: tuple[Fate, ...] = ("found", "rough", "merged", "split", "missed", "extra")

MATCH = 0.5
"""Intersection over union, above which a cell and an object are one."""

SHARE = 0.25
"""Of a cell that an object must cover, or of an object that must lie in a cell, to be its part."""

_EIGHT = np.ones((3, 3), np.uint8)


class Sorted(NamedTuple):
    """A cell of the truth, or an object of the prediction that is none.

    Args:
        fate: found: an object's IoU with the cell is above 0.5; merged: an object covers this and
            another cell; split: two objects or more share the cell; rough: half of it is covered
            all the same; missed: it is not; extra: an object that is part of no cell.
        window: The smallest that holds it.
        area: Pixels.
        iou: The largest with an object.
    """

    fate: Fate
    window: Window
    area: int
    iou: float


def sort_objects(
    true: NDArray[np.bool_],
    predicted: NDArray[np.bool_],
    *,
    min_size: int = 200,
    cells: NDArray[np.uint16] | None = None,
) -> list[Sorted]:
    """Say of each cell what became of it, then which objects are no cells.

    Args:
        true: Shape (height, width).
        predicted: Same shape.
        min_size: Smaller components are neither cells nor objects, pixels.
        cells: A number for each annotated cell, same shape, so that cells that touch are told
            apart.
    """
    sought = ndimage.label(true, _EIGHT)[0] if cells is None else np.where(true, cells, 0)
    found = ndimage.label(predicted, _EIGHT)[0]
    cell_areas, object_areas = np.bincount(sought.ravel()), np.bincount(found.ravel())
    meetings = _meetings(sought, found, areas=(cell_areas, object_areas))
    counts = {n for n in np.flatnonzero(cell_areas >= min_size).tolist() if n}
    parts = [m for m in meetings if m.cell in counts and object_areas[m.number] >= min_size]
    covered = Counter(m.number for m in parts if m.covers)
    of_cell: dict[int, list[_Meeting]] = defaultdict(list)
    for part in parts:
        of_cell[part.cell].append(part)
    common = Counter[int]()
    for meeting in meetings:  # a speck is no object, but it does cover
        common[meeting.cell] += meeting.common
    windows = ndimage.find_objects(sought)
    rows = []
    for cell in sorted(counts):
        here, area = of_cell[cell], int(cell_areas[cell])
        best = max((m.iou for m in here), default=0.0)
        if best > MATCH:
            fate: Fate = "found"
        elif any(m.covers and covered[m.number] > 1 for m in here):
            fate = "merged"
        elif sum(m.lies_in for m in here) > 1:
            fate = "split"
        else:
            fate = "rough" if 2 * common[cell] >= area else "missed"
        rows.append(Sorted(fate, _window(windows[cell - 1]), area, best))
    touched = {m.number for m in parts if m.covers or m.lies_in}
    largest: dict[int, float] = defaultdict(float)
    for meeting in meetings:
        largest[meeting.number] = max(largest[meeting.number], meeting.iou)
    for number, box in enumerate(ndimage.find_objects(found), start=1):
        area = int(object_areas[number])
        if area >= min_size and number not in touched:
            rows.append(Sorted("extra", _window(box), area, largest[number]))
    return rows


class _Meeting(NamedTuple):
    """A cell and an object that share pixels.

    Args:
        cell: Its number.
        number: The object's.
        common: Pixels that they share.
        covers: Whether that is a quarter of the cell.
        lies_in: Whether that is a quarter of the object.
        iou: Of the two.
    """

    cell: int
    number: int
    common: int
    covers: bool
    lies_in: bool
    iou: float


def _meetings(
    sought: NDArray[Any], found: NDArray[Any], *, areas: tuple[NDArray[np.int64], ...]
) -> list[_Meeting]:
    """All of them: few, however many cells and objects there are."""
    both = (sought > 0) & (found > 0)
    keys = sought[both].astype(np.int64) * (len(areas[1]) + 1) + found[both]
    pairs, shared = np.unique(keys, return_counts=True)
    meetings = []
    for pair, common in zip(pairs.tolist(), shared.tolist(), strict=True):
        cell, number = divmod(pair, len(areas[1]) + 1)
        of_cell, of_object = int(areas[0][cell]), int(areas[1][number])
        meetings.append(
            _Meeting(cell, number, common, common >= SHARE * of_cell, common >= SHARE * of_object,
                     common / (of_cell + of_object - common))
        )  # fmt: skip
    return meetings


def _window(box: tuple[slice, ...] | None) -> Window:
    assert box is not None  # only of a number that no pixel has
    rows, columns = box
    return Window(rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start)

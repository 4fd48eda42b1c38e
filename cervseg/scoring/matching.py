"""What became of each cell: found, missed, merged with others, split, or never there."""

from typing import Literal, NamedTuple

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
            all the same; missed: it is not; extra: an object of which no cell has a quarter.
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
    common = np.zeros((len(cell_areas), len(object_areas)), np.int64)
    both = (sought > 0) & (found > 0)
    np.add.at(common, (sought[both], found[both]), 1)
    counts = np.flatnonzero(cell_areas >= min_size)
    counts = counts[counts > 0]
    of_cell = common >= SHARE * np.maximum(cell_areas, 1)[:, None]  # covers a quarter of the cell
    of_object = common >= SHARE * np.maximum(object_areas, 1)  # lies in it to a quarter
    union = cell_areas[:, None] + object_areas - common
    iou = np.where(common > 0, common / np.maximum(union, 1), 0.0)
    windows = ndimage.find_objects(sought)
    rows = []
    for cell in counts.tolist():
        shared = [n for n in np.flatnonzero(of_cell[cell]).tolist() if n]
        best = float(iou[cell].max())
        if best > MATCH:
            fate: Fate = "found"
        elif any(np.count_nonzero(of_cell[counts, n]) > 1 for n in shared):
            fate = "merged"
        elif np.count_nonzero((common[cell] > 0) & of_object[cell]) > 1:
            fate = "split"
        else:
            fate = "rough" if 2 * common[cell].sum() >= cell_areas[cell] else "missed"
        rows.append(Sorted(fate, _window(windows[cell - 1]), int(cell_areas[cell]), best))
    touched = set(np.flatnonzero(np.any((of_cell | of_object)[1:], axis=0)).tolist())
    for number, box in enumerate(ndimage.find_objects(found), start=1):
        if object_areas[number] >= min_size and number not in touched:
            largest = float(iou[:, number].max())
            rows.append(Sorted("extra", _window(box), int(object_areas[number]), largest))
    return rows


def _window(box: tuple[slice, ...]) -> Window:
    rows, columns = box
    return Window(rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start)

import numpy as np
import pytest

from cervseg.grid import Window
from cervseg.scoring.matching import FATES, sort_objects
from cervseg.scoring.objects import object_scores


def boxes(*places, shape=(61, 143)):
    """Rectangles: top, left, height, width."""
    mask = np.zeros(shape, bool)
    for top, left, height, width in places:
        mask[top : top + height, left : left + width] = True
    return mask


CELL = (10, 10, 20, 20)


@pytest.mark.parametrize(
    ("true", "predicted", "fates"),
    [
        ([CELL], [CELL], ["found"]),
        ([CELL], [(12, 12, 20, 20)], ["found"]),
        ([CELL], [], ["missed"]),
        ([CELL], [(10, 10, 20, 4)], ["missed"]),
        ([CELL], [(10, 10, 35, 50)], ["rough"]),  # covered, but by something far larger
        ([CELL, (10, 40, 20, 20)], [(10, 10, 20, 50)], ["merged", "merged"]),
        ([(10, 10, 20, 30)], [(10, 10, 20, 14), (10, 25, 20, 14)], ["split"]),
        ([CELL], [(10, 10, 1, 1), (20, 20, 1, 1)], ["missed"]),  # specks share nothing
        ([CELL], [(10, 10, 9, 20), (20, 10, 9, 20)], ["rough"]),  # but they cover
        ([(40, 90, 3, 3)], [(35, 80, 20, 20)], ["extra"]),  # on a speck there is no cell
        ([CELL], [CELL, (40, 100, 15, 20)], ["found", "extra"]),
        ([CELL], [CELL, (40, 100, 5, 5)], ["found"]),  # a speck is no object
        ([], [(40, 100, 15, 20)], ["extra"]),
        ([], [], []),
    ],
)
def test_the_fate_of_each_cell(true, predicted, fates):
    rows = sort_objects(boxes(*true), boxes(*predicted))

    assert [row.fate for row in rows] == fates
    cells = [row for row in rows if row.fate != "extra"]
    for row, box in zip(cells, true, strict=False):
        assert row.window == Window(*box) and row.area == box[2] * box[3]


def test_cells_that_touch_are_told_apart_by_their_numbers():
    true = boxes((10, 10, 20, 40))
    cells = np.zeros(true.shape, np.uint16)
    cells[10:30, 10:30], cells[10:30, 30:50] = 3, 7

    rows = sort_objects(true, true, cells=cells)

    assert [(row.fate, row.iou) for row in rows] == [("merged", 0.5), ("merged", 0.5)]


@pytest.mark.parametrize("seed", range(8))
def test_those_found_are_the_matches_of_the_panoptic_quality(seed):
    rng = np.random.default_rng(seed)
    places = [(*rng.integers(0, 40, 2) * (1, 3), *rng.integers(8, 25, 2)) for _ in range(6)]
    moved = [(top + rng.integers(0, 7), left, height, width) for top, left, height, width in places]
    true, predicted = boxes(*places), boxes(*moved)

    rows = sort_objects(true, predicted)

    scores = object_scores(true, predicted)
    ious = [row.iou for row in rows if row.fate == "found"]
    assert len(rows) - sum(row.fate == "extra" for row in rows) == scores.cells
    if ious:
        assert np.mean(ious) == pytest.approx(scores.segmentation_quality)
    assert {row.fate for row in rows} <= set(FATES)

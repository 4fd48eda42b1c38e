import numpy as np
import pytest

from cervseg.grid import TileGrid
from cervseg.inference.bands import Band
from cervseg.inference.parts import BandList
from cervseg.inference.seams import seam_score

GRID = TileGrid(60, 88, 20, 8, 4)


def parts_of(answer, grid=GRID):
    parts = BandList(grid, 1)
    ends = [*grid.starts(grid.height), grid.height]
    for number, (top, end) in enumerate(zip(ends, ends[1:], strict=False)):
        parts.add(number, Band(top, answer[top:end, :, None].astype(np.float32)))
    return parts


def noise():
    return np.random.default_rng(0).random((GRID.height, GRID.width)) * 0.5


def test_noise_has_no_seams():
    assert seam_score(parts_of(noise()), 60, 88, margin=0) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("margin", [0, 3])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_step_at_one_border_is_seen(margin, axis):
    answer = noise()
    length = answer.shape[axis]
    border = GRID.starts(length)[1] + margin
    answer += 0.5 * (np.arange(length) >= border).reshape(-1 if axis == 0 else 1, -1 if axis else 1)

    here = seam_score(parts_of(answer), 60, 88, margin=margin)
    other = seam_score(parts_of(answer), 60, 88, margin=margin + 1)

    assert here > 1.05
    assert here > other


def test_what_lies_in_the_padding_does_not_count():
    answer = noise()
    padded = answer.copy()
    padded[51:], padded[:, 77:] = 1, 0

    scores = [seam_score(parts_of(each), 51, 77, margin=0) for each in (answer, padded)]

    assert scores[0] == scores[1]


@pytest.mark.parametrize(("height", "width"), [(1, 88), (60, 1), (1, 1)])
def test_a_row_or_a_column_of_one_pixel_has_no_neighbours_to_change(height, width):
    score = seam_score(parts_of(noise()), height, width, margin=0)

    assert score == pytest.approx(1, abs=0.4) if height * width > 1 else score is None


def test_without_borders_or_changes_there_is_no_score():
    grid = TileGrid(20, 20, 20, 0, 4)
    assert seam_score(parts_of(np.eye(20), grid), 20, 20, margin=0) is None
    assert seam_score(parts_of(np.zeros((60, 88))), 60, 88, margin=0) is None

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cervseg.grid import TileGrid, Window, round_up


@st.composite
def grids(draw):
    """Any grid that is allowed, small."""
    align = draw(st.integers(1, 8))
    size = draw(st.integers(1, 12)) * align
    overlap = draw(st.integers(0, size - align))
    height, width = (align * draw(st.integers(1, 52)) for _ in range(2))
    return TileGrid(height, width, size, overlap, align)


@given(grids())
def test_the_tiles_cover_every_pixel_and_never_leave_the_image(grid):
    covered = np.zeros((grid.height, grid.width), bool)

    for window in grid:
        assert window.top >= 0 and window.bottom <= grid.height
        assert window.left >= 0 and window.right <= grid.width
        covered[window.top : window.bottom, window.left : window.right] = True

    assert covered.all()


@given(grids())
def test_neighbours_share_at_least_the_overlap(grid):
    for length in (grid.height, grid.width):
        assert all(a + grid.size - b >= grid.overlap for a, b in pairwise(grid.starts(length)))


@given(grids())
def test_every_tile_starts_on_the_stride(grid):
    assert all(w.top % grid.align == w.left % grid.align == 0 for w in grid)


@given(grids())
def test_the_tiles_are_spread_evenly(grid):
    for length in (grid.height, grid.width):
        steps = [b - a for a, b in pairwise(grid.starts(length))]
        assert not steps or max(steps) - min(steps) <= grid.align


@given(grids())
def test_no_grid_with_fewer_tiles_would_do(grid):
    step = (grid.size - grid.overlap) // grid.align * grid.align  # the longest allowed
    for length in (grid.height, grid.width):
        fewer = len(grid.starts(length)) - 1
        assert fewer == 0 or grid.size + (fewer - 1) * step < length


@given(grids())
def test_the_length_of_a_grid_is_the_number_of_its_tiles(grid):
    assert len(grid) == len(list(grid)) == len(set(grid))


@given(grids())
def test_tiles_are_squares_unless_the_image_is_shorter(grid):
    sides = min(grid.size, grid.height), min(grid.size, grid.width)

    assert all((window.height, window.width) == sides for window in grid)


def test_tiles_come_in_rows_from_the_top_left():
    tiles = list(TileGrid(height=7, width=11, size=5, overlap=2))

    assert tiles == [
        Window(0, 0, 5, 5), Window(0, 3, 5, 5), Window(0, 6, 5, 5),
        Window(2, 0, 5, 5), Window(2, 3, 5, 5), Window(2, 6, 5, 5),
    ]  # fmt: skip


def test_an_image_of_one_tile_has_one_window():
    assert list(TileGrid(8, 8, 8, 4, 2)) == [Window(0, 0, 8, 8)]


def test_a_window_knows_the_first_row_and_column_beyond_it():
    window = Window(top=3, left=5, height=7, width=11)

    assert (window.bottom, window.right) == (10, 16)


@given(st.integers(1, 500), st.integers(1, 60), st.integers(1, 9))
def test_a_padded_side_is_the_shortest_that_takes_a_tile_on_the_stride(length, tiles, align):
    size = tiles * align

    padded = TileGrid.padded(length, size, align)

    assert padded >= max(length, size) and padded % align == 0
    assert padded == size or padded - align < length


@given(st.integers(0, 500), st.integers(1, 60))
def test_rounding_up_gives_the_next_multiple(length, multiple):
    rounded = round_up(length, multiple)

    assert rounded % multiple == 0 and length <= rounded < length + multiple


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ({"height": 30, "width": 33, "size": 8, "align": 4}, "is off the stride 4"),
        ({"height": 32, "width": 32, "size": 6, "align": 4}, "is off the stride 4"),
        ({"height": 32, "width": 0, "size": 32}, "is off the stride 1"),
        ({"height": 32, "width": 32, "size": 8, "overlap": 8}, "the overlap leaves no step"),
        ({"height": 32, "width": 32, "size": 8, "overlap": 5, "align": 4}, "leaves no step"),
        ({"height": 32, "width": 32, "size": 8, "overlap": -1}, "the overlap leaves no step"),
    ],
)
def test_a_grid_that_can_not_be_is_refused(lengths, message):
    with pytest.raises(ValueError, match=message):
        TileGrid(**lengths)

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cervseg.grid import TileGrid
from cervseg.inference.blending import axis_weights


@st.composite
def axes(draw):
    """A grid, one side of it, and a margin that leaves no gap."""
    align = draw(st.integers(1, 8))
    size = draw(st.integers(1, 20)) * align
    overlap = draw(st.integers(0, size - align))
    length = align * draw(st.integers(1, 80))
    return TileGrid(length, length, size, overlap, align), draw(st.integers(0, overlap // 2))


@given(axes())
def test_the_weights_add_up_to_one_at_every_pixel(axis):
    grid, margin = axis

    total = np.zeros(grid.height)
    for start, weights in zip(
        grid.starts(grid.height), axis_weights(grid, grid.height, margin), strict=True
    ):
        side = min(grid.size, grid.height)
        assert weights.shape == (side,) and weights.dtype == np.float32
        assert (weights >= 0).all()
        total[start : start + side] += weights

    np.testing.assert_allclose(total, 1, atol=1e-6)


@given(axes())
def test_a_tile_counts_nothing_within_the_margin_of_a_cut_edge(axis):
    grid, margin = axis

    for start, weights in zip(
        grid.starts(grid.height), axis_weights(grid, grid.height, margin), strict=True
    ):
        if start > 0:
            assert (weights[:margin] == 0).all()
        if start + grid.size < grid.height:
            assert (weights[grid.size - margin :] == 0).all()


@given(axes())
def test_at_the_border_of_the_image_nothing_is_lost(axis):
    grid, margin = axis

    weights = axis_weights(grid, grid.height, margin)

    assert weights[0][0] == weights[-1][-1] == 1


def test_a_single_tile_counts_in_full():
    assert axis_weights(TileGrid(16, 16, 16, 8), 16, 4)[0].tolist() == [1.0] * 16


def test_between_tiles_the_weight_passes_smoothly_from_one_to_the_other():
    first, second = axis_weights(TileGrid(112, 112, 64, 16), 112, 4)

    fading = first[48:]
    assert (np.diff(fading) <= 0).all() and (fading[:4] == 1).all() and (fading[-4:] == 0).all()
    assert np.abs(np.diff(fading)).max() < 0.3
    np.testing.assert_allclose(second[:16], 1 - fading, atol=1e-6)


def test_the_two_sides_of_a_grid_have_weights_of_their_own():
    grid = TileGrid(height=16, width=40, size=16, overlap=4)

    assert [len(axis_weights(grid, n, 2)) for n in (grid.height, grid.width)] == [1, 3]


@pytest.mark.parametrize("overlap", [7, 9])
def test_an_odd_overlap_leaves_no_gap(overlap):
    grid = TileGrid(50, 50, 20, overlap)
    total = np.zeros(50)
    for start, weights in zip(grid.starts(50), axis_weights(grid, 50, overlap // 2), strict=True):
        total[start : start + 20] += weights

    np.testing.assert_allclose(total, 1, atol=1e-6)

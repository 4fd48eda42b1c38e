import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cervseg.grid import TileGrid
from cervseg.images.resampling import apply_filters, axis_filter
from cervseg.inference.bands import Band
from cervseg.inference.parts import STEPS, BandList, to_steps
from cervseg.inference.probability import Blurred, Channels, Combined, Steps
from cervseg.inference.rows import RowArray

GRID = TileGrid(60, 48, 20, 8, 4)


def random(height, width, channels=2):
    return np.random.default_rng(height).random((height, width, channels)).astype(np.float32)


@pytest.fixture(scope="module")
def parts():
    kept = BandList(GRID, 2)
    answer = random(GRID.height, GRID.width)
    ends = [*GRID.starts(GRID.height), GRID.height]
    for number, (top, end) in enumerate(zip(ends, ends[1:], strict=False)):
        kept.add(number, Band(top, answer[top:end]))
    return kept


def in_pieces(rows, step):
    tops = range(0, rows.height, step)
    return np.concatenate([rows.read(top, min(step, rows.height - top)) for top in tops])


@given(
    view=st.tuples(st.integers(1, 60), st.integers(1, 48)),
    target=st.tuples(st.integers(1, 130), st.integers(1, 100)),
    step=st.integers(1, 40),
)
def test_rows_in_the_images_grid_are_the_same_in_any_pieces(parts, *, view, target, step):
    rows = Steps(parts, *view, target=target)

    whole = rows.read(0, target[0])

    assert whole.shape == (*target, 2) and whole.dtype == np.float32
    np.testing.assert_array_equal(in_pieces(rows, step), whole)
    _, down = axis_filter(0, target[0], source=view[0], target=target[0])
    _, across = axis_filter(0, target[1], source=view[1], target=target[1])
    answer = to_steps(random(60, 48))[: view[0], : view[1]] / STEPS
    expected = apply_filters(answer, down, across)
    np.testing.assert_allclose(whole, expected, atol=1e-6)


@given(
    sigma=st.floats(0.3, 6),
    step=st.integers(1, 30),
    height=st.integers(1, 50),
    width=st.integers(1, 60),
)
def test_blurred_rows_are_the_same_in_any_pieces(*, sigma, step, height, width):
    rows = Blurred(RowArray(random(height, width)), sigma)

    np.testing.assert_array_equal(in_pieces(rows, step), rows.read(0, height))


def test_two_answers_are_joined_and_channels_chosen():
    first, second = random(9, 7), random(9, 7)[::-1].copy()

    mean = Combined(RowArray(first), RowArray(second), "mean").read(2, 3)
    least = Combined(RowArray(first), RowArray(second), "minimum").read(2, 3)

    np.testing.assert_allclose(mean, (first[2:5] + second[2:5]) / 2)
    np.testing.assert_array_equal(least, np.minimum(first[2:5], second[2:5]))
    chosen = Channels(RowArray(first), 1, 2).read(0, 9)
    np.testing.assert_array_equal(chosen, first[..., 1:])

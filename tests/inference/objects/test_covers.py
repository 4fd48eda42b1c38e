import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cervseg.inference.objects import covers
from cervseg.inference.objects.covers import Cover, join_covers
from cervseg.inference.objects.runs import find_runs


@st.composite
def pictures(draw):
    """Noise of any density, odd sizes down to a row or a column, and some part of it."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    picture = rng.random(rng.integers(1, 30, 2)) < rng.choice([0.2, 0.5, 0.8])
    picture[0, -1] = True
    return picture, picture & (rng.random(picture.shape) < 0.5)


def cover_of(picture):
    runs = find_runs(picture.astype(np.uint8))
    return Cover(1, np.stack(runs.take(runs.value > 0)[:3]))


def painted(cover, shape):
    """The pixels of the image that a cover holds."""
    step = cover.step
    side = [length // step + 1 for length in shape]
    coarse = np.zeros(side, bool)
    for row, left, right in cover.runs.T:
        coarse[row, left:right] = True
    return np.kron(coarse, np.ones((step, step), bool))[: shape[0], : shape[1]]


def blocks(picture, step):
    """Pixels so many times as wide that hold some of it, painted."""
    down, right = (-length % step for length in picture.shape)
    padded = np.pad(picture, [(0, down), (0, right)])
    rows, columns = padded.shape
    coarse = padded.reshape(rows // step, step, columns // step, step).any(axis=(1, 3))
    return np.kron(coarse, np.ones((step, step), bool))[: picture.shape[0], : picture.shape[1]]


@given(pictures(), st.integers(1, 20))
def test_a_coarser_cover_holds_what_holds_some_of_the_object(pictures, most):
    picture, _ = pictures

    found = cover_of(picture).within(most)

    assert found.step > 1 and found.runs.shape[1] <= most
    np.testing.assert_array_equal(painted(found, picture.shape), blocks(picture, found.step))


@given(pictures(), st.integers(1, 20))
def test_a_part_never_needs_coarser_pixels_than_the_whole(pictures, most):
    picture, part = pictures

    if part.any():
        assert cover_of(part).within(most).step <= cover_of(picture).within(most).step


@given(pictures())
def test_what_touches_is_one_run(pictures):
    picture, _ = pictures
    cover = cover_of(picture).coarser()
    expected = find_runs(painted(cover, picture.shape)[::2, ::2].astype(np.uint8))

    runs = cover.as_runs(1)

    for column, wanted in zip(runs[:3], expected.take(expected.value > 0)[:3], strict=True):
        np.testing.assert_array_equal(column, wanted)


@given(pictures(), st.integers(1, 20), st.integers(1, 9))
def test_covers_are_joined_in_any_order_and_never_grow_too_large(pictures, most, rows):
    picture, _ = pictures
    parts = []
    for top in range(0, len(picture), rows):
        part = np.zeros_like(picture)
        part[top : top + rows] = picture[top : top + rows]
        if part.any():
            parts.append(cover_of(part))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(covers, "MOST_RUNS", most)
        joined, other = join_covers(parts), join_covers(reversed(parts))

        whole = cover_of(picture).reduced()
        for each in (joined, other):
            assert each.runs.shape[1] <= 4 * most
            assert each.step == 1 or cover_of(picture).runs.shape[1] > 4 * most
            assert each.reduced().step == whole.step
            np.testing.assert_array_equal(each.reduced().runs, whole.runs)
        assert len(whole.as_runs(1).row) <= most

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cervseg.images.resampling import (
    apply_filters,
    axis_filter,
    nearest_indices,
    resample_rgb,
)

LENGTH = st.integers(1, 200)
SIDE = st.integers(1, 40)


def whole_axis(source, target):
    """The full weight matrix (target, source)."""
    start, weights = axis_filter(0, target, source=source, target=target)
    full = np.zeros((target, source))
    full[:, start : start + weights.sources] = dense(weights)
    return full


def dense(weights):
    """The weights of a filter as a matrix (targets, sources)."""
    matrix = np.zeros((weights.targets, weights.sources))
    for block in weights.blocks:
        matrix[block.target, block.source] = block.weights
    return matrix


@given(LENGTH, LENGTH)
def test_the_weights_of_a_pixel_are_none_negative_and_add_up_to_exactly_one(source, target):
    weights = whole_axis(source, target)

    assert (weights >= 0).all()
    assert (weights.sum(axis=1) == 1).all()
    assert (weights * 2**14 % 1 == 0).all(), "sums of such weights times bytes are exact"


@pytest.mark.parametrize(("source", "target"), [(20_011, 3), (70_001, 2), (9_973, 1), (8_192, 1)])
def test_a_great_reduction_still_takes_a_mean(source, target):
    ramp = np.linspace(0, 255, source)
    weights = whole_axis(source, target)

    assert (weights >= 0).all() and (weights.sum(axis=1) == 1).all()
    centres = (np.arange(target) + 0.5) * source / target - 0.5
    np.testing.assert_allclose(weights @ ramp, ramp[np.rint(centres).astype(int)], atol=80)


@given(LENGTH, LENGTH, st.data())
def test_a_part_of_an_axis_has_the_weights_of_the_whole_bit_for_bit(source, target, data):
    first = data.draw(st.integers(0, target - 1))
    count = data.draw(st.integers(1, target - first))

    start, part = axis_filter(first, count, source=source, target=target)

    rows = np.zeros((count, source))
    rows[:, start : start + part.sources] = dense(part)
    np.testing.assert_array_equal(rows, whole_axis(source, target)[first : first + count])


@given(LENGTH)
def test_an_unchanged_length_changes_nothing(length):
    np.testing.assert_array_equal(whole_axis(length, length), np.eye(length))


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_reducing_keeps_the_mean(factor):
    """Away from the edges every source pixel counts as much as any other."""
    weights = whole_axis(20 * factor, 20).sum(axis=0)

    np.testing.assert_allclose(weights[2 * factor : -2 * factor], 1 / factor, atol=factor / 2**13)


@given(st.integers(2, 60), st.integers(2, 60))
def test_a_ramp_stays_a_ramp_away_from_its_ends(source, target):
    assume(target >= source)
    ramp = whole_axis(source, target) @ np.arange(source)

    centres = (np.arange(target) + 0.5) * source / target - 0.5
    expected = np.clip(centres, 0, source - 1)
    np.testing.assert_allclose(ramp, expected, atol=source / 2**13)


@given(LENGTH, LENGTH, st.data())
def test_a_mask_pixel_looks_at_the_source_pixel_under_its_centre(source, target, data):
    first = data.draw(st.integers(0, target - 1))

    indices = nearest_indices(first, target - first, source=source, target=target)

    for i, index in enumerate(indices.tolist(), start=first):  # in integers: no rounding
        assert 2 * target * index <= (2 * i + 1) * source < 2 * target * (index + 1)


def test_halving_and_doubling_a_mask_axis_as_by_hand():
    assert nearest_indices(0, 3, source=6, target=3).tolist() == [1, 3, 5]
    assert nearest_indices(0, 6, source=3, target=6).tolist() == [0, 0, 1, 1, 2, 2]


def test_both_axes_are_filtered_each_by_its_own_weights():
    pixels = np.random.default_rng(0).random((5, 7, 3))
    _, rows = axis_filter(0, 2, source=5, target=2)
    _, columns = axis_filter(0, 9, source=7, target=9)

    expected = np.einsum("ij,jkc,lk->ilc", dense(rows), pixels, dense(columns))
    np.testing.assert_allclose(apply_filters(pixels, rows, columns), expected)


@given(st.tuples(SIDE, SIDE, st.integers(1, 4)), st.tuples(SIDE, SIDE),
       st.sampled_from([np.uint8, np.uint16]))  # fmt: skip
def test_sums_are_exact(shape, target, kind):
    """As with whole numbers of any length, for bytes in float32 along the first axis too."""
    (height, width, channels), (rows, columns) = shape, target
    most = np.iinfo(kind).max
    pixels = np.random.default_rng(height).integers(0, most + 1, shape, kind)
    pixels[:, ::2] = most
    down, across = (
        axis_filter(0, target, source=source, target=target)[1]
        for source, target in ((height, rows), (width, columns))
    )

    found = apply_filters(pixels, down, across)

    by_hand = np.einsum(
        "ij,jkc,lk->ilc", whole_numbers(down), pixels.astype(np.int64), whole_numbers(across)
    )
    assert found.shape == (rows, columns, channels) and found.dtype == np.float64
    assert (found * 2**28 == by_hand).all()


def whole_numbers(weights):
    return np.rint(dense(weights) * 2**14).astype(np.int64)


@given(LENGTH, LENGTH, st.data())
def test_what_parts_of_the_source_add_is_the_whole(source, target, data):
    _, weights = axis_filter(0, target, source=source, target=target)
    pixels = np.random.default_rng(source).random((weights.sources, 3))
    cut = data.draw(st.integers(0, weights.sources))

    added = np.zeros((target, 3))
    for first, last in ((0, cut), (cut, weights.sources)):
        if first < last:
            touched, part = weights.part(first, last)
            added[touched] += part.down(pixels[first:last])

    np.testing.assert_allclose(added, weights.down(pixels), atol=1e-12)


def test_bytes_are_rounded_half_up():
    pixels = np.array([[[0, 10, 255]], [[1, 11, 254]]], np.uint8)
    _, rows = axis_filter(0, 1, source=2, target=1)
    _, columns = axis_filter(0, 1, source=1, target=1)

    assert resample_rgb(pixels, rows, columns).tolist() == [[[1, 11, 255]]]

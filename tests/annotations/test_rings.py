import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cervseg.annotations import rings
from cervseg.annotations.rings import Polygon, edges_in, fill, make_ring, ring_area
from cervseg.errors import DataError
from cervseg.grid import Window

WHOLE = Window(0, 0, 11, 15)
POINTS = arrays(np.float64, st.tuples(st.integers(3, 9), st.just(2)), elements=st.floats(-4, 18))
SQUARE = np.array([(2, 3), (2, 8), (7, 8), (7, 3)], np.float64)


def filled(*outlines, window=WHOLE):
    return fill(edges_in(outlines, window), window)


def brute_force(outlines, window):
    """Whether each centre is inside, and whether it is too near to an edge to tell."""
    inside = np.zeros((window.height, window.width), bool)
    unsure = np.zeros_like(inside)
    for i, j in np.ndindex(inside.shape):
        row, column = i + window.top + 0.5, j + window.left + 0.5
        for ring in outlines:
            for (r0, c0), (r1, c1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
                if (r0 <= row) != (r1 <= row):
                    inside[i, j] ^= c0 + (row - r0) / (r1 - r0) * (c1 - c0) < column
                along = np.array([r1 - r0, c1 - c0])
                offset = np.array([row - r0, column - c0])
                share = np.clip(along @ offset / max(along @ along, 1e-300), 0, 1)
                unsure[i, j] |= np.hypot(*(offset - share * along)) < 1e-6
    return inside, unsure


@given(outlines=st.lists(POINTS, min_size=1, max_size=2))
def test_a_pixel_is_inside_when_its_centre_is(outlines):
    expected, unsure = brute_force(outlines, WHOLE)

    assert (unsure | (filled(*outlines) == expected)).all()


@given(points=POINTS, top=st.integers(0, 9), left=st.integers(0, 12))
def test_a_window_is_that_part_of_the_whole(points, top, left):
    window = Window(top, left, 11 - top, 15 - left)

    np.testing.assert_array_equal(filled(points, window=window), filled(points)[top:, left:])


@given(
    corners=arrays(
        np.float64, st.tuples(st.integers(3, 9), st.just(2)), elements=st.integers(0, 30)
    )
)
def test_two_shapes_with_a_common_edge_share_no_pixel_and_lose_none(corners):
    window = Window(0, 0, 17, 17)
    halves = corners / 2  # corners on centres as well
    parts = [halves[[0, i, i + 1]] for i in range(1, len(halves) - 1)]

    odd = np.logical_xor.reduce([filled(part, window=window) for part in parts])

    np.testing.assert_array_equal(odd, filled(halves, window=window))


def test_whole_pixels_are_filled_to_their_edges():
    inside = filled(SQUARE)

    assert inside.sum() == 25 and inside[2:7, 3:8].all()


def test_a_centre_on_the_upper_or_left_edge_is_inside_on_the_others_not():
    inside = filled(SQUARE + 0.5)

    assert inside.sum() == 25 and inside[2:7, 3:8].all()


def test_what_is_inside_twice_is_outside():
    hole = np.array([(3, 4), (3, 6), (5, 6), (5, 4)], np.float64)

    inside = filled(SQUARE, hole)

    assert inside.sum() == 25 - 4 and not inside[3:5, 4:6].any()


@given(points=POINTS)
def test_crossings_taken_in_parts_make_no_difference(points):
    whole = filled(points)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(rings, "CROSSINGS", 7)
        parts = filled(points)

    np.testing.assert_array_equal(parts, whole)


def test_the_area_is_that_of_the_exterior_less_its_holes():
    assert ring_area(SQUARE) == ring_area(SQUARE[::-1] + 1e6) == 25
    assert Polygon(SQUARE, (SQUARE / 5, SQUARE / 5)).area == 23


def test_a_ring_is_closed_by_itself():
    ring = make_ring([[1, 2], [3, 4], [5, 6.5], [1, 2]], where="a")

    assert ring.tolist() == [[1, 2], [3, 4], [5, 6.5]] and ring.dtype == np.float64


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([], "ring without points, at least 3 needed"),
        ([[], []], "ring without points, at least 3 needed"),
        ([[1, 2]], "ring with 1 point, at least 3 needed"),
        ([[1, 2], [3, 4], [1, 2]], "ring with 2 points, at least 3 needed"),
        ([[1, 2], [3, 4], [5]], "points that are no pairs of numbers"),
        ([[1, 2, 3]] * 3, "points that are no pairs of numbers"),
        ([1, 2, 3], "points that are no pairs of numbers"),
        ([["1", "2"]] * 3, "points that are no pairs of numbers"),
        ([[None, 2]] * 3, "points that are no pairs of numbers"),
        ([[10**400, 2]] * 3, "points that are no pairs of numbers"),
        ([[float("nan"), 2], [3, 4], [5, 6]], "a coordinate that is not finite"),
        ([[float("inf"), 2], [3, 4], [5, 6]], "a coordinate that is not finite"),
        ([[1, 2], [3, -2e7], [5, 6]], "a coordinate 2e+07 pixels away, at most 10000000"),
    ],
)
def test_points_that_make_no_ring_are_refused(points, message):
    with pytest.raises(DataError) as caught:
        make_ring(points, where="a.dat")

    assert str(caught.value) == f"a.dat: {message}"

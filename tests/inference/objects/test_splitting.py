import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from cervseg.inference.objects.splitting import relief_of, split_touching

EIGHT = np.ones((3, 3), int)


@st.composite
def pictures(draw):
    """Noise of any density, odd sizes down to a row or a column."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape, share = rng.integers(1, 14, 2), rng.choice([0.3, 0.5, 0.7, 0.9])
    return rng.random(shape) < share


def discs(*circles, shape=(81, 141)):
    """Discs: row, column, radius."""
    row, column = np.mgrid[: shape[0], : shape[1]]
    return np.any([(row - r) ** 2 + (column - c) ** 2 <= s * s for r, c, s in circles], axis=0)


@given(pictures(), st.floats(1, 20))
def test_parts_are_connected_and_cover_the_object(inside, distance):
    parts = split_touching(inside, distance) if inside.any() else inside.astype(np.int32)

    np.testing.assert_array_equal(parts > 0, inside)
    pixels, first = np.unique(parts[parts > 0], return_index=True)
    assert pixels.tolist() == list(range(1, int(parts.max()) + 1))
    assert (np.diff(first) > 0).all(), "not in reading order"
    for number in pixels:
        _, count = ndimage.label(parts == number, EIGHT)
        assert count == 1


def test_the_relief_is_exact():
    """OpenCV's own varies in its last bits from call to call, on which ties then depend."""
    inside = discs((20, 30, 18), (45, 55, 20), (40, 95, 24))

    expected = ndimage.distance_transform_edt(np.pad(inside, 1)).astype(np.float32)

    for _ in range(20):
        np.testing.assert_array_equal(relief_of(inside), expected)


def test_two_discs_are_parted_at_their_neck():
    parts = split_touching(discs((40, 40, 25), (40, 80, 25)), 20)

    assert parts.max() == 2
    assert (parts[:, 20:59][parts[:, 20:59] > 0] == 1).all()
    assert (parts[:, 62:][parts[:, 62:] > 0] == 2).all()


def test_three_discs_of_different_size_are_three():
    parts = split_touching(discs((20, 30, 18), (45, 55, 20), (40, 95, 24)), 15)

    assert parts.max() == 3
    assert len({parts[20, 30], parts[45, 55], parts[40, 95]}) == 3


def test_middles_nearer_than_the_distance_stay_one():
    assert split_touching(discs((40, 40, 25), (40, 80, 25)), 45).max() == 1


def test_one_long_object_stays_one():
    row, column = np.mgrid[-40:41, -70:71]
    along, across = column * 0.9 + row * 0.436, row * 0.9 - column * 0.436  # tilted
    spindle = (along / 66) ** 2 + (across / 12) ** 2 <= 1
    bar = (np.abs(along) <= 60) & (np.abs(across) <= 5)

    for inside in (spindle, bar, discs((40, 70, 35))):
        assert split_touching(inside, 10).max() == 1

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cervseg.data.warp import affine_matrix, build_warp, smooth_field, warp_pair

RNG = np.random.default_rng(0)
STILL = {"flip": (False, False), "degrees": 0.0, "magnification": 1.0, "shear_degrees": 0.0}


def moved(shape, **changes):
    """Noise and labels before and after an affine warp."""
    image, mask = RNG.integers(0, 256, (*shape, 3), np.uint8), RNG.integers(0, 3, shape, np.uint8)
    warp = build_warp(shape, affine_matrix(**{**STILL, **changes}))
    return image, mask, *warp_pair(image, mask, warp)


def test_a_still_warp_changes_nothing():
    image, mask, new_image, new_mask = moved((31, 45))

    np.testing.assert_array_equal(new_image, image)
    np.testing.assert_array_equal(new_mask, mask)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"flip": (True, False)}, lambda a: a[::-1]),
        ({"flip": (False, True)}, lambda a: a[:, ::-1]),
        ({"degrees": 180.0}, lambda a: a[::-1, ::-1]),
    ],
)
@pytest.mark.parametrize("shape", [(31, 45), (32, 20)])
def test_flips_and_half_turns_move_whole_pixels(changes, expected, shape):
    image, mask, new_image, new_mask = moved(shape, **changes)

    np.testing.assert_array_equal(new_image, expected(image))
    np.testing.assert_array_equal(new_mask, expected(mask))


@pytest.mark.parametrize("side", [32, 33])
@pytest.mark.parametrize("turns", [1, -1])
def test_a_quarter_turn_is_counter_clockwise_as_seen(side, turns):
    image, mask, new_image, new_mask = moved((side, side), degrees=90.0 * turns)

    np.testing.assert_array_equal(new_image, np.rot90(image, turns))
    np.testing.assert_array_equal(new_mask, np.rot90(mask, turns))


@pytest.mark.parametrize(("magnification", "area"), [(1.0, 1.0), (1.5, 2.25), (0.7, 0.49)])
def test_magnification_makes_objects_larger_about_the_centre(magnification, area):
    rows, columns = np.mgrid[:101, :151]
    mask = ((rows - 50) ** 2 + (columns - 75) ** 2 < 20**2).astype(np.uint8)
    image = np.repeat(mask[..., None], 3, axis=-1)
    matrix = affine_matrix(**{**STILL, "magnification": magnification})

    _, new = warp_pair(image, mask, build_warp(mask.shape, matrix))

    assert new.sum() / mask.sum() == pytest.approx(area, rel=0.03)
    np.testing.assert_allclose(np.argwhere(new).mean(axis=0), (50, 75), atol=0.1)


def test_shear_slides_rows_along_columns_and_keeps_areas():
    matrix = affine_matrix(**{**STILL, "shear_degrees": 30.0})

    assert matrix[0].tolist() == [1, 0], "no pixel leaves its row"
    assert matrix[1, 0] == pytest.approx(np.tan(np.pi / 6))
    assert np.linalg.det(matrix) == pytest.approx(1)


@given(
    flip=st.tuples(st.booleans(), st.booleans()),
    degrees=st.floats(-180, 180),
    magnification=st.floats(0.5, 2),
    shear_degrees=st.floats(-30, 30),
)
def test_a_warp_looks_where_its_matrix_says(**draw):
    shape = (21, 34)
    matrix = affine_matrix(**draw)

    warp = build_warp(shape, matrix)

    centre = np.array([10, 16.5])
    for place in ((0, 0), (20, 33), (7, 29)):
        expected = matrix @ (np.array(place) - centre) + centre
        found = [warp.rows[place], warp.columns[place]]
        np.testing.assert_allclose(found, expected, atol=1e-4)
    assert abs(np.linalg.det(matrix)) == pytest.approx(magnification_area(draw))


def magnification_area(draw):
    return 1 / draw["magnification"] ** 2


@given(
    st.integers(0, 99),
    st.tuples(st.integers(5, 90), st.integers(5, 90)),
    st.tuples(st.floats(0.5, 8), st.floats(4, 64)),
)
def test_a_displacement_is_smooth_and_never_over_its_amplitude(seed, shape, how):
    amplitude, wavelength = how

    field = smooth_field(
        np.random.default_rng(seed), shape, amplitude=amplitude, wavelength=wavelength
    )

    assert field.shape == (2, *shape) and field.dtype == np.float32
    assert np.abs(field).max() <= amplitude
    for axis, length in enumerate(shape, start=1):
        knots = max(4, round(length / wavelength) + 3)
        assert np.abs(np.diff(field, axis=axis)).max() <= 4 * amplitude * knots / length


def test_a_displacement_moves_down_and_right_apart():
    field = smooth_field(np.random.default_rng(1), (64, 80), amplitude=3, wavelength=16)

    assert np.abs(field[0] - field[1]).max() > 1
    assert abs(field).max() > 1.5, "the amplitude is used"


def test_a_displacement_is_added_before_the_affine_map():
    shape = (11, 15)
    displacement = np.zeros((2, *shape), np.float32)
    displacement[0] = 2  # each target pixel looks two rows further down …
    matrix = affine_matrix(**{**STILL, "degrees": 90.0})  # … which is to the right of the source

    plain, shifted = build_warp(shape, matrix), build_warp(shape, matrix, displacement)

    np.testing.assert_allclose(shifted.columns - plain.columns, -2, atol=1e-5)
    np.testing.assert_allclose(shifted.rows, plain.rows, atol=1e-5)


def test_what_comes_from_outside_is_mirrored_for_image_and_mask_alike():
    image, mask, new_image, new_mask = moved((20, 20), magnification=1 / 3)

    labels = np.repeat(mask[..., None], 3, axis=-1) * np.uint8(100)
    warp = build_warp((20, 20), affine_matrix(**{**STILL, "magnification": 1 / 3}))
    np.testing.assert_allclose(warp_pair(labels, mask, warp)[0][..., 0], new_mask * 100, atol=51)
    assert set(np.unique(new_mask)) <= {0, 1, 2} and new_image.std() > 20
    assert image.shape == new_image.shape

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cervseg.data.warp import Geometry, Lens, affine_matrix, build_warp, warp_pair
from cervseg.data.waves import Waves

RNG = np.random.default_rng(0)
STILL = {"flip": (False, False), "degrees": 0.0, "magnification": 1.0, "shear_degrees": 0.0}


def affine(**changes):
    return Geometry(matrix=affine_matrix(**{**STILL, **changes}))


def moved(shape, geometry, target=None, **how):
    """Noise and labels before and after a warp."""
    image, mask = RNG.integers(0, 256, (*shape, 3), np.uint8), RNG.integers(0, 3, shape, np.uint8)
    warp = build_warp(shape, target or shape, geometry)
    return image, mask, *warp_pair(image, mask, warp, **how)


def offsets(warp):
    """How far each pixel looks away, rows and columns."""
    rows, columns = np.mgrid[: warp.shape[0], : warp.shape[1]]
    return warp[..., 1] - rows, warp[..., 0] - columns


def test_a_still_warp_changes_nothing():
    image, mask, new_image, new_mask = moved((31, 45), Geometry())

    np.testing.assert_array_equal(new_image, image)
    np.testing.assert_array_equal(new_mask, mask)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"flip": (True, False)}, lambda a: a[::-1]),
        ({"flip": (False, True)}, lambda a: a[:, ::-1]),
        ({"degrees": 180.0}, lambda a: a[::-1, ::-1]),
        ({"degrees": -180.0}, lambda a: a[::-1, ::-1]),
    ],
)
@pytest.mark.parametrize("shape", [(31, 45), (32, 20), (257, 301)])
def test_flips_and_half_turns_move_whole_pixels(changes, expected, shape):
    image, mask, new_image, new_mask = moved(shape, affine(**changes))

    np.testing.assert_array_equal(new_image, expected(image))
    np.testing.assert_array_equal(new_mask, expected(mask))


@pytest.mark.parametrize("side", [32, 33])
@pytest.mark.parametrize("turns", [1, -1, 3, -3])
def test_a_quarter_turn_is_counter_clockwise_as_seen(side, turns):
    image, mask, new_image, new_mask = moved((side, side), affine(degrees=90.0 * turns))

    np.testing.assert_array_equal(new_image, np.rot90(image, turns))
    np.testing.assert_array_equal(new_mask, np.rot90(mask, turns))


def test_a_shift_of_whole_pixels_moves_whole_pixels():
    image, mask, new_image, new_mask = moved((31, 45), Geometry(shift=(3, -5)))

    np.testing.assert_array_equal(new_image[:-3, 5:], image[3:, :-5])
    np.testing.assert_array_equal(new_mask[:-3, 5:], mask[3:, :-5])


@pytest.mark.parametrize("target", [(31, 45), (20, 33), (21, 8)])
def test_a_smaller_target_is_the_middle_of_its_source_on_whole_pixels(target):
    image, mask, new_image, new_mask = moved((31, 45), Geometry(), target)

    top, left = (31 - target[0]) // 2, (45 - target[1]) // 2
    window = slice(top, top + target[0]), slice(left, left + target[1])
    np.testing.assert_array_equal(new_image, image[window])
    np.testing.assert_array_equal(new_mask, mask[window])


def test_a_target_of_a_larger_source_sees_what_a_target_of_its_size_mirrors():
    geometry = affine(degrees=30.0, magnification=0.8)
    image, mask = RNG.integers(0, 256, (90, 90, 3), np.uint8), np.zeros((90, 90), np.uint8)

    large, _ = warp_pair(image, mask, build_warp((90, 90), (40, 40), geometry))
    small, _ = warp_pair(
        image[25:65, 25:65], mask[25:65, 25:65], build_warp((40, 40), (40, 40), geometry)
    )

    np.testing.assert_array_equal(large[12:28, 12:28], small[12:28, 12:28])
    assert not np.array_equal(large, small)


@pytest.mark.parametrize(("magnification", "area"), [(1.0, 1.0), (1.5, 2.25), (0.7, 0.49)])
def test_magnification_makes_objects_larger_about_the_centre(magnification, area):
    rows, columns = np.mgrid[:101, :151]
    mask = ((rows - 50) ** 2 + (columns - 75) ** 2 < 20**2).astype(np.uint8)
    image = np.repeat(mask[..., None], 3, axis=-1)

    warp = build_warp(mask.shape, mask.shape, affine(magnification=magnification))
    _, new = warp_pair(image, mask, warp)

    assert new.sum() / mask.sum() == pytest.approx(area, rel=0.03)
    np.testing.assert_allclose(np.argwhere(new).mean(axis=0), (50, 75), atol=0.1)


def test_shear_slides_rows_along_columns_and_keeps_areas():
    matrix = np.array(affine(shear_degrees=30.0).matrix)

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
    matrix = np.array(affine_matrix(**draw))

    warp = build_warp((21, 34), (21, 34), affine(**draw))

    centre = np.array([10, 16.5])
    for place in ((0, 0), (20, 33), (7, 29)):
        expected = matrix @ (np.array(place) - centre) + centre
        np.testing.assert_allclose(warp[place][::-1], expected, atol=1e-4)
    assert abs(np.linalg.det(matrix)) == pytest.approx(1 / draw["magnification"] ** 2)


def test_corners_look_as_far_away_as_they_are_told_and_straight_lines_stay_straight():
    corners = ((3.0, 5.0), (-2.0, 4.0), (1.0, -6.0), (-4.0, 0.0))

    warp = build_warp((65, 97), (65, 97), Geometry(corners=corners))

    down, right = offsets(warp)
    for (row, column), expected in zip(((0, 0), (0, 96), (64, 96), (64, 0)), corners, strict=True):
        found = down[row, column], right[row, column]
        np.testing.assert_allclose(found, expected, atol=0.05)
    diagonal = warp[np.arange(0, 65, 8), np.arange(0, 97, 12)].astype(float)
    ends = diagonal[-1] - diagonal[0]
    inner = diagonal - diagonal[0]
    off_line = (inner[:, 0] * ends[1] - inner[:, 1] * ends[0]) / np.linalg.norm(ends)
    assert np.abs(off_line).max() < 0.05


@pytest.mark.parametrize(("amount", "size"), [(0.5, 2.0), (-0.5, 1 / 1.5), (0.3, 1 / 0.7)])
def test_a_lens_changes_its_middle_by_its_amount_and_nothing_beyond_its_circle(amount, size):
    lens = Lens(centre=(-10.0, 15.0), radius=40.0, amount=amount)

    warp = build_warp((121, 161), (121, 161), Geometry(lenses=(lens,)))

    middle = (50, 95)
    step = warp[middle[0] + 2, middle[1]] - warp[middle[0] - 2, middle[1]]
    assert 4 / step[1] == pytest.approx(size, rel=0.03)
    np.testing.assert_allclose(warp[middle], middle[::-1], atol=0.02)
    rows, columns = np.mgrid[:121, :161]
    beyond = np.hypot(rows - middle[0], columns - middle[1]) > 44
    down, right = offsets(warp)
    assert max(np.abs(down[beyond]).max(), np.abs(right[beyond]).max()) < 1e-4
    assert (np.diff(warp[50, :, 0]) > 0).all(), "nothing folds over"


def test_waves_are_added_before_the_matrix():
    def build(**changes):
        waves = Waves(np.random.default_rng(5), 6.0, 1.5, is_peak=False)
        return build_warp((61, 45), (61, 45), Geometry(waves=(waves,), **changes))

    plain, turned = build(), build(matrix=affine_matrix(**{**STILL, "degrees": 90.0}))

    down, right = offsets(plain)
    still = build_warp((61, 45), (61, 45), affine(degrees=90.0))
    np.testing.assert_allclose(turned[..., 1] - still[..., 1], right, atol=1e-4)
    np.testing.assert_allclose(turned[..., 0] - still[..., 0], -down, atol=1e-4)
    assert np.abs(down).max() > 1


def test_what_comes_from_outside_is_mirrored_for_image_and_mask_alike():
    shape, geometry = (20, 20), affine(magnification=1 / 3)
    _, mask, new_image, new_mask = moved(shape, geometry)

    labels = np.repeat(mask[..., None], 3, axis=-1) * np.uint8(100)
    pictures, _ = warp_pair(labels, mask, build_warp(shape, shape, geometry))
    np.testing.assert_allclose(pictures[..., 0], new_mask * 100, atol=51)
    assert set(np.unique(new_mask)) <= {0, 1, 2} and new_image.std() > 20


def test_what_comes_from_outside_is_ignored_where_that_is_asked_for():
    shape, geometry = (31, 45), affine(degrees=30.0)
    warp = build_warp(shape, shape, geometry)
    image, mask = RNG.integers(0, 256, (*shape, 3), np.uint8), RNG.integers(0, 3, shape, np.uint8)

    mirrored, labels = warp_pair(image, mask, warp)
    ignoring, marked = warp_pair(image, mask, warp, ignore=True)

    outside = (warp[..., 0] < -0.5) | (warp[..., 0] > 44.5)
    outside |= (warp[..., 1] < -0.5) | (warp[..., 1] > 30.5)
    np.testing.assert_array_equal(marked == 255, outside)
    np.testing.assert_array_equal(marked[~outside], labels[~outside])
    np.testing.assert_array_equal(ignoring, mirrored)
    assert 0.05 < outside.mean() < 0.9

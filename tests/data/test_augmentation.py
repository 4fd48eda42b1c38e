from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from cervseg.config.augmentation import TRANSFORMS, AugmentationConfig
from cervseg.data.augmentation import augment, vary
from cervseg.data.draws import Draws

WARPS = {
    "hflip": True,
    "vflip": True,
    "right_angles": True,
    "rotation": 180.0,
    "scale": (0.7, 1.5),
    "shear": 20.0,
    "translation": 20.0,
    "perspective": {"probability": 1.0, "range": 0.12},
    "elastic": {"probability": 1.0, "alpha": 200.0, "sigma": 10.0},
    "distortion": {"probability": 1.0, "strength": 0.03, "sigma": 30.0},
    "barrel": {"probability": 1.0, "radius": 0.5, "amount": 0.4, "centers": ((0.4, 0.6),)},
    "pincushion": {"probability": 1.0, "radius": 0.5, "amount": 0.4},
}
COLOURS = {
    "stain": {"gain": 0.3, "shift": 0.05},
    "hue": 20.0,
    "saturation": 0.5,
    "brightness": {"alpha": 1.2, "beta": 20.0},
    "contrast": 0.3,
    "gamma": (0.7, 1.4),
    "illumination": {"probability": 1.0, "range": 0.4},
    "blur": {"probability": 1.0, "sigma": 1.5},
    "sharpen": {"probability": 1.0, "k": 0.3},
    "noise": {"probability": 1.0, "sigma": 5.0},
    "jpeg": {"probability": 1.0, "quality": (60, 95)},
}
COVERS = {"cut_out": {"probability": 1.0, "size": 0.3}, "paste": {"probability": 1.0}}


def only(**transforms):
    return AugmentationConfig.model_validate({"preset": "none", **transforms})


NOTHING = only()
EVERYTHING = only(**WARPS, **COLOURS, **COVERS)


def cells(shape, seed, *, radius=20):
    """A mask of a few round and oval cells, some of them cut by the edge."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    mask = np.zeros(shape, np.uint8)
    for _ in range(6):
        down, right = (rows - rng.uniform(0, shape[0])), (columns - rng.uniform(0, shape[1]))
        tall, wide = rng.uniform(0.8, 1.3, 2) * radius
        mask[(down / tall) ** 2 + (right / wide) ** 2 < 1] = 1
    return mask


def painted(mask):
    """The mask as an image: cells dark, as on a slide."""
    return np.where(mask[..., None] == 1, np.uint8(80), np.uint8(190)).repeat(3, axis=-1)


def noise(shape):
    return np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)


def varied(image, mask, config, *, seed=0, **how):
    return augment(image, mask, config, rng=np.random.default_rng(seed), **how)


def agreement(picture, labels):
    """Dice of a mask and what its image shows: dark against light, about the middle of both."""
    shown = picture.mean(axis=-1) < (80 + 190) / 2
    known = labels != 255
    both = (shown & (labels == 1))[known].sum()
    return 2 * both / (shown[known].sum() + (labels == 1)[known].sum())


# Geometry


@pytest.mark.parametrize("border", ["reflect", "ignore"])
@pytest.mark.parametrize("name", [*WARPS, "all"])
@pytest.mark.parametrize("shape", [(201, 257), (256, 256)])
def test_a_mask_painted_into_its_own_image_matches_it_after_every_warp(name, border, shape):
    config = only(border=border, **(WARPS if name == "all" else {name: WARPS[name]}))
    mask = cells(shape, 3)

    for seed in range(12):
        picture, labels = varied(painted(mask), mask, config, seed=seed)

        assert agreement(picture, labels) >= 0.98, seed
        assert border == "ignore" or 255 not in labels


@pytest.mark.parametrize("name", [n for n in WARPS if n not in ("hflip", "vflip")] + ["all"])
def test_a_mask_warped_by_another_draw_is_found_out(name):
    config = only(**(WARPS if name == "all" else {name: WARPS[name]}))
    mask = cells((201, 257), 3)

    found = [
        agreement(varied(painted(mask), mask, config, seed=seed)[0],
                  varied(painted(mask), mask, config, seed=seed + 100)[1]) < 0.98
        for seed in range(12)
    ]  # fmt: skip

    # Two draws are near each other now and then: of four turns, of two lenses of one place.
    assert np.mean(found) >= 0.3 and (name != "all" or all(found))


def test_a_mask_moved_by_one_pixel_is_found_out():
    mask = cells((201, 257), 3)
    picture, labels = varied(painted(mask), mask, only(**WARPS), seed=1)

    assert agreement(picture, np.roll(labels, 1, axis=0)) < agreement(picture, labels) - 0.01
    assert agreement(picture, np.roll(labels, 2, axis=1)) < 0.98


@given(st.integers(0, 2**31), st.sampled_from(["reference", "standard", "strong"]))
def test_a_mask_painted_into_its_own_image_matches_it_after_any_preset(seed, preset):
    full = AugmentationConfig(preset=preset).model_dump()
    config = only(**{name: full[name] for name in WARPS})
    mask = cells((151, 203), seed)

    picture, labels = varied(painted(mask), mask, config, seed=seed)

    assert labels.sum() < 300 or agreement(picture, labels) >= 0.98


# Colours


def edges(picture):
    """Columns at which each row crosses the middle between left and right, in pixels."""
    rows = picture.mean(axis=-1)
    left, right = rows[:, 8:20].mean(axis=1), rows[:, -20:-8].mean(axis=1)
    middle = (left + right) / 2
    places = []
    for row, level in zip(rows, middle, strict=True):
        above = row > level
        first = int(np.argmax(above))
        places.append(first - (row[first] - level) / (row[first] - row[first - 1]))
    return np.array(places)


@pytest.mark.parametrize("name", [*COLOURS, "all"])
def test_colours_leave_the_mask_bit_for_bit_and_move_no_edge_by_half_a_pixel(name):
    config = only(**(COLOURS if name == "all" else {name: COLOURS[name]}))
    image = np.full((41, 75, 3), (90, 70, 120), np.uint8)
    image[:, 37:] = (190, 170, 200)
    mask = (image[..., 0] < 100).astype(np.uint8)
    before = edges(image)

    changed = 0
    for seed in range(20):
        picture, labels = varied(image, mask, config, seed=seed)

        changed += not np.array_equal(picture, image)
        assert labels.tobytes() == mask.tobytes()
        moved = edges(picture) - before
        # Noise of 5 levels on one pixel is no move of the edge: its mean over the rows is.
        assert abs(moved.mean()) < 0.5
        assert name in ("noise", "jpeg", "all") or np.abs(moved).max() < 0.5
    assert changed >= 15


def test_a_moved_edge_is_seen():
    here, there = np.full((2, 41, 75, 3), 90, np.uint8)
    here[:, 37:] = there[:, 38:] = 190

    moved = edges(there) - edges(here)

    assert moved == pytest.approx(1)


# What holds for all


@given(st.integers(0, 2**31), st.sampled_from(["reflect", "ignore"]))
def test_a_mask_keeps_its_values_and_a_sample_its_shape(seed, border):
    mask = np.random.default_rng(seed).choice(np.array([0, 1, 7, 255], np.uint8), (31, 45))
    config = EVERYTHING.model_copy(update={"border": border})

    picture, labels = varied(noise((31, 45)), mask, config, seed=seed, donor=lambda: (noise((9, 9)),
                             np.zeros((9, 9), np.uint8)))  # fmt: skip

    assert picture.shape == (31, 45, 3) and picture.dtype == labels.dtype == np.uint8
    assert labels.shape == mask.shape and set(np.unique(labels)) <= {0, 1, 7, 255}


@given(st.integers(0, 2**31), st.sampled_from(["reference", "standard", "strong"]))
def test_the_same_random_numbers_give_the_same_sample(seed, preset):
    config = AugmentationConfig(preset=preset, paste=True)
    image, mask = noise((31, 45)), cells((31, 45), 1, radius=5)
    sample = image, mask

    one, two = (varied(image, mask, config, seed=seed, donor=lambda: sample) for _ in range(2))

    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(one[1], two[1])


@given(st.integers(0, 2**31))
def test_the_preset_none_changes_nothing(seed):
    image, mask = noise((31, 45)), cells((31, 45), 1)

    picture, labels = varied(image, mask, NOTHING, seed=seed, donor=lambda: (image, mask))

    np.testing.assert_array_equal(picture, image)
    np.testing.assert_array_equal(labels, mask)


@given(st.integers(0, 2**31))
def test_a_sample_is_not_changed_in_place(seed):
    image, mask = noise((31, 45)), cells((31, 45), 1, radius=4)
    image.flags.writeable = mask.flags.writeable = False  # as a decoder hands them over

    varied(image, mask, EVERYTHING, seed=seed, donor=lambda: (image, mask))


def test_every_transform_is_tried_here():
    assert {*WARPS, *COLOURS, *COVERS} == set(TRANSFORMS)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_each_transform_alone_has_its_effect_and_only_some_touch_the_mask(name):
    config = only(**{name: {**WARPS, **COLOURS, **COVERS}[name]})
    image, mask = noise((63, 85)), cells((63, 85), 1, radius=9)
    donor = noise((63, 85)), cells((63, 85), 2, radius=5)

    seen = [varied(image, mask, config, seed=seed, donor=lambda: donor) for seed in range(8)]

    assert len({picture.tobytes() for picture, _ in seen}) > 1
    assert (len({labels.tobytes() for _, labels in seen}) > 1) is (name not in COLOURS)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_one_transform_left_out_leaves_the_draws_of_the_others_as_they_were(name):
    less = EVERYTHING.model_copy(update={name: getattr(NOTHING, name)})

    for seed in range(5):
        one, two = (Draws(config, np.random.default_rng(seed)) for config in (EVERYTHING, less))
        for other in TRANSFORMS:
            if other != name:
                here, there = one.of(other), two.of(other)
                assert (here is None) is (there is None)
                assert here is None or here.up_to(1.0) == there.up_to(1.0)


def test_how_often_a_transform_is_applied_is_its_probability():
    config = only(hue={"probability": 0.3, "range": 30.0})
    image, mask = noise((5, 7)), np.zeros((5, 7), np.uint8)

    unchanged = sum(
        np.array_equal(varied(image, mask, config, seed=seed)[0], image) for seed in range(1000)
    )

    assert 640 < unchanged < 760


def test_without_a_donor_nothing_is_pasted():
    image, mask = noise((31, 45)), cells((31, 45), 1)

    _, labels = varied(image, mask, only(paste={"probability": 1.0}))

    np.testing.assert_array_equal(labels, mask)


def test_cells_are_pasted_before_the_warp_and_match_their_image_after_it():
    mask, donor = np.zeros((201, 257), np.uint8), cells((201, 257), 5)
    config = only(paste={"probability": 1.0, "feather": 1.0}, **WARPS)

    found = 0
    for seed in range(12):
        picture, labels = varied(
            painted(mask), mask, config, seed=seed, donor=lambda: (painted(donor), donor)
        )
        found += labels.sum()
        assert labels.sum() < 300 or agreement(picture, labels) >= 0.97
    assert found > 5000


def test_cells_are_pasted_where_they_will_be_seen_of_a_larger_image():
    mask, donor = np.zeros((401, 457), np.uint8), cells((101, 157), 5, radius=8)
    config = only(paste={"probability": 1.0, "count": 1})

    for seed in range(12):
        _, labels = varied(
            painted(mask), mask, config, seed=seed, size=(81, 97),
            donor=lambda: (painted(donor), donor),
        )  # fmt: skip
        assert labels.shape == (81, 97) and labels.any()


# Single transforms


@pytest.mark.parametrize("flip", ["hflip", "vflip"])
def test_half_of_the_samples_are_mirrored(flip):
    mask = np.arange(35, dtype=np.uint8).reshape(5, 7)
    mirror = mask[:, ::-1] if flip == "hflip" else mask[::-1]
    image = np.repeat(mask[..., None], 3, axis=-1)

    seen = [varied(image, mask, only(**{flip: True}), seed=seed)[1] for seed in range(200)]

    mirrored = sum(np.array_equal(labels, mirror) for labels in seen)
    assert mirrored + sum(np.array_equal(labels, mask) for labels in seen) == 200
    assert 70 < mirrored < 130


def test_right_angles_are_the_four_turns_alike():
    mask = np.arange(49, dtype=np.uint8).reshape(7, 7)
    image = np.repeat(mask[..., None], 3, axis=-1)

    seen = [varied(image, mask, only(right_angles=True), seed=seed)[1] for seed in range(400)]

    counts = [sum(np.array_equal(labels, np.rot90(mask, k)) for labels in seen) for k in range(4)]
    assert sum(counts) == 400 and min(counts) > 70


def test_angles_of_a_list_are_taken_and_no_others():
    mask = cells((101, 101), 2)
    config = only(rotation=(30.0, 300.0))
    expected = {
        varied(painted(mask), mask, only(rotation=(angle,)))[1].tobytes() for angle in (30.0, 300.0)
    }

    seen = {varied(painted(mask), mask, config, seed=seed)[1].tobytes() for seed in range(20)}

    assert seen == expected and len(expected) == 2


def test_magnifications_are_drawn_evenly_between_smaller_and_larger():
    mask = np.zeros((61, 61), np.uint8)
    mask[24:37, 24:37] = 1
    image = np.repeat(mask[..., None], 3, axis=-1)
    config = only(scale=(0.6, 1 / 0.6))

    areas = [varied(image, mask, config, seed=seed)[1].sum() / mask.sum() for seed in range(200)]

    assert 0.28 < min(areas) < 0.44 and 2.4 < max(areas) < 3.2
    assert 70 < sum(area < 1 for area in areas) < 130


def test_what_comes_from_outside_is_ignored_only_where_the_config_says_so():
    mask = cells((61, 91), 3, radius=9)

    for border, ignored in (("reflect", False), ("ignore", True)):
        _, labels = varied(painted(mask), mask, only(border=border, rotation=(45.0,)))
        assert (255 in labels) is ignored


@pytest.mark.parametrize(("lens", "grows"), [("barrel", True), ("pincushion", False)])
def test_a_barrel_enlarges_what_is_in_its_middle_and_a_pincushion_reduces_it(lens, grows):
    rows, columns = np.mgrid[:101, :121]
    mask = ((rows - 50) ** 2 + (columns - 60) ** 2 < 15**2).astype(np.uint8)
    config = only(**{lens: {"probability": 1.0, "radius": 0.5, "amount": 0.5}})

    areas = [varied(painted(mask), mask, config, seed=seed)[1].sum() for seed in range(20)]

    assert all((area >= mask.sum()) is np.True_ for area in areas) is grows
    assert max(areas) > 1.5 * mask.sum() if grows else min(areas) < 0.75 * mask.sum()


def test_the_strongest_draw_is_the_end_of_the_range():
    image = np.full((5, 7, 3), 100, np.uint8)
    draws = Draws(
        only(brightness={"alpha": 1.2, "beta": 10.0}), np.random.default_rng(0), strongest=True
    )

    picture, _ = vary(image, np.zeros((5, 7), np.uint8), draws)

    assert (picture == 130).all()


@pytest.mark.parametrize("size", [(31, 45), (20, 33)])
def test_a_sample_of_a_larger_image_is_its_middle(size):
    image, mask = noise((31, 45)), cells((31, 45), 1)

    picture, labels = varied(image, mask, NOTHING, size=size)
    turned, _ = varied(image, mask, only(rotation=(180.0,)), size=size)

    top, left = (31 - size[0]) // 2, (45 - size[1]) // 2
    window = slice(top, top + size[0]), slice(left, left + size[1])
    np.testing.assert_array_equal(picture, image[window])
    np.testing.assert_array_equal(labels, mask[window])
    np.testing.assert_array_equal(turned, image[window][::-1, ::-1])


def test_a_sample_of_a_smaller_image_is_mirrored_around_it():
    image, mask = noise((20, 33)), cells((20, 33), 1)

    picture, labels = varied(image, mask, NOTHING, size=(31, 45))

    np.testing.assert_array_equal(picture[6:26, 6:39], image)
    np.testing.assert_array_equal(labels[6:26, 6:39], mask)
    assert not ndimage.label(labels == 255)[1]


def test_any_number_of_threads_makes_the_same_samples():
    config = AugmentationConfig(preset="strong", paste=True)
    image, mask = noise((75, 91)), cells((75, 91), 1, radius=8)

    def make(seed):
        picture, labels = varied(image, mask, config, seed=seed, donor=lambda: (image, mask))
        return picture.tobytes() + labels.tobytes()

    made = []
    for threads in (1, 2, 4):
        with ThreadPoolExecutor(threads) as pool:
            made.append(list(pool.map(make, range(24))))

    assert made[0] == made[1] == made[2]
    assert len(set(made[0])) == 24

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from cervseg.config.augmentation import AugmentationConfig
from cervseg.data.augmentation import augment

NOTHING = AugmentationConfig(
    hflip=False, vflip=False, rotation=0, scale=(1, 1), shear=0, deformation=0, brightness=0,
    contrast=0, colour=0,
)  # fmt: skip
LIGHT = {"brightness": 0.1, "contrast": 0.2, "colour": 0.1}


def blobs(shape, seed):
    """A mask of a few round objects, one of them cut by the edge."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    mask = np.zeros(shape, np.uint8)
    for _ in range(4):
        centre, radius = rng.uniform((0, 0), shape), rng.uniform(0.1, 0.25) * min(shape)
        mask[(rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < radius**2] = 1
    return mask


@st.composite
def configs(draw, **fixed):
    smallest = draw(st.floats(0.5, 1.2))
    return AugmentationConfig.model_validate(
        {
            "hflip": draw(st.booleans()),
            "vflip": draw(st.booleans()),
            "rotation": draw(st.floats(0, 180)),
            "scale": (smallest, smallest + draw(st.floats(0, 1))),
            "shear": draw(st.floats(0, 30)),
            "deformation": draw(st.floats(0, 6)),
            "deformation_size": draw(st.floats(16, 64)),
            **fixed,
        }
    )


@given(configs(**LIGHT), st.integers(0, 2**31), st.sampled_from([(64, 64), (75, 101), (96, 61)]))
def test_a_mask_painted_into_its_own_image_matches_it_after_any_augmentation(config, seed, shape):
    mask = blobs(shape, seed)
    image = np.where(mask[..., None] == 1, np.uint8(165), np.uint8(90)).repeat(3, axis=-1)

    picture, labels = augment(image, mask, config, rng=np.random.default_rng(seed))

    green = picture[..., 1].astype(float)
    if labels.any() and not labels.all():
        shown = green > (green.min() + green.max()) / 2
        same = ndimage.minimum_filter(labels, 3) == ndimage.maximum_filter(labels, 3)
        inside = (labels == 1)[same]
        overlap = 2 * (inside & shown[same]).sum() / max(1, inside.sum() + shown[same].sum())
        assert overlap >= 0.99 or inside.sum() < 20
        assert (shown != labels).mean() < 0.08, "edges are a pixel off at most"
    else:
        assert green.std() < 1e-9


@given(configs(**LIGHT), st.integers(0, 2**31))
def test_a_mask_keeps_its_values_and_its_shape(config, seed):
    mask = np.random.default_rng(seed).choice(np.array([0, 1, 7, 255], np.uint8), (31, 45))
    image = np.zeros((31, 45, 3), np.uint8)

    picture, labels = augment(image, mask, config, rng=np.random.default_rng(seed))

    assert picture.shape == image.shape and picture.dtype == labels.dtype == np.uint8
    assert labels.shape == mask.shape and set(np.unique(labels)) <= {0, 1, 7, 255}


@given(configs(**LIGHT), st.integers(0, 2**31))
def test_the_same_random_numbers_give_the_same_tile(config, seed):
    image, mask = (
        np.random.default_rng(0).integers(0, 256, (31, 45, 3), np.uint8),
        blobs((31, 45), 1),
    )

    one, two = (augment(image, mask, config, rng=np.random.default_rng(seed)) for _ in range(2))

    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(one[1], two[1])


@given(st.integers(0, 2**31))
def test_no_range_changes_nothing(seed):
    image, mask = (
        np.random.default_rng(0).integers(0, 256, (31, 45, 3), np.uint8),
        blobs((31, 45), 1),
    )

    picture, labels = augment(image, mask, NOTHING, rng=np.random.default_rng(seed))

    np.testing.assert_array_equal(picture, image)
    np.testing.assert_array_equal(labels, mask)


@given(configs(**LIGHT), st.integers(0, 2**31))
def test_a_tile_is_not_changed_in_place(config, seed):
    image, mask = np.full((31, 45, 3), 99, np.uint8), blobs((31, 45), 1)
    image.flags.writeable = mask.flags.writeable = False  # as a decoder hands them over

    augment(image, mask, config, rng=np.random.default_rng(seed))


@given(configs(), st.integers(0, 2**31))
def test_geometry_switched_off_leaves_the_draw_of_the_colours_as_it_was(config, seed):
    flat, mask = np.full((31, 45, 3), 99, np.uint8), np.zeros((31, 45), np.uint8)
    still = NOTHING.model_copy(update=LIGHT)

    moved, _ = augment(flat, mask, config.model_copy(update=LIGHT), rng=np.random.default_rng(seed))
    unmoved, _ = augment(flat, mask, still, rng=np.random.default_rng(seed))

    np.testing.assert_array_equal(moved, unmoved)


@pytest.mark.parametrize(
    ("name", "value", "moves"),
    [
        ("rotation", 30, True), ("scale", (0.5, 0.6), True), ("shear", 30, True),
        ("deformation", 6, True), ("brightness", 0.3, False), ("contrast", 0.5, False),
        ("colour", 0.4, False),
    ],
)  # fmt: skip
def test_each_range_alone_has_its_effect_and_only_geometry_moves_the_mask(name, value, moves):
    config = NOTHING.model_copy(update={name: value})
    image, mask = (
        np.random.default_rng(0).integers(0, 256, (31, 45, 3), np.uint8),
        blobs((31, 45), 1),
    )

    seen = [augment(image, mask, config, rng=np.random.default_rng(i)) for i in range(5)]

    assert len({picture.tobytes() for picture, _ in seen}) == 5
    assert (len({labels.tobytes() for _, labels in seen}) > 1) is moves


@pytest.mark.parametrize("flip", ["hflip", "vflip"])
def test_half_of_the_tiles_are_mirrored(flip):
    config = NOTHING.model_copy(update={flip: True})
    mask = np.arange(35, dtype=np.uint8).reshape(5, 7)
    mirror = mask[:, ::-1] if flip == "hflip" else mask[::-1]
    image = np.repeat(mask[..., None], 3, axis=-1)

    seen = [augment(image, mask, config, rng=np.random.default_rng(i))[1] for i in range(200)]

    mirrored = sum(np.array_equal(labels, mirror) for labels in seen)
    assert mirrored + sum(np.array_equal(labels, mask) for labels in seen) == 200
    assert 70 < mirrored < 130


def test_magnifications_are_drawn_evenly_between_smaller_and_larger():
    config = NOTHING.model_copy(update={"scale": (0.6, 1 / 0.6)})
    mask = np.zeros((61, 61), np.uint8)
    mask[24:37, 24:37] = 1
    image = np.repeat(mask[..., None], 3, axis=-1)

    areas = [
        augment(image, mask, config, rng=np.random.default_rng(i))[1].sum() / mask.sum()
        for i in range(200)
    ]

    assert 0.28 < min(areas) < 0.44 and 2.4 < max(areas) < 3.2
    assert 70 < sum(area < 1 for area in areas) < 130


def test_colour_does_not_touch_the_mask():
    config = NOTHING.model_copy(update=LIGHT)
    mask = blobs((31, 45), 1)
    image = np.random.default_rng(0).integers(0, 256, (31, 45, 3), np.uint8)

    picture, labels = augment(image, mask, config, rng=np.random.default_rng(3))

    np.testing.assert_array_equal(labels, mask)
    assert not np.array_equal(picture, image)

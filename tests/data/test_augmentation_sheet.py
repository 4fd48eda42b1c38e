import numpy as np

from cervseg.classes import Classes
from cervseg.config.augmentation import AugmentationConfig
from cervseg.data.augmentation_sheet import augmentation_sheet, only

CELL = Classes.of({"cell": "#00ff00"})


def sources(count):
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 200, (41, 63, 3), np.uint8) for _ in range(count)]
    masks = [np.zeros((41, 63), np.uint8) for _ in range(count)]
    for mask in masks:
        mask[10:20, 20:35] = 1
    return images, masks


def sheet(config, *, count=2, seed=3):
    return augmentation_sheet(*sources(count), config, classes=CELL, seed=seed, side=64)


def test_there_is_a_row_a_source_and_a_column_for_each_transform_that_is_on():
    two = sheet(AugmentationConfig(preset="none", hue=30.0, cut_out=True))
    more = sheet(AugmentationConfig(preset="none", hue=30.0, cut_out=True, paste=True))
    longer = sheet(AugmentationConfig(preset="none", hue=30.0, cut_out=True), count=3)

    assert two.shape[1] == 6 + 70 * (1 + 2 + 4)
    assert more.shape[1] == two.shape[1] + 70
    assert longer.shape[0] == two.shape[0] + 47


def test_the_first_column_is_the_source_with_its_mask_outlined():
    picture = sheet(AugmentationConfig(preset="none"), count=1)

    first = picture[24 : 24 + 41, 6 : 6 + 63]
    image = sources(1)[0][0]
    np.testing.assert_array_equal(first[25:], image[25:])
    assert (first == (0, 255, 0)).all(axis=-1).any()


def test_what_is_ignored_is_pale():
    picture = sheet(AugmentationConfig(preset="none", border="ignore", translation=30.0), count=1)

    shifted = picture[24 : 24 + 41, 76 : 76 + 63]
    assert shifted[-25:].min() >= 128


def test_the_sheet_is_a_function_of_its_seed():
    config = AugmentationConfig(preset="strong", paste=True)

    np.testing.assert_array_equal(sheet(config), sheet(config))
    assert not np.array_equal(sheet(config), sheet(config, seed=4))


def test_one_transform_of_a_config_keeps_its_strength():
    config = AugmentationConfig(preset="strong", border="ignore")

    alone = only(config, "elastic")

    assert alone.elastic == config.elastic.model_copy(update={"probability": 1.0})
    assert (alone.hue.probability, alone.border) == (0, "ignore")

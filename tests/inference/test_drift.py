import numpy as np
import pytest

from cervseg.images.photo import Photo
from cervseg.inference.drift import (
    measure_stain,
    size_drift,
    stain_drift,
    training_statistics,
    typical_diameter,
)

TRAINED = {
    "stain": {"mean": [0.3, 0.38, 0.25], "deviation": [0.05, 0.05, 0.05]},
    "diameter": {"cell": 40.0, "nucleus": 10.0},
}


def stained(density, height=150, width=201):
    """Glass on the left, tissue of an optical density on the right."""
    pixels = np.full((height, width, 3), 255.0)
    pixels[:, width // 3 :] = 256 * 10 ** -np.asarray(density) - 1
    return Photo(np.rint(pixels).astype(np.uint8))


def discs(diameter, count):
    return [np.pi * diameter**2 / 4] * count


def test_the_density_is_that_of_the_tissue_not_of_the_glass():
    assert measure_stain(stained((0.3, 0.38, 0.25))) == pytest.approx((0.3, 0.38, 0.25), abs=0.003)


def test_empty_glass_has_no_stain():
    empty = Photo(np.full((150, 201, 3), 250, np.uint8))

    assert measure_stain(empty) is None
    assert stain_drift(empty, TRAINED) is None


def test_a_paler_image_is_told_of():
    assert stain_drift(stained((0.3, 0.21, 0.25)), TRAINED) == (
        "stain: the image is 1.8 x paler than the training images "
        "(green density 0.21, trained on 0.38 ± 0.05)"
    )


def test_a_darker_image_is_told_of_by_the_colour_that_differs_most():
    notice = stain_drift(stained((0.6, 0.38, 0.6)), TRAINED)

    assert "2.4 x darker" in notice and "(blue density 0.60" in notice


def test_a_colour_that_is_missing_altogether_is_told_of():
    notice = stain_drift(stained((0.0, 0.5, 0.5)), TRAINED)

    assert "paler" in notice and "(red density 0.00, trained on 0.30" in notice


@pytest.mark.parametrize("green", [0.31, 0.38, 0.48])
def test_a_stain_within_a_factor_is_not_told_of(green):
    assert stain_drift(stained((0.3, green, 0.25)), TRAINED) is None


@pytest.mark.parametrize(("deviation", "told"), [(0.05, True), (0.07, False)])
def test_a_stain_within_the_spread_of_the_training_is_not_told_of(deviation, told):
    known = {"stain": {"mean": [0.3, 0.38, 0.25], "deviation": [deviation] * 3}}

    assert (stain_drift(stained((0.3, 0.57, 0.25)), known) is not None) == told


@pytest.mark.parametrize(("diameter", "told"), [(28, True), (30, False), (55, False), (57, True)])
def test_sizes_beyond_a_factor_are_told_of(diameter, told):
    assert (size_drift({"cell": discs(diameter, 20)}, TRAINED) is not None) == told


def test_the_class_that_differs_most_is_named():
    areas = {"cell": discs(60, 20), "nucleus": discs(6, 20)}

    assert size_drift(areas, TRAINED) == (
        "objects are 0.6 x the training size (nucleus: 6 pixels across, trained on 10): "
        "check mpp or scale"
    )


@pytest.mark.parametrize(("count", "told"), [(9, False), (10, True)])
def test_few_objects_tell_nothing(count, told):
    assert (size_drift({"cell": discs(20, count)}, TRAINED) is not None) == told


def test_specks_do_not_make_objects_small():
    assert typical_diameter([*discs(40, 20), *discs(2, 2000)]) == pytest.approx(40)
    assert size_drift({"cell": [*discs(40, 20), *discs(2, 2000)]}, TRAINED) is None


@pytest.mark.parametrize(
    "statistics",
    [
        None,
        {},
        {"stain": 3, "diameter": "much"},
        {"stain": {"mean": [1, 2], "deviation": None}, "diameter": {"cell": "big"}},
        {"stain": {"mean": ["a", 0.2, -1], "deviation": [0, 0, 0]}, "diameter": {"cell": -1}},
        {"stain": {"deviation": [0.1] * 3}, "diameter": {"cell": float("nan")}},
    ],
)
def test_unknown_or_broken_statistics_say_nothing(statistics):
    assert stain_drift(stained((0.9, 0.9, 0.9)), statistics) is None
    assert size_drift({"cell": discs(500, 20)}, statistics) is None


def test_what_training_writes_is_what_is_compared_with():
    mask = np.zeros((150, 201), np.uint8)
    mask[10:30, 20:40] = 1
    mask[60:80, 50:70] = 1
    fields = [(stained((0.3, d, 0.25)), mask) for d in (0.36, 0.40)]

    found = training_statistics(fields, ["cell", "nucleus"])

    assert found["stain"]["mean"] == pytest.approx([0.3, 0.38, 0.25], abs=0.003)
    assert found["stain"]["deviation"] == pytest.approx([0, 0.02, 0], abs=0.003)
    assert found["diameter"] == {"cell": pytest.approx(2 * (400 / np.pi) ** 0.5, abs=0.01)}
    assert stain_drift(fields[0][0], found) is None
    assert stain_drift(stained((0.3, 0.7, 0.25)), found) is not None
    assert size_drift({"cell": discs(60, 10)}, found) is not None


def test_training_images_without_tissue_or_objects_say_nothing():
    empty = Photo(np.full((70, 90, 3), 250, np.uint8)), np.zeros((70, 90), np.uint8)

    assert training_statistics([empty], ["cell"]) == {}

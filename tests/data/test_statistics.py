import math

import numpy as np
import pytest

from cervseg.classes import Classes
from cervseg.data.statistics import Place, find_outliers, measure, sum_up

TWO = Classes.of({"cell": "#00ff00", "nucleus": "#0000ff"})


def field(mask, *, name="a", split="train", group="g", pixels=None, **options):
    if pixels is None:
        pixels = np.full((*mask.shape, 3), (100, 50, 200), np.uint8)
    return measure(Place(name, split, group, **options), pixels, mask, classes=TWO)


def drawn():
    mask = np.zeros((31, 45), np.uint8)
    mask[2:6, 3:8] = 1
    mask[6, 8] = 1  # touches by a corner
    mask[20:22, 30:40] = 1
    mask[3:5, 4:6] = 2
    mask[:, 44] = 255
    return mask


def test_pixels_and_objects_are_counted_by_class():
    row = field(drawn())

    assert (row.height, row.width) == (31, 45)
    assert row.pixels == (31 * 45 - 31 - 41, 37, 4, 31)
    assert row.areas == ((17, 20), (4,))
    assert row.foreground == pytest.approx(41 / (31 * 44))


def test_areas_are_full_size_whatever_the_file_is_squeezed_to():
    assert field(drawn(), scale=(6.0, 8.0)).areas == ((17 * 48, 20 * 48), (4 * 48,))


def test_objects_that_are_known_are_counted_also_where_they_touch():
    mask = np.zeros((9, 12), np.uint8)
    mask[2:5, 2:10] = 1
    objects = np.zeros(mask.shape, np.uint16)
    objects[2:5, 2:6], objects[2:5, 6:10] = 3, 7
    pixels = np.zeros((9, 12, 3), np.uint8)

    row = measure(Place("a", "", "g"), pixels, mask, classes=TWO, objects=objects)

    assert row.areas == ((12, 12), ())


def test_intensity_and_stain_are_those_of_the_formula_and_glass_does_not_count():
    pixels = np.full((20, 31, 3), 250, np.uint8)  # glass
    pixels[:10] = (127, 63, 255)
    row = field(np.zeros((20, 31), np.uint8), pixels=pixels)

    assert row.stain == pytest.approx((math.log10(2), math.log10(4), 0), abs=1e-6)
    grey = 0.299 * 127 + 0.587 * 63 + 0.114 * 255
    assert row.intensity == pytest.approx((250 + grey) / 2, abs=0.5)
    assert row.contrast == pytest.approx((250 - grey) / 2, abs=0.5)


def test_a_picture_of_glass_has_no_stain():
    white = np.full((20, 31, 3), 255, np.uint8)

    assert all(math.isnan(v) for v in field(np.zeros((20, 31), np.uint8), pixels=white).stain)


def test_a_large_image_is_thinned_and_its_classes_are_not(monkeypatch):
    monkeypatch.setattr("cervseg.data.statistics.THINNED", 100)
    pixels = np.random.default_rng(0).integers(0, 200, (31, 45, 3), np.uint8)

    row = field(drawn(), pixels=pixels)

    assert row.pixels[1] == 37
    thin = pixels[::3, ::3] @ [0.299, 0.587, 0.114]
    assert row.intensity == pytest.approx(thin.mean(), abs=0.5)
    assert abs(row.intensity - (pixels @ [0.299, 0.587, 0.114]).mean()) > 1


def test_splits_are_summed_in_the_order_they_come():
    empty = np.zeros((20, 31), np.uint8)
    rows = [
        field(drawn(), name="a", group="g"),
        field(drawn(), name="b", group="g"),
        field(empty, name="c", split="test", group="h"),
    ]

    train, test = sum_up(rows)

    assert (train.split, train.images, train.groups) == ("train", 2, 1)
    assert train.pixels == tuple(2 * n for n in rows[0].pixels)
    assert (train.objects, train.area) == ((4, 2), (18.5, 4.0))
    assert (train.heights, train.widths) == ((31, 31), (45, 45))
    assert (test.split, test.objects, test.heights) == ("test", (0, 0), (20, 20))
    assert all(math.isnan(area) for area in test.area)
    assert train.intensity == pytest.approx(rows[0].intensity)
    assert train.stain == pytest.approx(rows[0].stain)


def test_an_odd_image_is_named_with_its_quantity_and_score():
    rng = np.random.default_rng(1)
    rows = [
        field(drawn(), name=f"f{i}", pixels=rng.integers(100 + i, 150, (31, 45, 3), np.uint8))
        for i in range(11)
    ]
    odd = rows[4]._replace(name="odd", intensity=3.0)

    found = find_outliers([*rows, odd], TWO)

    values = np.array([row.intensity for row in [*rows, odd]])
    middle = np.median(values)
    assert [(o.name, o.quantity, o.value) for o in found] == [("odd", "intensity", 3.0)]
    assert found[0].typical == middle
    spread = 1.4826 * np.median(np.abs(values - middle))
    assert found[0].score == pytest.approx((3 - middle) / spread) and found[0].score < -5


def test_sizes_are_compared_by_their_ratio():
    rows = [field(drawn(), name=f"f{i}")._replace(height=1000 + 10 * i) for i in range(11)]
    twice, half = (rows[0]._replace(name=n, height=h) for n, h in (("twice", 2100), ("half", 525)))

    found = find_outliers([*rows, twice, half], TWO)

    assert {o.name for o in found} == {"twice", "half"}
    assert sum(o.score for o in found) == pytest.approx(0, abs=1)


def test_few_images_or_images_that_agree_have_no_outliers():
    rows = [field(drawn(), name=f"f{i}") for i in range(9)]
    odd = rows[0]._replace(name="odd", intensity=255.0)

    assert find_outliers([*rows, odd], TWO) == []
    varied = [row._replace(intensity=100.0 + i) for i, row in enumerate(rows[:6])]
    assert find_outliers([*varied, odd], TWO) == []
    assert find_outliers([], TWO) == []

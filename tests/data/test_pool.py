from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as Pillow

from cervseg.classes import IGNORE, Classes
from cervseg.config.data import DataConfig
from cervseg.data.pool import (
    Census,
    FieldOptions,
    FieldPool,
    draw_pixel,
    field_options,
    take_census,
)
from cervseg.data.windows import scale_field
from cervseg.errors import DataError
from cervseg.grid import Window
from cervseg.images.masks import MaskOptions
from cervseg.images.photo import Photo

LARGE = FieldOptions(cache=10**9)
OFF = FieldOptions()


@pytest.fixture
def dataset(make_fields, make_field):
    fields = {f"f{i}": make_field(40 + i, 53 - i, seed=i) for i in range(3)}
    return make_fields({**fields, "valid": make_field(40, 50, seed=9)})


def whole_of(field):
    return field.read(Window(0, 0, field.height, field.width))


def entries(tmp_path):
    return sorted((tmp_path / "cache" / "fields").glob("*.field"))


def test_cached_and_decoded_fields_are_equal_to_the_bit(make_fields, make_field):
    dataset = make_fields(
        {"a": make_field(40, 31), "b": (make_field(20, 31)[0], None)},
        scale=0.7, file_scale=(2.0, 1.5),
    )  # fmt: skip
    pools = [FieldPool.of(dataset, options) for options in (LARGE, OFF)]
    surveys = [pool.survey() for pool in pools]

    for number in (0, 1):
        cached, decoded = (pool.open(number) for pool in pools)
        assert (cached.height, cached.width) == (decoded.height, decoded.width)
        for one, other in zip(whole_of(cached), whole_of(decoded), strict=True):
            np.testing.assert_array_equal(one, other)
        assert not whole_of(cached)[0].flags.writeable and whole_of(decoded)[0].flags.writeable
    assert [c[:2] for c in surveys[0]] == [c[:2] for c in surveys[1]] == [(56, 33), (28, 33)]


def test_only_the_fields_of_the_split_are_read(dataset, tmp_path):
    for row in (*dataset.sources_of("valid"), *dataset.sources_of("test")):
        dataset.path(row.image).write_bytes(b"broken")

    pool = FieldPool.of(dataset, LARGE)
    census = pool.survey(workers=2)

    assert [item.name for item in pool.items] == ["f0", "f1", "f2"]
    assert len(census) == len(entries(tmp_path)) == 3


def test_a_warm_cache_needs_no_decoding(dataset):
    first = FieldPool.of(dataset, LARGE).survey()
    for row in dataset.sources_of("train"):
        dataset.path(row.image).write_bytes(b"gone")

    pool = FieldPool.of(dataset, LARGE)
    again = pool.survey()

    assert pool.open(2).height == 42
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.below[1], other.below[1])


def test_a_mask_that_was_changed_is_read_anew(dataset, tmp_path):
    FieldPool.of(dataset, LARGE).survey()
    row = dataset.sources_of("train")[0]
    Pillow.fromarray(np.zeros((row.height, row.width), np.uint8)).save(dataset.path(row.mask))

    census = FieldPool.of(dataset, LARGE).survey()

    assert not census[0].below and census[1].below
    assert len(entries(tmp_path)) == 4


def test_masks_scaled_in_another_way_are_other_entries(dataset, tmp_path):
    FieldPool.of(dataset, LARGE).survey()
    FieldPool.of(dataset, FieldOptions(10**9, "area")).survey()

    assert len(entries(tmp_path)) == 6


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"options": MaskOptions(threshold=200)}, {"options": MaskOptions(threshold=1)}),
        ({"reading": "colour"}, {"reading": "colour", "classes": Classes.of({"cell": "#010101"})}),
    ],
)
def test_masks_read_in_another_way_are_not_taken_from_the_cache(dataset, *, before, after):
    dataset = replace(dataset, reading="threshold")
    without, with_cells = (
        FieldPool.of(replace(dataset, **how), LARGE).survey() for how in (before, after)
    )

    assert not any(census.below for census in without)
    assert all(census.below for census in with_cells)


def test_a_broken_entry_is_written_anew(dataset, tmp_path):
    FieldPool.of(dataset, LARGE).survey()
    before = [path.read_bytes() for path in entries(tmp_path)]
    entries(tmp_path)[0].write_bytes(b"0" * len(before[0]))

    FieldPool.of(dataset, LARGE).survey()

    assert [path.read_bytes() for path in entries(tmp_path)] == before


def test_an_entry_that_vanishes_during_the_training_is_decoded(dataset, tmp_path):
    pool = FieldPool.of(dataset, LARGE)
    pool.survey()
    expected = whole_of(pool.open(1))
    for path in entries(tmp_path):
        path.unlink()

    np.testing.assert_array_equal(whole_of(pool.open(1))[1], expected[1])


def test_what_does_not_fit_is_told_and_decoded(dataset, tmp_path, caplog):
    one = 4 * 40 * 53 + 32

    pool = FieldPool.of(dataset, FieldOptions(cache=2 * one - 1))
    pool.survey()

    assert len(entries(tmp_path)) == 1 and pool.open(2).height == 42
    assert [record.message for record in caplog.records] == [
        "'data.cache' has no room for 2 of 3 training fields: they are decoded for each sample"
    ]


def test_without_a_cache_nothing_is_written_or_told(dataset, tmp_path, caplog):
    FieldPool.of(dataset, OFF).survey()

    assert not (tmp_path / "cache").exists() and not caplog.records


def test_another_picture_than_that_of_the_dataset_is_refused(dataset, make_field):
    row = dataset.sources_of("train")[1]
    Pillow.fromarray(make_field(row.height, row.width, seed=77)[0]).save(dataset.path(row.image))

    for options in (LARGE, OFF):
        with pytest.raises(DataError) as caught:
            FieldPool.of(dataset, options).survey(workers=2)

        image = dataset.path(row.image)
        assert str(caught.value) == f"{image}: changed since the dataset was cut"
        assert caught.value.hint == "cut it again: cervseg dataset-tile CONFIG --overwrite"


def test_a_split_without_images_is_refused(dataset):
    empty = replace(dataset, sources=tuple(dataset.sources_of("valid")))

    with pytest.raises(DataError) as caught:
        FieldPool.of(empty, OFF)

    assert str(caught.value) == f"{dataset.folder}: no image in split train"


def test_a_photograph_of_one_colour_is_told_from_another_one(make_fields, tmp_path):
    mask = np.zeros((20, 30), np.uint8)
    flat = {name: (np.full((20, 30, 3), level, np.uint8), mask)
            for name, level in (("a", 10), ("b", 200))}  # fmt: skip

    pool = FieldPool.of(make_fields(flat), LARGE)
    pool.survey()

    assert [int(whole_of(pool.open(n))[0].max()) for n in (0, 1)] == [10, 200]


def test_every_pixel_of_a_class_is_drawn_and_no_other(make_field):
    pixels, mask = make_field(17, 23, classes=2, radius=3)
    mask[:2] = IGNORE
    field = scale_field(Photo(pixels), mask, (1.0, 1.0))
    census = take_census(field, 2)
    rng = np.random.default_rng(0)

    for index in (1, 2):
        seen = {draw_pixel(field, census, index, rng=rng) for _ in range(3000)}
        assert seen == {(int(r), int(c)) for r, c in np.argwhere(mask == index)}


def test_the_pixels_of_a_class_are_drawn_with_equal_chance():
    mask = np.zeros((9, 11), np.uint8)
    mask[1, 2], mask[4, 1:10], mask[8, 0] = 1, 1, 1  # rows of 1, 9 and 1
    field = scale_field(Photo(np.zeros((9, 11, 3), np.uint8)), mask, (2.0, 3.0))
    census = take_census(field, 1)
    rng = np.random.default_rng(0)

    places = [draw_pixel(field, census, 1, rng=rng) for _ in range(11 * 600)]

    counts = np.bincount([row // 2 for row, _ in places], minlength=9)
    assert np.abs(counts[[1, 4, 8]] - [600, 5400, 600]).max() < 120
    assert isinstance(census, Census) and int(census.below[1][-1]) == 11 * 6


def test_ignored_pixels_and_absent_classes_are_not_counted():
    mask = np.array([[0, 255, 3], [3, 255, 0]], np.uint8)
    field = scale_field(Photo(np.zeros((2, 3, 3), np.uint8)), mask, (1.0, 1.0))

    assert {c: list(below) for c, below in take_census(field, 4).below.items()} == {3: [1, 2]}


@pytest.mark.parametrize(
    ("cache", "size"), [("2GB", 2 * 10**9), ("0.5 GB", 5 * 10**8), ("300MB", 3 * 10**8), ("0MB", 0)]
)
def test_the_size_of_the_cache_is_read(cache, size):
    config = DataConfig.model_validate(
        {"sampling": "fields", "cache": cache, "masks": {"interpolation": "area"}}
    )

    assert field_options(config) == FieldOptions(size, "area")
    assert field_options(config.model_copy(update={"sampling": "tiles"})) is None

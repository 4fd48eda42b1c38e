from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as Pillow

from cervseg.classes import IGNORE
from cervseg.config.augmentation import AugmentationConfig
from cervseg.config.training import TrainConfig
from cervseg.data.manifest import TileRow
from cervseg.data.pool import FieldOptions
from cervseg.data.samples import field_samples, tile_samples
from cervseg.data.sampling import Pick
from cervseg.errors import ConfigError, DataError

NONE = {"preset": "none"}
LARGE, OFF = FieldOptions(cache=10**9), FieldOptions()
MOVED = {
    "preset": "none", "hflip": True, "vflip": True, "rotation": 180, "scale": [0.8, 1.25],
    "shear": 5, "elastic": {"alpha": 30, "sigma": 8},
}  # fmt: skip
"""Geometry without colour."""


def whole_cell(side, level=200):
    """A field with one cell in its middle, of a grey level."""
    rows, columns = np.mgrid[:side, :side] - side / 2
    mask = (rows**2 + columns**2 < 25).astype(np.uint8)
    return np.repeat(mask[..., None] * np.uint8(level), 3, axis=-1), mask


def sampling(dataset, options=OFF, *, seed=3, **train):
    config = TrainConfig.model_validate({"batch_size": 4, "augmentation": NONE, **train})
    return field_samples(dataset, config, options, seed=seed)


def batches(samples, epochs=1):
    """All samples of so many epochs."""
    return [
        s for e in range(epochs) for step in range(len(samples)) for s in samples.batch(e, step)
    ]


def assert_equal(one, other):
    for (image, mask), (image2, mask2) in zip(one, other, strict=True):
        np.testing.assert_array_equal(image, image2)
        np.testing.assert_array_equal(mask, mask2)


@pytest.fixture
def dataset(make_fields, make_field):
    return make_fields({f"f{i}": make_field(70 + i, 93 - i, seed=i) for i in range(3)})


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_samples_are_the_same_for_any_number_of_threads_and_after_a_pause(dataset, workers):
    samples = sampling(dataset, augmentation={"preset": "strong"})
    wanted = [(epoch, step) for epoch in (0, 1) for step in range(len(samples))]
    expected = [samples.batch(*place) for place in wanted]

    resumed = sampling(dataset, LARGE, augmentation={"preset": "strong"})
    with ThreadPoolExecutor(workers) as threads:
        found = list(threads.map(lambda place: resumed.batch(*place), wanted[::-1]))[::-1]

    for one, other in zip(expected, found, strict=True):
        assert_equal(one, other)


def test_seeds_epochs_and_places_differ(dataset):
    one, other = sampling(dataset), sampling(dataset, seed=4)

    images = [s[0].tobytes() for s in (*one.batch(0, 0), *one.batch(1, 0), *other.batch(0, 0))]

    assert len(set(images)) == 12


def test_samples_have_the_size_of_a_tile_whatever_the_size_of_the_field(make_fields, make_field):
    dataset = make_fields({"a": make_field(9, 80), "b": make_field(200, 11), "c": make_field(1, 1)})

    for image, mask in batches(sampling(dataset, augmentation=MOVED)):
        assert image.shape == (32, 32, 3) and mask.shape == (32, 32)
        assert image.dtype == mask.dtype == np.uint8
        assert (mask != IGNORE).any(), "some of the field is always in it"


@pytest.mark.parametrize(("scale", "squeezed"), [(1.0, (1, 1)), (0.6, (1, 1)), (1.0, (3, 4))])
def test_image_and_mask_agree(make_fields, make_field, *, scale, squeezed):
    fields = {}
    for i in range(3):
        _, mask = make_field(150, 171, seed=i, radius=22)
        fields[f"f{i}"] = (np.repeat(mask[..., None] * np.uint8(200), 3, axis=-1), mask)
    dataset = make_fields(fields, tile_size=64, scale=scale, file_scale=squeezed)

    samples = batches(sampling(dataset, augmentation=MOVED, foreground_fraction=1.0))

    both = total = 0
    for image, mask in samples:
        painted, known = image[..., 0] >= 100, mask != IGNORE
        both += 2 * np.count_nonzero(painted & (mask == 1))
        total += np.count_nonzero(painted & known) + np.count_nonzero(mask == 1)
    assert total > 10_000 and both / total >= 0.98


def test_a_field_that_was_squeezed_gives_round_cells(make_fields):
    rows, columns = np.mgrid[:40, :30] + 0.5  # a circle in 240 x 240, written 6 down, 8 across
    disc = ((rows * 6 - 120) ** 2 + (columns * 8 - 120) ** 2 < 40**2).astype(np.uint8)
    image = np.repeat(disc[..., None] * np.uint8(255), 3, axis=-1)
    dataset = make_fields({"a": (image, disc)}, tile_size=160, file_scale=(6.0, 8.0))

    turned = {"preset": "none", "rotation": 180}
    found = batches(sampling(dataset, augmentation=turned, foreground_fraction=1.0), epochs=4)

    full = 0
    for _, mask in found:
        where = np.argwhere(mask == 1)
        if (where.min(axis=0) > 0).all() and (where.max(axis=0) < 159).all():  # all of it is seen
            spread = np.linalg.eigvalsh(np.cov(where.T))
            assert spread[1] / spread[0] < 1.2, "squeezed it would be 1.8"
            assert np.abs(np.sqrt(spread) * 2 - 40).max() < 5, "as large as at full size"
            full += 1
    assert full >= 5


def test_the_share_of_foreground_is_met_and_the_cell_is_in_the_sample(make_fields, make_field):
    dataset = make_fields(
        {"rich": make_field(80, 90), "empty": make_field(80, 90, discs=0), "none":
         (make_field(70, 60)[0], None), "speck": make_field(90, 80, discs=1, radius=2)}
    )  # fmt: skip
    samples = sampling(dataset, foreground_fraction=0.5, steps_per_epoch=40, augmentation=MOVED)

    for step in range(40):
        batch = samples.batch(0, step)
        assert len(batch) == 4
        assert all((mask == 1).any() for _, mask in batch[:2])
    picks = [pick for step in range(40) for pick in samples.sampler.draw(0, step)]
    assert [pick.label for pick in picks].count(1) == 80
    assert {pick.field for pick in picks if pick.label} == {0, 3}, "rich and speck"


def test_classes_are_centred_on_by_their_weight(make_fields):
    mask = np.zeros((90, 90), np.uint8)
    mask[5:20, 5:20], mask[70:80, 65:85] = 1, 2  # too far from each other for one sample
    field = (np.zeros((90, 90, 3), np.uint8), mask)
    dataset = make_fields({"a": field, "b": field}, names=("nucleus", "cytoplasm"), tile_size=16)

    samples = sampling(
        dataset, foreground_fraction=1.0, class_sampling={"nucleus": 3}, steps_per_epoch=50,
        augmentation={"preset": "none", "rotation": 180},
    )  # fmt: skip

    found = Counter(tuple(c for c in (1, 2) if (mask == c).any()) for _, mask in batches(samples))
    assert set(found) == {(1,), (2,)} and 135 <= found[(1,)] <= 165


def test_every_pixel_of_every_training_field_is_reached(make_fields):
    rows, columns = np.mgrid[:44, :53].astype(np.uint8)
    pixels = np.stack([rows, columns, np.zeros_like(rows)], axis=-1)
    mask = np.zeros((44, 53), np.uint8)
    fields = {"a": (pixels, mask), "b": (pixels + np.uint8([0, 0, 1]), mask)}
    samples = sampling(make_fields(fields), steps_per_epoch=100)

    seen = set()
    for image, mask in batches(samples, epochs=3):
        seen |= set(map(tuple, image[mask != IGNORE].tolist()))

    assert len(seen) == 2 * 44 * 53


def test_a_turned_and_reduced_sample_shows_what_lies_there_and_nothing_mirrored(make_fields):
    rows, columns = np.mgrid[:250, :240].astype(np.uint8)
    pixels = np.stack([rows, columns, rows], axis=-1)  # each pixel says where it is
    mask = np.zeros((250, 240), np.uint8)
    mask[90:160, 90:150] = 1
    samples = sampling(
        make_fields({"a": (pixels, mask)}), foreground_fraction=1.0, steps_per_epoch=8,
        augmentation={"preset": "none", "rotation": 180, "scale": [0.4, 0.6], "shear": 10},
    )  # fmt: skip

    places = np.mgrid[:32, :32].reshape(2, -1).T
    known = np.column_stack([places, np.ones(len(places))])
    for image, labels in batches(samples):
        seen = image[..., :2].reshape(-1, 2).astype(float)
        affine, *_ = np.linalg.lstsq(known, seen, rcond=None)
        assert np.abs(known @ affine - seen).max() < 1.5
        assert np.ptp(seen, axis=0).min() > 50 and (labels != IGNORE).all()


def test_ignored_pixels_of_a_mask_stay_ignored(make_fields, make_field):
    pixels, mask = make_field(70, 80, discs=0)
    mask[20:50, 30:60] = IGNORE
    pixels[mask == IGNORE] = 255

    for image, labels in batches(sampling(make_fields({"a": (pixels, mask)})), epochs=9):
        painted = (image == 255).all(axis=-1)
        assert (labels[painted] == IGNORE).all()
        assert set(np.unique(labels)) <= {0, IGNORE}


def test_cells_to_paste_come_from_samples_that_hold_them(make_fields, make_field):
    dataset = make_fields(
        {"empty": make_field(300, 300, discs=0), "rich": whole_cell(40),
         "other": whole_cell(41, 250)},
    )  # fmt: skip
    pasted = {"preset": "none", "paste": {"probability": 1, "count": 1}}
    samples = sampling(dataset, foreground_fraction=0.0, augmentation=pasted)
    again = sampling(dataset, LARGE, foreground_fraction=0.0, augmentation=pasted)

    found = batches(samples)

    assert_equal(found, batches(again))
    picks = [p for step in range(len(samples)) for p in samples.sampler.draw(0, step)]
    rich = [
        (mask == 1).any() for (_, mask), pick in zip(found, picks, strict=True) if not pick.field
    ]
    assert len(rich) > 50 and all(rich)


def test_a_place_far_from_the_border_is_drawn_with_a_quarter_of_the_sample_inside(dataset):
    samples = sampling(dataset)
    rng = np.random.default_rng(0)

    shares = [np.mean(samples.read(Pick(0), 32, rng=rng)[1] != IGNORE) for _ in range(400)]

    assert 0.75**2 <= min(shares) < 0.7 and max(shares) == 1.0 and np.mean(shares) > 0.9


@pytest.mark.slow
def test_memory_stays_flat(make_fields, make_field):
    import resource

    dataset = make_fields({f"f{i}": make_field(500, 700, seed=i) for i in range(4)}, tile_size=128)
    samples = sampling(dataset, LARGE, steps_per_epoch=10**6, augmentation={"preset": "standard"})
    for step in range(50):
        samples.batch(0, step)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB

    for step in range(50, 300):
        samples.batch(0, step)

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


# What is refused


@pytest.mark.parametrize(
    ("weights", "message", "hint"),
    [
        ({"nuclei": 2}, "'train.class_sampling' names 'nuclei', which is no class",
         "the classes are nucleus, cytoplasm"),
        ({"nucleus": 0, "cytoplasm": 0},
         "'train.class_sampling' has the weight 0 for every class", None),
    ],
)  # fmt: skip
def test_weights_of_no_class_are_refused(make_fields, make_field, *, weights, message, hint):
    dataset = make_fields({"a": make_field(20, 30)}, names=("nucleus", "cytoplasm"))

    with pytest.raises(ConfigError) as caught:
        sampling(dataset, class_sampling=weights)

    assert (str(caught.value), caught.value.hint) == (message, hint)


def test_weights_that_leave_no_class_of_the_images_are_refused(make_fields):
    field = np.zeros((90, 90, 3), np.uint8), np.eye(90, dtype=np.uint8)
    dataset = make_fields({"a": field}, names=("nucleus", "cytoplasm"))

    with pytest.raises(ConfigError, match="the weight 0 for every class that the training images"):
        sampling(dataset, class_sampling={"nucleus": 0})
    assert sampling(dataset, class_sampling={"nucleus": 2}).sampler.has_foreground


def test_tiles_are_not_balanced_by_class(dataset):
    with pytest.raises(ConfigError) as caught:
        tile_samples(dataset, TrainConfig(class_sampling={"cell": 2.0}), seed=0)

    assert str(caught.value) == "'train.class_sampling' needs 'data.sampling' fields"
    assert caught.value.hint == (
        "tiles are drawn by whether they hold any class: train.foreground_fraction"
    )


def test_a_dataset_without_training_tiles_is_refused(dataset):
    with pytest.raises(DataError) as caught:
        tile_samples(dataset, TrainConfig(), seed=0)

    assert str(caught.value) == f"{dataset.folder}: no training tiles in it"


# Tiles


@pytest.fixture
def tiled(make_fields, make_field):
    """Two training fields of the size of a tile, listed as tiles too: one with a cell."""
    dataset = make_fields({"rich": whole_cell(32), "empty": make_field(32, 32, discs=0)})
    tiles = tuple(
        TileRow(row.image, row.mask, row.name, row.group, row.split, "window", 1.0, 0, 0, 32, 32,
                row.foreground, row.sha256)
        for row in dataset.sources
    )  # fmt: skip
    return replace(dataset, tiles=tiles)


def test_tiles_are_read_as_they_are_where_nothing_is_varied(tiled):
    config = TrainConfig(batch_size=2, augmentation=AugmentationConfig(preset="none"))
    samples = tile_samples(tiled, config, seed=0)

    assert samples.batch_size == 2 and len(samples) == 2
    expected = {Pillow.open(tiled.path(row.image)).tobytes() for row in tiled.sources}
    assert {image.tobytes() for image, _ in batches(samples)} == expected


def test_cells_are_pasted_from_tiles_that_hold_them(tiled):
    pasted = AugmentationConfig.model_validate(
        {"preset": "none", "paste": {"probability": 1, "count": 1}}
    )
    config = TrainConfig(batch_size=2, foreground_fraction=0, augmentation=pasted)
    samples = tile_samples(tiled, config, seed=0)

    assert all((mask == 1).any() for _, mask in batches(samples, epochs=5))

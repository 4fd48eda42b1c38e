import numpy as np
import pytest
from PIL import Image as Pillow

from cervseg.classes import Classes
from cervseg.config.augmentation import AugmentationConfig
from cervseg.contract import Preprocessing
from cervseg.data.labelled import labelled_tiles
from cervseg.data.samples import TileSamples
from cervseg.data.sampling import TileSampler
from cervseg.errors import DataError
from cervseg.images.preprocess import prepare
from cervseg.processes import Team

pytestmark = pytest.mark.usefixtures("started")

CELL = Classes.of({"cell": "#00ff00"})
STILL = AugmentationConfig(preset="none")


@pytest.fixture
def tiles(dataset):
    return labelled_tiles(dataset, dataset.tiles)  # t0 to t3, v0 to v2


def validation(tiles, *, preprocessing=None, channels=3, batch_size=2, **how):
    from cervseg.training.batches import TileBatches

    return TileBatches(
        tiles, CELL, preprocessing or Preprocessing(), channels=channels, batch_size=batch_size,
        workers=1, **how,
    )  # fmt: skip


def training(tiles, *, augmentation=None, workers=1, steps=None, seed=3, batch_size=2, **how):
    from cervseg.training.batches import TrainingBatches

    sampler = TileSampler((True,) * len(tiles), batch_size, steps, 0.0, seed)
    samples = TileSamples(tiles, CELL, sampler, augmentation or AugmentationConfig())
    return TrainingBatches(samples, Preprocessing(), channels=3, workers=workers, **how)


def pixels_of(tile):
    with Pillow.open(tile.image) as image, Pillow.open(tile.mask) as mask:
        return np.asarray(image), np.asarray(mask)


def test_validation_is_every_tile_in_order_as_it_is_on_disk(tiles):
    batches = validation(tiles)

    read = [batches[step] for step in range(len(batches))]

    assert [len(images) for images, _ in read] == [2, 2, 2, 1], "not cut short"
    images, masks = (np.concatenate(side) for side in zip(*read, strict=True))
    for tile, image, mask in zip(tiles, images, masks, strict=True):
        expected = pixels_of(tile)
        np.testing.assert_array_equal(image, expected[0])
        np.testing.assert_array_equal(mask, expected[1])
    assert images.dtype == masks.dtype == np.uint8


def test_two_processes_share_batches_and_fill_up_the_last_with_what_counts_nowhere(tiles):
    whole = validation(tiles)
    parts = [validation(tiles, team=Team(number, 2), devices=2) for number in (0, 1)]

    for step in range(len(whole)):
        shares = [part[step] for part in parts]
        assert [len(images) for images, _ in shares] == [1, 1]
        images, masks = (np.concatenate(side) for side in zip(*shares, strict=True))
        known = len(whole[step][0])
        np.testing.assert_array_equal(images[:known], whole[step][0])
        np.testing.assert_array_equal(masks[:known], whole[step][1])
        assert (masks[known:] == 255).all()


def test_two_processes_draw_what_one_would_have_drawn(tiles):
    whole = training(tiles, batch_size=4)
    shares = [training(tiles, batch_size=4, team=Team(number, 2))[0] for number in (0, 1)]

    for both, expected in zip(zip(*shares, strict=True), whole[0], strict=True):
        np.testing.assert_array_equal(np.concatenate(both), expected)


def test_the_last_step_before_the_network_is_done(tiles):
    preprocessing = Preprocessing("hsv", 1.5, 0.5)

    images, _ = validation(tiles, preprocessing=preprocessing, channels=1)[0]

    assert images.shape == (2, 32, 32, 1)
    expected = prepare(pixels_of(tiles[1])[0], preprocessing, channels=1)
    np.testing.assert_array_equal(images[1], expected)


def test_training_without_any_range_gives_each_tile_once_an_epoch(tiles):
    batches = training(tiles, augmentation=STILL)

    images = np.concatenate([batches[step][0] for step in range(len(batches))])

    seen = {image.tobytes() for image in images}
    assert seen == {pixels_of(tile)[0].tobytes() for tile in tiles} and len(batches) == 4


def test_a_batch_is_a_pure_function_of_seed_epoch_and_step(tiles):
    one, two, other = training(tiles), training(tiles), training(tiles, seed=4)
    for batches in (one, two, other):
        batches.epoch = 1
    first = one[2]
    for step in (0, 3, 1):  # in any order, some of them twice
        one[step]

    for again in (one[2], two[2]):
        np.testing.assert_array_equal(first[0], again[0])
        np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[2][0])
    two.epoch = 2
    assert not np.array_equal(first[0], two[2][0])


def test_two_tiles_of_a_batch_are_varied_each_in_its_own_way(tiles):
    batches = training([tiles[0]] * 2)

    images, masks = batches[0]

    assert not np.array_equal(images[0], images[1])
    assert not np.array_equal(masks[0], masks[1])


def test_image_and_mask_stay_paired(tiles):
    batches = training(tiles)
    for step in range(len(batches)):
        for image, mask in zip(*batches[step], strict=True):
            inside, outside = image[mask == 1].mean(), image[mask == 0].mean()
            assert not mask.any() or inside > outside + 50  # the discs are bright


def test_a_broken_tile_is_kept_as_the_failure_and_raised(tiles, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    batches = validation([tiles[0]._replace(image=tmp_path / "broken.png"), *tiles])

    with pytest.raises(DataError):
        batches[0]
    with pytest.raises(DataError):
        validation([tiles[0]._replace(mask=tmp_path / "broken.png")])[0]

    assert str(batches.failure) == (
        f"{tmp_path}/broken.png: can't be decoded: not an image of a known kind"
    )
    batches[1]
    assert batches.failure is not None, "the first one is kept"


def test_how_long_a_batch_was_waited_for_is_known(tiles):
    batches = training(tiles)

    batches[1]

    assert list(batches.ready) == [(0, 1)]

"""Pixels that a mask marks as 255 take no part, from the annotator's file to the score."""

import numpy as np
import pytest
from PIL import Image as Pillow

from cervseg.classes import IGNORE
from cervseg.commands.dataset_tile import dataset_tile
from cervseg.commands.evaluate import evaluate
from cervseg.config import Config
from cervseg.contract import Preprocessing
from cervseg.data.manifest import open_dataset
from cervseg.data.pool import field_options
from cervseg.data.samples import field_samples, tile_samples

pytestmark = pytest.mark.usefixtures("started")

MARK = (255, 0, 255)
"""The colour of the ignored region in the photographs."""


def write_field(folder, name, seed):
    """A dim photograph of one disc; an ignored rectangle, marked in the picture, crosses it."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:90, :110]
    mask = ((rows - 40) ** 2 + (columns - 50) ** 2 < 400).astype(np.uint8)
    mask[30:70, 55:95] = IGNORE
    pixels = rng.integers(0, 200, (90, 110, 3), np.uint8)
    pixels[mask == IGNORE] = MARK
    for kind, content in (("images", pixels), ("masks", mask)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        Pillow.fromarray(content).save(folder / kind / f"{name}.png")
    return mask


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("CERVSEG_CACHE", str(tmp_path / "cache"))
    for seed, name in enumerate(("a", "b", "c")):
        write_field(tmp_path / "source", name, seed)

    def make(sampling):
        data = {
            "output": str(tmp_path / sampling),
            "source": {
                "images": str(tmp_path / "source/images"), "masks": str(tmp_path / "source/masks"),
            },
            "masks": {"read": "index"},
            "split": {"kind": "lists", "train": ["a"], "valid": ["b"], "test": ["c"]},
            "tile_size": 32,
            "sampling": sampling,
        }  # fmt: skip
        train = {"augmentation": {"preset": "none"}, "batch_size": 2, "foreground_fraction": 0.5}
        return Config.model_validate({"data": data, "train": train})

    return make


def is_marked(pixels):
    return (pixels == MARK).all(axis=-1)


@pytest.mark.parametrize("sampling", ["tiles", "fields"])
def test_they_stay_ignored_in_every_batch_and_weigh_nothing_in_the_loss(config, sampling):
    from cervseg.data.labelled import labelled_tiles
    from cervseg.losses import SegmentationLoss, Term
    from cervseg.training.batches import TileBatches, TrainingBatches

    made = config(sampling)
    dataset_tile(made)
    dataset = open_dataset(made.data.output)
    options = field_options(made.data)
    samples = (
        field_samples(dataset, made.train, options, seed=0)
        if options
        else tile_samples(dataset, made.train, seed=0)
    )
    training = TrainingBatches(samples, Preprocessing(), channels=3, workers=1)
    validation = TileBatches(
        labelled_tiles(dataset, dataset.tiles_of("valid")), dataset.classes, Preprocessing(),
        channels=3, batch_size=2, workers=1,
    )  # fmt: skip

    loss = SegmentationLoss([Term("bce_dice")], "sigmoid", channels=1)
    rng, seen = np.random.default_rng(0), 0
    for batches in (training, validation):
        for images, masks in (batches[step] for step in range(len(batches))):
            assert (masks[is_marked(images)] == IGNORE).all()
            seen += np.count_nonzero(is_marked(images))
            logits = rng.normal(0, 3, (*masks.shape, 1)).astype(np.float32)
            other = np.where(masks[..., None] == IGNORE, -logits, logits)
            assert float(loss(masks, logits)) == pytest.approx(float(loss(masks, other)), abs=1e-6)
    assert seen > 3000


def test_what_a_model_says_there_changes_no_score(config, tmp_path):
    made = config("tiles")
    dataset_tile(made)
    truth = write_field(tmp_path / "source", "c", 2)
    scores = []
    for name, there in (("empty", 0), ("full", 1)):
        guess = truth.copy()
        guess[:50] = 0  # not perfect
        guess[truth == IGNORE] = there
        (tmp_path / name).mkdir()
        Pillow.fromarray(guess).save(tmp_path / name / "c.png")

        report = evaluate(made, predictions=tmp_path / name, output=tmp_path / f"scores-{name}")

        scores.append((tmp_path / f"scores-{name}" / "scores.csv").read_text())
        assert report.exit_code == 0

    assert scores[0] == scores[1]

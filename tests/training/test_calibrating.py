"""Temperature and threshold, with an answer in place of a network."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image as Pillow

from cervseg.classes import Classes
from cervseg.contract import Contract
from cervseg.data.labelled import Labelled
from cervseg.reports import SILENT
from cervseg.training import calibrating

CELL = Classes.of({"cell": "#00c853"})
CONTRACT = Contract("unet", {}, CELL, "sigmoid", tile_size=32, margin=4)
HEIGHT, WIDTH, FIELDS = 41, 30, 3


def brightness(contract):
    """The answer of a pixel is its level; divided logits are not asked for here."""
    return lambda tiles: tiles[..., :1].astype(np.float32) / 255


@pytest.fixture
def fields(tmp_path):
    """Bright where there are cells, with some of it the other way round."""
    rng = np.random.default_rng(0)
    made = []
    for number in range(FIELDS):
        mask = rng.integers(0, 2, (HEIGHT, WIDTH), np.uint8)
        level = np.where(rng.random(mask.shape) < 0.9, mask, 1 - mask) * 180 + 30
        image, truth = tmp_path / f"{number}.png", tmp_path / f"{number}_mask.png"
        Pillow.fromarray(np.repeat(level[..., None], 3, 2).astype(np.uint8)).save(image)
        Pillow.fromarray(mask).save(truth)
        made.append(Labelled(str(number), image, truth, "index"))
    return made


def fitted(fields, tmp_path, monkeypatch):
    """What the temperature is fitted on, and the contract that comes of it."""
    samples = []

    def fit(answers, activation):
        samples.extend(answers)
        return 1.25

    monkeypatch.setattr(calibrating, "fit_temperature", fit)
    found = calibrating.calibrate(
        CONTRACT, brightness, fields, dataset=SimpleNamespace(classes=CELL), fit=True,
        table=tmp_path / "table.csv", progress=SILENT,
    )  # fmt: skip
    return samples, found


def test_the_temperature_is_fitted_on_all_pixels_of_a_few_small_fields(
    fields, tmp_path, monkeypatch
):
    samples, found = fitted(fields, tmp_path, monkeypatch)

    assert [len(one.channel) for one in samples] == [HEIGHT * WIDTH] * FIELDS
    assert found == replace(CONTRACT, temperature=1.25, threshold=found.threshold)
    assert 30 / 255 < found.threshold[0] < 210 / 255
    assert (tmp_path / "table.csv").read_text().count("\n") > 2


def test_of_many_fields_some_pixels_each_since_all_are_in_memory(fields, tmp_path, monkeypatch):
    monkeypatch.setattr(calibrating, "MOST_OF_ALL", 300)

    samples, _ = fitted(fields, tmp_path, monkeypatch)

    sizes = [len(one.channel) for one in samples]
    assert sum(sizes) <= 300 and min(sizes) > 80

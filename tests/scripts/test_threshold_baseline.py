import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cervseg.classes import Classes
from cervseg.data.manifest import SourceRow, describe, write_dataset

SCRIPTS = Path(__file__).parents[2] / "scripts"
BASELINE = runpy.run_path(str(SCRIPTS / "threshold_baseline.py"))
SYNTHETIC = runpy.run_path(str(SCRIPTS / "synthetic_fields.py"))


def noise_field(seed):
    return np.random.default_rng(seed).integers(0, 256, (150, 201, 3), "uint8")


@pytest.mark.parametrize(("index", "channel"), list(enumerate(BASELINE["CHANNELS"])))
@pytest.mark.parametrize("above", [True, False])
def test_a_class_that_is_a_threshold_is_found_exactly(index, channel, above):
    pixels = noise_field(index)
    plane = BASELINE["split_channels"](pixels)[index]
    true = plane > 120 if above else plane <= 120

    rule = BASELINE["best_threshold"]([(pixels, true)])

    assert rule.dice == 1
    np.testing.assert_array_equal(rule.apply(pixels), true)
    assert BASELINE["mean_dice"](rule, [(pixels, true)]) == 1


def test_the_table_of_all_rules_equals_thresholding_one_by_one():
    pixels = noise_field(0)[:20, :31]
    true = noise_field(1)[:20, :31, 0] > 200

    table = BASELINE["dice_table"](pixels, true)

    for channel, name in enumerate(BASELINE["CHANNELS"]):
        for value in (0, 100, 254, 255):
            for above in (False, True):
                rule = BASELINE["ThresholdRule"](name, above, value, 0.0)
                expected = BASELINE["dice"](true, rule.apply(pixels))
                assert table[channel, int(above), value] == pytest.approx(expected)


def test_a_field_without_foreground_is_right_only_with_an_empty_mask():
    table = BASELINE["dice_table"](noise_field(0), np.zeros((150, 201), bool))

    assert set(np.unique(table)) == {0, 1}
    assert table[0, 1, 255] == 1  # nothing is above 255


def test_ignored_pixels_are_no_foreground():
    found = BASELINE["foreground"](np.array([[0, 1, 2, 255]], np.uint8))

    assert found.tolist() == [[False, True, True, False]]


@pytest.mark.parametrize(
    "size", [{"height": 301, "width": 402}, pytest.param({}, marks=pytest.mark.slow)], ids=str
)
def test_no_threshold_finds_the_cells_of_held_out_synthetic_fields(size):
    fields = [SYNTHETIC["draw_field"](np.random.default_rng([0, i]), **size) for i in range(1, 11)]
    labelled = [(pixels, mask == 1) for pixels, mask in fields]

    rule = BASELINE["best_threshold"](labelled[:6])

    assert rule.dice < 0.6
    assert BASELINE["mean_dice"](rule, labelled[6:]) < 0.6


@pytest.fixture
def dataset(tmp_path):
    rows = []
    for i, split in enumerate(["train", "train", "test"]):
        pixels = noise_field(i)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
        Image.fromarray((pixels[..., 1] > 99).astype("uint8") * 255).save(
            tmp_path / f"{i}_mask.png"
        )
        names = str(i), f"{i}.png", f"{i}_mask.png", "", "", str(i), split, ""
        rows.append(SourceRow(*names, 150, 201, 1.0, 1.0, "", "", "", 0.5))
    classes = Classes.of({"cell": "#00ff00"})
    document = describe(classes, scale=1.0, tile_size=64, reading="threshold")
    write_dataset(tmp_path, document, sources=rows, tiles=[])
    return tmp_path


def test_the_command_fits_on_train_and_scores_on_test(dataset, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["threshold_baseline.py", str(dataset), "--json"])

    assert BASELINE["main"]() == 0

    assert json.loads(capsys.readouterr().out) == {
        "dice": 1.0,
        "train_dice": 1.0,
        "channel": "green",
        "direction": "above",
        "threshold": 99,
    }


def test_a_folder_that_is_no_dataset_is_one_line_and_exit_3(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["threshold_baseline.py", str(tmp_path)])

    assert BASELINE["main"]() == 3

    assert capsys.readouterr().err.startswith(f"error: {tmp_path}: no dataset in it\nhint: ")

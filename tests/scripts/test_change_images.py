import importlib
from pathlib import Path

import numpy as np
import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
SCORES = {"dice": 0.5, "iou": 0.4, "precision": 0.3, "recall": 0.2, "cell_recall": 0.1}


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("change_images")


@pytest.fixture
def picture():
    rows, columns = np.mgrid[:31, :45]
    levels = 90 + 60 * np.sin(rows / 4) + 60 * np.cos(columns / 3)
    return np.stack([levels + 30, levels, levels + 20], -1).clip(0, 255).astype(np.uint8)


def test_every_change_keeps_the_size_and_all_but_the_first_change_something(script, picture):
    before, changed = picture.copy(), [c(picture) for c in script.CHANGES.values()]

    assert all(one.shape == (31, 45, 3) and one.dtype == np.uint8 for one in changed)
    assert np.array_equal(changed[0], picture) and np.array_equal(picture, before)
    assert len({one.tobytes() for one in changed}) == len(script.CHANGES)


def test_a_warmer_light_is_redder_and_a_colder_one_bluer(script, picture):
    warm, cold = (script.tint(*f)(picture).mean((0, 1)) for f in ((1.12, 0.88), (0.88, 1.12)))
    plain = picture.mean((0, 1))

    assert warm[0] > plain[0] > cold[0] and warm[2] < plain[2] < cold[2]
    assert warm[1] == plain[1] == cold[1]


def test_the_table_has_means_for_each_size_of_files_without_what_has_no_value(script):
    rows = [
        script.Row(scale, "as it is", {**SCORES, "cell_match": match})
        for scale, match in (((6.0, 8.0), 0.5), ((1.0, 1.0), 1.0), ((1.0, 1.0), float("nan")))
    ]

    lines = list(script.as_table(rows))

    common = "0.500 | 0.400 | 0.300 | 0.200 | 0.100"
    assert lines[2:] == [
        f"| 1 x 1 | as it is | 2 | {common} | 1.000 |",
        f"| 6 x 8 | as it is | 1 | {common} | 0.500 |",
    ]

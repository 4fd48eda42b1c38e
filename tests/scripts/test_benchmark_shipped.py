"""That each way ends in the mask it is timed for; no times."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("benchmark_shipped")


@pytest.mark.parametrize("name", ["mask alone", "as it is"])
def test_a_road_leads_from_a_photograph_to_its_mask(script, tmp_path, name):
    photo = tmp_path / "field.jpg"
    Pillow.fromarray(np.full((150, 210, 3), 200, np.uint8)).save(photo)
    road = script.our_road(
        Path("builtin:metaplastic"), photo, tmp_path / name, engine="keras", keys=script.WAYS[name],
        threads=1,
    )  # fmt: skip

    road()

    with Pillow.open(tmp_path / name / "masks/field.png") as mask:
        assert mask.size == (210, 150)
    assert (tmp_path / name / "overlays/field.jpg").is_file() == (name == "as it is")


def test_each_takes_its_turn_and_the_first_is_not_counted(script):
    turns = []
    roads = {name: (lambda name=name: turns.append(name)) for name in "ab"}

    medians = script.take_turns(roads, 2)

    assert turns == [*"ababab"] and set(medians) == {"a", "b"}

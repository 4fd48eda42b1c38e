"""Herlev as published has cells of one slide on both sides; grouped by slide it has not."""

import json
import os
import re
from pathlib import Path

import pytest

from cervseg.cli.app import main
from cervseg.data.manifest import open_dataset

CONFIG = """\
data:
  output: tiles
  source:
    images: {root}/{{split}}/images
    masks: {root}/{{split}}/masks
  group_pattern: '^(\\d+)-'
  split: {{kind: {kind}}}
  tile_size: 128
train: {{output: run}}
"""


@pytest.fixture
def herlev(tmp_path, monkeypatch):
    """Writes the config with a kind of split; in an empty folder."""
    repository = Path(__file__).resolve().parents[2]
    shared = Path(os.environ.get("CERVSEG_SHARED", repository.parent / "shared"))
    root = shared / "data" / "herlev-severe"
    if not root.is_dir():
        pytest.skip(f"{root} is missing; CERVSEG_SHARED names the folder that holds data/")
    monkeypatch.chdir(tmp_path)

    def write(kind):
        Path("c.yaml").write_text(CONFIG.format(root=root, kind=kind))

    return write


def test_herlev_as_published_is_refused(herlev, capsys):
    herlev("folders")

    assert main(["dataset-tile", "c.yaml"]) == 4

    told = capsys.readouterr().err
    assert "error: training and scoring data overlap: 20 problems\n" in told
    assert "  group '149056410': 149056410-149056423-001 (train), " in told
    assert "hint: split by group: data.group_pattern" in told
    assert not Path("tiles").exists()


@pytest.mark.slow
def test_herlev_as_published_is_cut_for_a_reason_and_still_not_trained_on_without(herlev, capsys):
    herlev("folders")

    assert main(["dataset-tile", "c.yaml", "--allow-leak", "to compare with its authors"]) == 0

    allowed = json.loads(Path("tiles/dataset.json").read_text())["allowed_leak"]
    assert allowed["reason"] == "to compare with its authors"
    assert len(re.findall(r"group '\d+'", allowed["found"][0])) == 20
    told = capsys.readouterr().err
    assert "leak allowed (to compare with its authors): training and scoring data overlap" in told
    assert main(["train", "c.yaml"]) == 4
    assert not Path("run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("words", [[], ["--set", "data.folds=5"]], ids=["fractions", "folds"])
def test_herlev_by_slide_passes(herlev, words):
    herlev("fractions")

    assert main(["dataset-tile", "c.yaml", *words]) == 0

    sources = open_dataset(Path("tiles")).sources
    assert len(sources) == 190
    assert len({row.group for row in sources}) == 57
    assert len({(row.group, row.split, row.fold) for row in sources}) == 57
    document = json.loads(Path("tiles/dataset.json").read_text())
    assert document["near_duplicates"] == [], "all cells are distinct"

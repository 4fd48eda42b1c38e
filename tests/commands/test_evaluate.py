from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cervseg.commands import scored
from cervseg.commands.evaluate import _following, evaluate
from cervseg.config import Config
from cervseg.errors import ConfigError, DataError


@pytest.mark.parametrize(("name", "given"), [("model", ("run",)), ("whole", True)])
def test_masks_from_files_are_refused_beside_what_would_predict(name, given):
    with pytest.raises(ConfigError) as caught:
        evaluate(Config(), predictions=Path("masks"), **{name: given})

    assert str(caught.value) == f"--predictions are scored as they are, without --{name}"


@pytest.mark.parametrize(
    ("data", "words", "named"),
    [
        ({"train": {"output": "runs/mine"}}, "c.yaml", False),
        (
            {},
            "--set tiled_infer.scale=2",
            True,
        ),  # without an experiment the built-in is the default
        ({}, None, True),
    ],
)
def test_the_next_command_names_the_model_unless_the_config_does(data, words, named):
    config = Config.model_validate(data)

    command = _following(config, [config.train.output], config_words=words, fold=None)

    assert ("--model" in command) == named
    assert command.endswith("IMAGES") and (words or "") in command


@pytest.fixture
def judged(tmp_path):
    """Writes fields of small nuclei, their truth, and empty predictions, under names of ours."""

    def write(*names):
        for name in names:
            truth = np.zeros((60, 90), np.uint8)
            truth[5:18, 7:20] = truth[30:43, 50:63] = 255
            for folder, pixels in (("images", np.full((60, 90, 3), 200, np.uint8)),
                                   ("masks", truth), ("pred", 0 * truth)):  # fmt: skip
                (tmp_path / folder).mkdir(exist_ok=True)
                Image.fromarray(pixels).save(tmp_path / folder / f"{name}.png")
        return {key: tmp_path / folder for key, folder in
                (("images", "images"), ("masks", "masks"), ("predictions", "pred"))}  # fmt: skip

    return write


def test_nuclei_below_the_limit_of_a_cell_are_told(judged, tmp_path):
    folders = judged("a", "b")

    report = evaluate(**folders, output=tmp_path / "e")
    lower = evaluate(
        Config.model_validate({"evaluate": {"min_cell_area": 100}}),
        **folders,
        output=tmp_path / "f",
    )

    told = [notice for notice in report.notices if "evaluate.min_cell_area" in notice]
    assert told == [
        "cell: 4 of 4 annotated objects have less than 200 pixels and are no cells to the scores "
        "of cells: evaluate.min_cell_area sets the limit"
    ]
    assert report.results[0]["scores"]["cell_recall"]["mean"] == 1
    assert lower.results[0]["scores"]["cell_recall"]["mean"] == 0
    assert not any("min_cell_area" in notice for notice in lower.notices)
    fates = (tmp_path / "f" / "objects.csv").read_text().count("missed")
    assert fates == 4


def test_a_name_as_long_as_a_file_system_allows_has_scores_and_pictures(judged, tmp_path):
    name = "n" * 250

    report = evaluate(**judged(name), output=tmp_path / "e")

    assert {path.name for path in report.paths} >= {"scores.json", "report.html"}
    assert [path.name[:7] for path in (tmp_path / "e" / "overlays").iterdir()] == ["worst1_"]


def test_a_picture_that_can_not_be_read_any_more_costs_no_score(judged, tmp_path, monkeypatch):
    folders = judged("a", "b")
    read = scored.read_labelled
    gone = {"a"}

    def fail(item, classes):
        if item.name in gone:
            raise DataError("gone")
        return read(item, classes)

    monkeypatch.setattr(scored, "read_labelled", fail)

    evaluate(**folders, output=tmp_path / "e")

    assert (tmp_path / "e" / "scores.json").is_file()
    assert [path.stem for path in (tmp_path / "e" / "overlays").iterdir()] == ["worst2_b"]

"""Cross-validation of a network that trains in a second, on fields of one tile."""

import csv
import json
import shutil
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest

from cervseg.config import Config
from cervseg.contract import Contract
from cervseg.data.manifest import open_dataset
from cervseg.errors import ConfigError, DataError, Interrupted, LeakError, OutputError
from cervseg.files import read_json

FOLDS = 3
FIELDS = [f"s{slide}_{field}" for slide in range(4) for field in range(2)]


@pytest.fixture(autouse=True, scope="module")
def no_curves():
    """Pictures of curves take longer than these trainings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cervseg.training.callbacks.plot_curves", lambda *args: None)
        yield


@pytest.fixture(scope="module")
def cross_validate(started):
    from cervseg.commands.cross_validation import cross_validate

    return cross_validate


@pytest.fixture(scope="module")
def config(tmp_path_factory, started, draw_discs):
    """Eight fields of four slides in three folds, cut."""
    from cervseg.commands.dataset_tile import dataset_tile

    folder = tmp_path_factory.mktemp("data")
    draw_discs(folder, FIELDS)
    config = Config.model_validate(
        {
            "data": {
                "output": str(folder / "tiles"),
                "source": {"images": str(folder / "images"), "masks": str(folder / "masks")},
                "group_pattern": "s[0-9]", "folds": FOLDS, "tile_size": 32, "overlap": 8,
            },
            "model": {"base_filters": 2, "num_layers": 2, "dropout_rate": 0.3},
            "train": {
                "epochs": 2, "batch_size": 2, "steps_per_epoch": 2, "learning_rate": 0.01,
                "optimizer": "sgd", "momentum": 0.0,
                "previews": {"num_infer_images": 0}, "patience": 0, "workers": 1,
            },
            "evaluate": {"overlays": 0, "resamples": 200},
            "runtime": {"seed": 3, "device": "cpu", "threads": 2},
        }
    )  # fmt: skip
    dataset_tile(config)
    return config


def into(config, folder, **changes):
    """The config with another output and some keys changed, section by section."""
    changes["train"] = {"output": folder, **changes.get("train", {})}
    sections = {
        name: getattr(config, name).model_copy(update=keys) for name, keys in changes.items()
    }
    return config.model_copy(update=sections)


@pytest.fixture(scope="module")
def whole(cross_validate, config, tmp_path_factory):
    """A cross-validation in one go: its folder and its report."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    return folder, cross_validate(into(config, folder), config_words="c.yaml")


def table(folder):
    with (folder / "folds.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def weights(run):
    found = {}
    with h5py.File(run / "model/model.weights.h5") as file:
        file.visititems(
            lambda name, item: found.update({name: np.array(item)})
            if isinstance(item, h5py.Dataset) else None
        )  # fmt: skip
    return found


def assert_same_run(one, two):
    for name in ("history.csv", "evaluation/test/scores.csv"):
        assert (one / name).read_text() == (two / name).read_text()
    mine, theirs = weights(one), weights(two)
    assert mine.keys() == theirs.keys() and len(mine) > 10
    for name in mine:
        np.testing.assert_array_equal(mine[name], theirs[name], name)


def test_every_image_is_scored_once_by_the_fold_it_is_the_test_of(whole, config):
    folder, _ = whole

    fold_of = {row.name: row.fold for row in open_dataset(config.data.output).sources}
    assert sorted(row["image"] for row in table(folder)) == FIELDS
    assert {row["image"]: row["fold"] for row in table(folder)} == fold_of


def test_no_model_was_fitted_on_what_it_is_scored_on_nor_on_its_slide(whole, config):
    folder, _ = whole
    dataset = open_dataset(config.data.output)

    for fold in range(FOLDS):
        seen = {i.sha256: i.split for i in Contract.load(folder / f"fold{fold}/model").trained_on}
        splits = {row.fold: {seen.get(row.sha256)} for row in dataset.sources}
        for row in dataset.sources:
            splits[row.fold].add(seen.get(row.sha256))
        after = str((fold + 1) % FOLDS)
        assert splits.pop(str(fold)) == {None}
        assert splits.pop(after) == {"valid"}
        assert list(splits.values()) == [{"train"}]


def test_scores_are_over_all_images_and_those_of_each_fold_stand_beside_them(whole):
    folder, report = whole
    document = json.loads((folder / "folds.json").read_text())
    (cell,) = document["classes"]
    dice = [float(row["dice"]) for row in table(folder)]

    assert (document["format"], document["complete"]) == (1, True)
    assert cell["scores"]["dice"]["mean"] == pytest.approx(np.mean(dice))
    assert cell["scores"]["dice"]["images"] == len(FIELDS)
    assert min(dice) <= cell["scores"]["dice"]["low"] <= cell["scores"]["dice"]["high"] <= max(dice)
    for record in document["folds"]:
        ours = [float(r["dice"]) for r in table(folder) if r["fold"] == str(record["fold"])]
        assert record["means"]["cell"]["dice"] == pytest.approx(np.mean(ours))
        assert record["images"] == len(ours)
    (result,) = report.results
    assert {**result, "folds": None} == {**cell, "folds": None}
    assert result["folds"] == document["folds"]


def test_a_page_tells_of_all_folds_together(whole):
    folder, _ = whole

    page = (folder / "report.html").read_text()

    assert "3 folds: 8 images, each scored by a model that has not seen it" in page


def test_the_baseline_is_that_of_all_images(whole):
    folder, _ = whole
    (cell,) = json.loads((folder / "folds.json").read_text())["classes"]

    empty = [float(row["empty_accuracy"]) for row in table(folder)]

    assert cell["scores"]["accuracy"]["baseline"] == pytest.approx(np.mean(empty))
    assert cell["scores"]["hd95"]["baseline"] is None


def test_the_report_names_the_models_of_all_folds_next(whole):
    folder, report = whole

    assert (report.command, report.exit_code, report.paths) == ("train", 0, (folder,))
    models = " ".join(f"--model {folder}/fold{fold}" for fold in range(FOLDS))
    assert report.next_command == f"cervseg tiled-infer c.yaml {models} IMAGES"
    assert [row[0] for row in report.tables[0].rows] == ["0", "1", "2"]
    assert report.tables[1].title.startswith("3 folds: 8 images, each scored by a model that has")


def test_each_fold_is_a_run_that_says_which_it_is(whole):
    folder, _ = whole

    for fold in range(FOLDS):
        record = json.loads((folder / f"fold{fold}/run.json").read_text())
        assert (record["fold"], record["ended"]) == (fold, "epochs")


def test_a_finished_one_is_only_summed_up_again(*, cross_validate, config, whole, monkeypatch):
    folder, report = whole
    for name in ("train", "evaluate"):
        monkeypatch.setattr(f"cervseg.commands.trial.{name}", None)

    again = cross_validate(into(config, folder), resume=True, config_words="c.yaml")

    assert again == report


def test_a_second_time_is_refused_without_resume(cross_validate, config, whole):
    folder, _ = whole

    with pytest.raises(OutputError, match="the output folder is not empty"):
        cross_validate(into(config, folder))


def test_a_folder_of_somebody_else_is_not_resumed(cross_validate, config, tmp_path):
    (tmp_path / "notes.txt").write_text("precious")

    with pytest.raises(OutputError, match="the output folder is not empty"):
        cross_validate(into(config, tmp_path), resume=True)

    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_another_config_does_not_go_on_in_it(cross_validate, config, whole):
    folder, _ = whole

    with pytest.raises(ConfigError) as caught:
        cross_validate(into(config, folder, train={"epochs": 3}), resume=True)

    assert str(caught.value) == (
        f"{folder}/fold0: can't resume with another config: train.epochs differ"
    )


@pytest.mark.slow
def test_a_fold_alone_is_the_same_bit_for_bit(config, whole, tmp_path):
    from cervseg.commands.evaluate import evaluate
    from cervseg.commands.train import train

    folder, _ = whole
    alone = into(config, tmp_path / "run")

    for fold in (2, 1):  # not in the order in which they were trained
        report = train(alone, fold=fold, config_words="c.yaml")
        assert report.next_command == f"cervseg evaluate c.yaml --fold {fold}"
        evaluate(alone, fold=fold)
        assert_same_run(tmp_path / f"run/fold{fold}", folder / f"fold{fold}")


class Interrupter:
    """A progress that presses Ctrl-C at the n-th bar of a name."""

    def __init__(self, name, time):
        self.name, self.left = name, time

    @contextmanager
    def bar(self, description, total):
        self.left -= description == self.name
        if not self.left:
            raise KeyboardInterrupt
        yield self

    def advance(self, steps=1, *, note=None):
        pass


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "time"), [("epoch 2/2", 2), ("images", 2)], ids=["training", "scoring"]
)
def test_an_interrupted_one_goes_on_and_ends_as_if_it_was_not(
    *, cross_validate, config, whole, tmp_path, name, time
):
    """In the second fold: in its last epoch, or while it is scored."""
    folder, report = whole
    run = tmp_path / "run"

    with pytest.raises(Interrupted):
        cross_validate(into(config, run), progress=Interrupter(name, time))
    first = (run / "fold0/model/model.weights.h5").stat().st_mtime_ns
    assert json.loads((run / "folds.json").read_text())["complete"] is False

    again = cross_validate(into(config, run), resume=True)

    assert (run / "fold0/model/model.weights.h5").stat().st_mtime_ns == first, "was kept"
    assert again.results == report.results
    assert table(run) == table(folder)
    for fold in range(FOLDS):
        assert_same_run(run / f"fold{fold}", folder / f"fold{fold}")


@pytest.mark.slow
def test_other_settings_of_the_masks_finish_and_score_again_and_train_nothing(
    *, cross_validate, config, whole, monkeypatch
):
    folder, report = whole
    monkeypatch.setattr("cervseg.training.trainer._run_epochs", None)
    tiled_infer = {"min_area": 10_000}

    again = cross_validate(into(config, folder, tiled_infer=tiled_infer), resume=True)

    assert again.results[0]["scores"]["dice"]["mean"] == 0
    assert Contract.load(folder / "fold0" / "model").postprocess.min_area == 10_000
    back = cross_validate(into(config, folder), resume=True, config_words="c.yaml")
    assert back == report


@pytest.mark.slow
def test_an_image_that_can_not_be_scored_is_told_and_tried_again(
    *, cross_validate, config, whole, tmp_path
):
    folder, report = whole
    photo = Path(next(r.image for r in open_dataset(config.data.output).sources if r.fold == "0"))
    scores = folder / "fold0/evaluation/test/scores.json"
    document = read_json(scores, what="scores")
    scores.write_text(json.dumps({**document, "surface_tolerance": 99}))  # so that it is scored
    document["settings"]["evaluate"]["surface_tolerance"] = 99
    scores.write_text(json.dumps(document))
    pixels = photo.read_bytes()
    photo.write_bytes(pixels[:300])
    try:
        broken = cross_validate(into(config, folder), resume=True)
    finally:
        photo.write_bytes(pixels)

    assert broken.exit_code == 3
    assert [failure.item for failure in broken.failures] == [str(photo)]
    assert json.loads((folder / "folds.json").read_text())["complete"] is False
    again = cross_validate(into(config, folder), resume=True, config_words="c.yaml")
    assert again == report


# --- refused before any work


def test_a_dataset_in_folds_is_neither_trained_nor_scored_without_one(config, tmp_path):
    from cervseg.commands.evaluate import evaluate
    from cervseg.commands.train import train

    for verb, hint in ((train, "add --fold K or --all-folds"), (evaluate, "add --fold K")):
        with pytest.raises(ConfigError) as caught:
            verb(into(config, tmp_path / "run"))
        assert str(caught.value) == f"{config.data.output}: in 3 folds, and none is chosen"
        assert caught.value.hint == hint
    assert not (tmp_path / "run").exists()


def test_a_fold_is_not_of_labelled_folders(config):
    from cervseg.commands.evaluate import evaluate

    with pytest.raises(ConfigError) as caught:
        evaluate(config, fold=1, images=Path("i"), masks=Path("m"))

    assert str(caught.value) == "--fold is of a dataset, --images and --masks are outside any"


def test_a_dataset_with_splits_has_no_folds(cross_validate, config, tmp_path):
    from cervseg.commands.dataset_tile import dataset_tile

    split = into(config, tmp_path / "run", data={"folds": None, "output": tmp_path / "tiles"})
    dataset_tile(split)

    with pytest.raises(ConfigError) as caught:
        cross_validate(split)

    assert str(caught.value) == f"{tmp_path}/tiles: not in folds"
    assert not (tmp_path / "run").exists()


def test_a_picture_in_two_folds_is_refused_before_the_first_is_trained(
    *, cross_validate, config, tmp_path
):
    """Even where the first fold would train on both."""
    data = replace_picture(config, tmp_path)

    with pytest.raises(LeakError) as caught:
        cross_validate(into(config, tmp_path / "run", data=data))

    assert "one picture: " in str(caught.value)
    assert not (tmp_path / "run").exists()


def replace_picture(config, folder):
    """A dataset whose table says that the pictures of folds 1 and 2 have one digest."""
    shutil.copytree(config.data.output, folder / "tiles")
    dataset = open_dataset(folder / "tiles")
    firsts = {row.fold: row for row in reversed(dataset.sources)}
    path = folder / "tiles/sources.csv"
    path.write_text(path.read_text().replace(firsts["1"].sha256, firsts["2"].sha256))
    return {"output": folder / "tiles"}


def test_scores_that_are_broken_are_named(*, cross_validate, config, whole, tmp_path):
    folder, _ = whole
    shutil.copytree(folder, tmp_path / "run")
    scores = tmp_path / "run/fold1/evaluation/test/scores.json"
    document = json.loads(scores.read_text())
    scores.write_text(json.dumps({**document, "classes": None}))

    with pytest.raises(DataError, match=f"{scores}: not a table of scores"):
        cross_validate(into(config, tmp_path / "run"), resume=True)

import csv
import json
import math

import numpy as np
import pytest
from PIL import Image as Pillow

from cervseg.classes import Classes
from cervseg.reporting.pictures import Compared, write_overlay
from cervseg.reporting.scores import Evaluation, score_tables, write_evaluation
from cervseg.scoring.calibration import ProbabilityCounts
from cervseg.scoring.summary import SCORES, Summary, score_image, summarize

CLASSES = Classes.of({"cell": "#00ff00", "nucleus": "#ff0000"})
CONFUSION = [[3000, 40, 0], [70, 600, 5], [9, 0, 0]]
NAMES = ("field_2", "field, the 10th")


def evaluation(**changes):
    """Two odd fields and two classes; none of the nuclei is matched, so `matched_iou` is nan."""
    rng = np.random.default_rng(0)
    rows, empty = [], []
    for height, width in ((41, 63), (25, 37)):
        true = np.zeros((height, width), np.uint8)
        true[3:22, 5:24], true[2:4, 30:33] = 1, 2
        guess = np.where(rng.random(true.shape) < 0.9, true, 0).astype(np.uint8) % 2
        rows.append([score_image(true, guess, i) for i in (1, 2)])
        empty.append([score_image(true, 0 * true, i) for i in (1, 2)])
    summaries = {
        name: summarize([r[i] for r in rows], [r[i] for r in empty], seed=3, resamples=200)
        for i, name in enumerate(CLASSES.names)
    }
    values = {
        "heading": "test: 2 images, tiled, run", "split": "test", "seed": 3, "names": NAMES,
        "rows": rows, "summaries": summaries, "losses": {"loss": 0.123456, "dice": math.nan},
        "confusion": CONFUSION, "surface_tolerance": 2.5,
    }  # fmt: skip
    return Evaluation(**{**values, **changes})


def strictly(text):
    """Parse JSON, in which nan and infinity are no numbers."""

    def refuse(name):
        raise AssertionError(f"{name} in JSON")

    return json.loads(text, parse_constant=refuse)


def table(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_the_files_are_written_and_named(tmp_path):
    paths = write_evaluation(tmp_path / "evaluation" / "test", evaluation())

    assert [path.name for path in paths] == [
        "scores.csv", "evaluation.csv", "scores.json", "confusion.csv", "objects.csv",
    ]  # fmt: skip
    assert sorted((tmp_path / "evaluation" / "test").iterdir()) == sorted(paths)


def test_the_scores_survive_being_written_and_read(tmp_path):
    scored = evaluation()

    path = write_evaluation(tmp_path, scored)[2]

    document = strictly(path.read_text())
    assert list(document) == [
        "format", "heading", "split", "seed", "surface_tolerance", "losses",
        "calibration_error", "classes", "confusion",
    ]  # fmt: skip
    assert document["format"] == 1
    assert (document["heading"], document["split"], document["seed"]) == (
        "test: 2 images, tiled, run", "test", 3,
    )  # fmt: skip
    assert document["losses"] == {"loss": 0.123456, "dice": None}
    assert document["classes"] == list(scored.results())
    assert document["surface_tolerance"] == 2.5
    assert document["confusion"] == {
        "classes": ["background", "cell", "nucleus"], "pixels": CONFUSION,
    }  # fmt: skip


def test_probabilities_are_counted_where_there_are_any(tmp_path):
    counts = ProbabilityCounts()
    counts.add(np.array([True, False, True]), np.array([0.25, 0.25, 1.0], np.float32))

    paths = write_evaluation(tmp_path, evaluation(counts={"cell": counts}))

    assert table(paths[5]) == [
        ["class", "probability", "pixels", "true"],
        ["cell", "0.25", "2", "1"],
        ["cell", "0.999", "1", "1"],
    ]
    document = strictly(paths[2].read_text())
    assert document["calibration_error"] == {"cell": pytest.approx(0.5 / 3)}
    shown = [t for t in score_tables(evaluation(counts={"cell": counts})) if "calib" in t.title]
    assert shown[0].rows == (("cell", "0.1667"),)


def test_the_confusion_has_a_table_rows_truth_columns_prediction(tmp_path):
    rows = table(write_evaluation(tmp_path, evaluation())[3])

    assert rows == [
        ["truth", "background", "cell", "nucleus"],
        ["background", "3000", "40", "0"],
        ["cell", "70", "600", "5"],
        ["nucleus", "9", "0", "0"],
    ]


def test_a_record_a_class_holds_its_summaries_and_its_images():
    scored = evaluation()

    cell, nucleus = scored.results()

    assert (cell["class"], nucleus["class"], cell["split"]) == ("cell", "nucleus", "test")
    assert list(cell["scores"]) == list(SCORES)
    dice = scored.summaries["cell"]["dice"]
    assert cell["scores"]["dice"] == {
        "mean": dice.mean, "low": dice.low, "high": dice.high, "baseline": 0.0, "images": 2,
    }  # fmt: skip
    assert [row["image"] for row in cell["images"]] == list(NAMES)
    assert [row["dice"] for row in cell["images"]] == [row[0]["dice"] for row in scored.rows]
    assert [row["recall"] for row in nucleus["images"]] == [row[1]["recall"] for row in scored.rows]


def test_what_has_no_score_is_null_in_json():
    nucleus = evaluation().results()[1]

    assert nucleus["scores"]["matched_iou"] == {
        "mean": None, "low": None, "high": None, "baseline": None, "images": 0,
    }  # fmt: skip
    assert [row["matched_iou"] for row in nucleus["images"]] == [None, None]
    assert [row["cells"] for row in nucleus["images"]] == [0, 0]


def test_the_table_has_a_row_an_image_and_class(tmp_path):
    scored = evaluation()

    header, *rows = table(write_evaluation(tmp_path, scored)[0])

    assert header == [
        "image", "class", "dice", "iou", "precision", "recall", "accuracy", "empty_accuracy",
        "cell_recall", "cell_match", "matched_iou", "cells", "specks",
        "panoptic_quality", "segmentation_quality", "recognition_quality",
        "surface_dice", "hd95", "assd", "hd95_um", "assd_um", "vertical", "horizontal",
    ]  # fmt: skip
    assert [row[:2] for row in rows] == [[n, c] for n in NAMES for c in CLASSES.names]
    expected = [[row[i][column] for column in header[2:]] for row in scored.rows for i in (0, 1)]
    np.testing.assert_array_equal([[float(v) for v in row[2:]] for row in rows], expected)


def test_file_scales_are_scored_apart_in_tables_and_json():
    summary = evaluation().summaries["cell"]
    apart = {"cell": {"full size": summary, "a pixel of 6 x 8": summary}}
    scored = evaluation(apart=apart)

    titles = [table.title for table in score_tables(scored)]
    cell, nucleus = scored.results()

    assert titles[:3] == [
        f"{scored.heading}: cell, full size",
        f"{scored.heading}: cell, a pixel of 6 x 8",
        f"{scored.heading}: nucleus",
    ]
    assert list(cell["apart"]) == ["full size", "a pixel of 6 x 8"] and "apart" not in nucleus
    assert cell["apart"]["full size"] == cell["scores"]


@pytest.mark.parametrize("losses", [{"loss": 0.123456789012345, "val, x": 2.0}, {}])
def test_losses_have_a_table_of_their_own(tmp_path, losses):
    header, *rows = table(write_evaluation(tmp_path, evaluation(losses=losses))[1])

    assert header == ["name", "value"]
    assert {name: float(value) for name, value in rows} == losses


def test_a_line_on_the_terminal_has_mean_interval_baseline_and_count():
    nothing = Summary(math.nan, math.nan, math.nan, math.nan, 0)
    summary = {
        **dict.fromkeys(SCORES, nothing),
        "dice": Summary(0.81249, 0.7, 0.90051, 0.0, 12),
        "cell_recall": Summary(1.0, 1.0, 1.0, math.nan, 1),
    }

    shown = score_tables(
        evaluation(summaries={"cell": summary}, confusion=[[7, 1], [0, 3]], losses={})
    )

    assert len(shown) == 2
    assert shown[0].title == "test: 2 images, tiled, run: cell"
    assert shown[0].columns == ("score", "mean", "95 % interval", "all background", "images")
    assert shown[0].rows == (
        ("dice", "0.812", "0.700 to 0.901", "0.000", "12"),
        ("iou", "-", "- to -", "-", "0"),
        ("precision", "-", "- to -", "-", "0"),
        ("recall", "-", "- to -", "-", "0"),
        ("accuracy", "-", "- to -", "-", "0"),
        ("cell recall", "1.000", "1.000 to 1.000", "-", "1"),
        ("cell match", "-", "- to -", "-", "0"),
        ("matched iou", "-", "- to -", "-", "0"),
        ("panoptic quality", "-", "- to -", "-", "0"),
        ("segmentation quality", "-", "- to -", "-", "0"),
        ("recognition quality", "-", "- to -", "-", "0"),
        ("surface dice", "-", "- to -", "-", "0"),
        ("hd95", "-", "- to -", "-", "0"),
        ("assd", "-", "- to -", "-", "0"),
    )
    assert shown[1].columns == ("truth", "background", "cell")
    assert shown[1].rows == (("background", "7", "1"), ("cell", "0", "3"))


def test_micrometres_have_a_line_where_an_image_has_them():
    nothing = Summary(math.nan, math.nan, math.nan, math.nan, 0)
    summary = {
        **dict.fromkeys(SCORES, nothing), "assd_um": Summary(1.25, 1.0, 1.5, math.nan, 3),
    }  # fmt: skip

    shown = score_tables(evaluation(summaries={"cell": summary}, confusion=[[7, 1], [0, 3]]))

    assert [row[0] for row in shown[0].rows][-2:] == ["assd", "assd um"]
    assert shown[0].rows[-1] == ("assd um", "1.250", "1.000 to 1.500", "-", "3")


def test_an_outline_that_is_missing_has_no_distance_and_no_baseline():
    shown = score_tables(evaluation())

    cell, nucleus = ({row[0]: row for row in one.rows} for one in shown[:2])
    assert cell["hd95"][1] != "-" and cell["hd95"][3:] == ("-", "2")
    assert nucleus["hd95"][1:] == ("-", "- to -", "-", "0")
    assert nucleus["surface dice"][1:] == ("0.000", "0.000 to 0.000", "0.000", "2")


def test_each_class_has_a_table_and_the_losses_one_more():
    shown = score_tables(evaluation(losses={"loss": 0.12345, "dice": 1.0}))

    assert [one.title.rpartition(": ")[2] for one in shown] == [
        "cell", "nucleus", "rows truth, columns prediction", "on tiles, as in training",
    ]  # fmt: skip
    assert shown[3].columns == ("name", "value")
    assert shown[3].rows == (("loss", "0.1235"), ("dice", "1.0000"))


def test_an_overlay_shows_the_truth_on_the_left_and_the_prediction_on_the_right(tmp_path):
    grey = np.full((51, 74, 3), 120, np.uint8)
    truth, guess = np.zeros((2, 51, 74), np.uint8)
    truth[5:20, 10:40], guess[30:45, 30:60] = 1, 2

    write_overlay(tmp_path / "o" / "worst1_a.jpg", Compared(grey, truth, guess), CLASSES)

    with Pillow.open(tmp_path / "o" / "worst1_a.jpg") as file:
        picture = np.asarray(file).astype(int)
    assert picture.shape[1:] == (6 + 2 * (74 + 6), 3)
    left, right = picture[24:75, 6:80], picture[24:75, 86:160]
    assert left[12, 25, 1] > left[12, 25, 0] + 20, "a green cell"
    assert right[37, 45, 0] > right[37, 45, 1] + 20, "a red nucleus"
    for empty in (right[12, 25], left[37, 45]):
        np.testing.assert_allclose(empty, 120, atol=6)


def test_an_overlay_of_several_classes_has_a_legend_below_and_of_one_it_has_none(tmp_path):
    pixels, mask = np.full((51, 74, 3), 120, np.uint8), np.zeros((51, 74), np.uint8)
    heights = []
    for classes in (Classes.of({"cell": "#00ff00"}), CLASSES):
        path = tmp_path / f"{len(classes)}.jpg"
        write_overlay(path, Compared(pixels, mask, mask), classes)
        with Pillow.open(path) as file:
            heights.append(file.height)
            strip = np.asarray(file).astype(int)[24 + 51 + 6 :]

    assert heights[0] == 24 + 51 + 6 < heights[1]
    assert (strip[..., 1] - strip[..., 0]).max() > 100, "green"
    assert (strip[..., 0] - strip[..., 1]).max() > 100, "red"


def test_an_overlay_of_a_large_image_is_reduced(tmp_path):
    pixels, mask = np.zeros((60, 2051, 3), np.uint8), np.zeros((60, 2051), np.uint8)

    write_overlay(tmp_path / "a.jpg", Compared(pixels, mask, mask), CLASSES)

    with Pillow.open(tmp_path / "a.jpg") as file:
        assert file.width == 6 + 2 * (1024 + 6)

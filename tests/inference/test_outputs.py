import csv

import pytest

from cervseg.classes import Classes
from cervseg.errors import ConfigError, DataError
from cervseg.inference.decision import ClassCount
from cervseg.inference.outputs import ImageReport, OutputFolder, coloured_classes, write_summary

TWO = Classes.of({"cell": "#00ff00", "nucleus": "#ff0000"})
COUNTS = (ClassCount("cell", 3, 120), ClassCount("nucleus", 0, 0))
FULL = ImageReport(COUNTS, 12, 0.25, 1.0123, (1.2e-7, 3e-9), ("pale",))


def test_a_class_takes_the_colour_asked_for_and_the_others_keep_theirs():
    classes, palette = coloured_classes(TWO, {"nucleus": "#0000ff", "background": "#ffffff"})

    assert classes.colours == ((0, 255, 0), (0, 0, 255))
    assert palette[:9] == [255, 255, 255, 0, 255, 0, 0, 0, 255] and len(palette) == 768


def test_no_wish_leaves_the_colours_of_the_model():
    assert coloured_classes(TWO, {}) == (TWO, TWO.palette())


def test_a_colour_for_an_unknown_class_is_refused_with_those_it_knows():
    with pytest.raises(ConfigError) as caught:
        coloured_classes(TWO, {"zell": "#0000ff", "nukleus": "#0000ff", "cell": "#0000ff"})

    assert str(caught.value) == "'colorize' names 'nukleus', which is no class of the model"
    assert caught.value.hint == "it knows cell, nucleus and background"


def test_the_summary_has_a_row_an_image_and_class(tmp_path):
    write_summary(tmp_path / "summary.csv", [("a, b", FULL), ("c", ImageReport(COUNTS[:1]))])

    with (tmp_path / "summary.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["image", "class", "objects", "pixels", "tiles", "skipped", "seam"],
            ["a, b", "cell", "3", "120", "12", "0.2500", "1.0123"],
            ["a, b", "nucleus", "0", "0", "12", "0.2500", "1.0123"],
            ["c", "cell", "3", "120", "1", "0.0000", ""],
        ]


@pytest.mark.parametrize("report", [FULL, ImageReport(COUNTS[:1])])
def test_a_report_is_read_as_it_was_written(tmp_path, report):
    report.save(tmp_path / "a.json")

    assert ImageReport.load(tmp_path / "a.json") == report


@pytest.mark.parametrize(
    "text", ["", "{}", '{"format": 1}', '{"format": 1, "counts": 3}',
             '{"format": 1, "counts": [{"x": 1}], "check": null}']
)  # fmt: skip
def test_a_broken_report_is_told_in_one_line(tmp_path, text):
    (tmp_path / "a.json").write_text(text)

    with pytest.raises(DataError, match=r"a\.json") as caught:
        ImageReport.load(tmp_path / "a.json")
    assert "\n" not in str(caught.value)


def test_shares_of_a_folder_have_records_of_their_own(tmp_path):
    alone, shared = OutputFolder(tmp_path), OutputFolder(tmp_path, "2_of_8")

    assert alone.record.name == "inference.json"
    assert shared.record.name == "inference_2_of_8.json"
    assert shared.summary.name == "summary_2_of_8.csv"
    assert shared.mask("a") == alone.mask("a")


def test_a_name_too_long_for_its_outputs_is_refused_before_anything_is_written(tmp_path):
    output = OutputFolder(tmp_path)

    output.require_room(f"deep/{'x' * 238}")
    with pytest.raises(DataError, match="its name is 240 bytes long; .* so 238 is the most"):
        output.require_room(f"deep/{'ü' * 120}")

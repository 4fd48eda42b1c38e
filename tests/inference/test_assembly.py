import csv

import numpy as np
import pytest
from PIL import Image as Pillow

from cervseg.classes import Classes
from cervseg.errors import ConfigError
from cervseg.inference.assembly import OutputFolder, coloured_classes, write_results, write_summary
from cervseg.inference.decision import ClassCount

TWO = Classes.of({"cell": "#00ff00", "nucleus": "#ff0000"})
MASK = np.arange(35, dtype=np.uint8).reshape(5, 7) % 3


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


@pytest.fixture
def written(tmp_path, noise):
    """Writes results into a folder and returns it."""

    def write(probabilities=None):
        output = OutputFolder(tmp_path / "out")
        write_results(
            output, "slide 1/field.3", image=noise(5, 7), mask=MASK, probabilities=probabilities,
            classes=TWO, palette=TWO.palette(),
        )  # fmt: skip
        return output.folder

    return write


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_a_name_with_dots_and_folders_keeps_both(written):
    assert files(written()) == ["masks/slide 1/field.3.png", "overlays/slide 1/field.3.jpg"]


def test_the_mask_holds_class_indices_under_a_palette(written):
    with Pillow.open(written() / "masks/slide 1/field.3.png") as file:
        assert file.mode == "P"
        np.testing.assert_array_equal(np.asarray(file), MASK)


def test_one_channel_of_probabilities_is_a_sixteen_bit_png(written):
    probabilities = np.linspace(0, 1, 35, dtype=np.float32).reshape(5, 7, 1)

    folder = written(probabilities)

    with Pillow.open(folder / "probabilities/slide 1/field.3.png") as file:
        values = np.asarray(file).astype(float)
    assert values.min() == 0 and values.max() == 65535
    np.testing.assert_allclose(values / 65535, probabilities[..., 0], atol=0.51 / 65535)


def test_several_channels_are_a_file_each(written):
    probabilities = np.stack([np.full((5, 7), v, np.float32) for v in (0, 0.25, 1)], axis=-1)

    folder = written(probabilities)

    names = [f"probabilities/slide 1/field.3.{channel}.png" for channel in range(3)]
    assert [name for name in files(folder) if name.startswith("prob")] == names
    for name, value in zip(names, (0, 16384, 65535), strict=True):
        with Pillow.open(folder / name) as file:
            assert set(np.asarray(file).ravel().tolist()) == {value}


def test_a_probability_a_rounding_error_over_one_is_white_and_not_black(written):
    folder = written(np.full((5, 7, 1), np.nextafter(np.float32(1), np.float32(2)), np.float32))

    with Pillow.open(folder / "probabilities/slide 1/field.3.png") as file:
        assert set(np.asarray(file).ravel().tolist()) == {65535}


def test_the_summary_has_a_row_an_image_and_class(tmp_path):
    counts = [ClassCount("cell", 3, 120), ClassCount("nucleus", 0, 0)]

    write_summary(tmp_path / "summary.csv", [("a, b", 1.23456, counts)])

    with (tmp_path / "summary.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["image", "class", "objects", "pixels", "seconds"],
            ["a, b", "cell", "3", "120", "1.235"],
            ["a, b", "nucleus", "0", "0", "1.235"],
        ]

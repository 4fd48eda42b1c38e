import numpy as np
import pytest
from PIL import Image as Pillow

from cervseg.reporting.dataset import COLUMNS, plot_dataset

BARS = {"images": {"train": {"images": 7, "groups": 3}, "test": {"images": 2, "groups": 1}}}
SAMPLES = {
    "size": {"train": [1.0, 2.0, 2.5], "test": [7.0]},
    "height": {"train": [5.0, 5.0], "test": [5.0]},
    "stain": {"train": [], "test": []},
}


@pytest.fixture
def draw(tmp_path, monkeypatch):
    """Draws a picture; gives its panels by title, and the figure."""
    from matplotlib.figure import Figure

    figures, save = [], Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *a, **k: (figures.append(self), save(self, *a, **k))
    )

    def drawn(bars, samples):
        plot_dataset(tmp_path / "a.png", "fields", bars=bars, samples=samples)
        with Pillow.open(tmp_path / "a.png") as file:
            assert file.format == "PNG" and file.width > file.height > 100
            assert len(np.unique(np.asarray(file.convert("L")))) > 20
        figure = figures.pop()
        return {axes.get_title(): axes for axes in figure.axes}, figure

    return drawn


def test_each_split_has_its_bars_with_their_numbers(draw):
    panels, figure = draw(BARS, SAMPLES)

    assert list(panels) == ["images", "size", "height", "stain"]
    axes = panels["images"]
    assert [patch.get_height() for patch in axes.patches] == [7, 3, 2, 1]
    assert {text.get_text() for text in axes.texts} == {"7", "3", "2", "1"}
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["train", "test"]
    assert figure.get_suptitle() == "fields"


def test_distributions_of_all_splits_have_one_axis(draw):
    panels, _ = draw(BARS, SAMPLES)

    low, high = panels["size"].get_xlim()
    assert low <= 1 and high >= 7


def test_numbers_that_are_all_equal_or_not_there_are_told_in_words(draw):
    panels, _ = draw(BARS, SAMPLES)

    assert [text.get_text() for text in panels["height"].texts] == ["5 everywhere"]
    assert [text.get_text() for text in panels["stain"].texts] == ["none"]


def test_one_split_needs_no_legend_and_many_panels_take_rows(draw):
    bars = {f"p{i}": {"all": {"cell": 12345678 * i}} for i in range(COLUMNS + 1)}

    panels, figure = draw(bars, {})

    assert not figure.legends and len(panels) == COLUMNS + 1
    assert [t.get_text() for t in panels["p2"].texts] == ["24.7M"]


def test_a_heading_is_no_mathematics(tmp_path):
    plot_dataset(tmp_path / "a.png", "m$x^$\n", bars=BARS, samples=SAMPLES)

    assert (tmp_path / "a.png").is_file()

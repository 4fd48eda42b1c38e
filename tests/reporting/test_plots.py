import math

import numpy as np
import pytest
from PIL import Image as Pillow

from cervseg.reporting.plots import plot_curves

BLUE, RED = (0x4C, 0x72, 0xB0), (0xC4, 0x4E, 0x52)  # training, validation


def history(epochs, *, validation=True, rate=1e-3):
    """Columns of `history.csv`: training falls, validation rises."""
    falling, rising = (np.linspace(*ends, epochs).tolist() for ends in ((0.9, 0.3), (0.2, 0.8)))
    columns = {"epoch": list(range(1, epochs + 1)), "loss": falling, "dice": falling}
    if validation:
        columns |= {"val_loss": rising, "val_dice": rising}
    return columns | {"learning_rate": [rate] * epochs}


@pytest.fixture
def draw(tmp_path, monkeypatch):
    """Draws `curves.png`; tells for each panel if it shows a curve of training, of validation."""
    from matplotlib.figure import Figure

    path, figures, save = tmp_path / "curves.png", [], Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *a, **k: (figures.append(self), save(self, *a, **k))
    )

    def seen(columns, metrics=("dice",)):
        plot_curves(path, columns, metrics)
        assert list(tmp_path.iterdir()) == [path]
        with Pillow.open(path) as file:
            assert (file.format, file.height) == ("PNG", 340)
            pixels = np.asarray(file.convert("RGB")).astype(int)
        panels = figures.pop().axes
        for axes in panels:
            if axes.get_legend():  # it shows both colours whatever the curves do
                left, bottom, right, top = axes.get_legend().get_window_extent().extents
                pixels[340 - int(top) - 1 : 340 - int(bottom), int(left) : int(right) + 1] = 0
        return [
            tuple(bool((np.abs(part - c).max(axis=-1) < 12).any()) for c in (BLUE, RED))
            for part in np.array_split(pixels, len(panels), axis=1)
        ]

    return seen


@pytest.mark.parametrize("epochs", [1, 30])
def test_every_curve_is_seen_from_the_first_epoch_on(draw, epochs):
    assert draw(history(epochs)) == [(True, True), (True, True), (True, False)]


def test_without_validation_there_are_the_curves_of_training_alone(draw):
    assert draw(history(4, validation=False)) == [(True, False)] * 3


@pytest.mark.parametrize("rates", [[0.0], [1e-2, 5e-3, 0.0]], ids=str)
def test_a_learning_rate_that_is_or_becomes_zero_is_drawn(draw, rates):
    columns = {**history(len(rates)), "learning_rate": rates}

    assert draw(columns, metrics=())[-1] == (True, False)


def test_a_loss_that_is_no_number_leaves_the_other_curves(draw):
    columns = {**history(3), "loss": [math.nan] * 3}

    assert draw(columns) == [(False, True), (True, True), (True, False)]


def test_there_is_a_panel_for_each_metric_named_and_none_for_others(draw):
    columns = {**history(4), "iou": [0.1, 0.2, 0.3, 0.4]}

    assert len(draw(columns, metrics=())) == 2
    seen = draw(columns, metrics=("iou", "dice"))
    assert seen == [(True, True), (True, False), (True, True), (True, False)]


def test_equal_histories_make_equal_files_and_others_replace_them(draw, tmp_path):
    path, files = tmp_path / "curves.png", []

    for epochs in (5, 5, 6):
        draw(history(epochs), metrics=())
        files.append(path.read_bytes())

    assert files[0] == files[1] != files[2]

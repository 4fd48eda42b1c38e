import runpy
from pathlib import Path

import numpy as np
import pytest

from cervseg.inference.decision import Decision

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "compare_postprocessing.py"))
Field, choose, changed = SCRIPT["Field"], SCRIPT["choose"], SCRIPT["changed"]
PLAIN = Decision("sigmoid", (0.5,))


def disc(row, column, radius):
    rows, columns = np.mgrid[:100, :140]
    return (rows - row) ** 2 + (columns - column) ** 2 <= radius**2


def field(cells, found, scale=(1.0, 1.0)):
    objects = sum(number * disc(*cell) for number, cell in enumerate(cells, start=1))
    answer = np.any([disc(*each) for each in found], axis=0)[..., None].astype(np.float16)
    return Field(scale, objects > 0, objects.astype(np.uint16), answer * np.float16(0.8))


def test_cells_that_touch_are_cut_apart_where_that_finds_more(capsys):
    cells = [(50, 40, 24), (50, 86, 24)]

    best = choose("split_touching", PLAIN, [field(cells, [*cells, (50, 63, 10)])])

    assert best.steps.split_touching == 40
    assert "split_touching 0, files of 1 x 1: dice" in capsys.readouterr().out


def test_what_changes_nothing_stays_off():
    cells = [(50, 40, 24)]

    best = choose("min_area", PLAIN, [field(cells, cells), field(cells, cells, (6.0, 8.0))])

    assert best == PLAIN


def test_specks_go_where_that_is_better():
    cells = [(50, 40, 30)]

    best = choose("min_area", PLAIN, [field(cells, [*cells, (50, 110, 20)])])

    assert best.steps.min_area == 2000


@pytest.mark.parametrize(
    ("key", "value", "kind"),
    [("min_area", 1000.0, int), ("blur", 3, int), ("hysteresis", 0.7, float)],
)
def test_a_key_keeps_the_kind_of_its_values(key, value, kind):
    assert isinstance(getattr(changed(PLAIN, key, value).steps, key), kind)

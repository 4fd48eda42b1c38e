"""What an evaluation keeps of each image."""

import math
from pathlib import Path

import numpy as np
import pytest

from cervseg.classes import Classes
from cervseg.commands.scored import Scored
from cervseg.commands.task import Guessed
from cervseg.data.labelled import Labelled, Read
from cervseg.images.photo import Photo

TWO = Classes.of({"cell": "#00ff00", "nucleus": "#ff0000"})


def square(left, index=1):
    mask = np.zeros((41, 63), np.uint8)
    mask[3:23, left : left + 20] = index
    return mask


def add(scored, truth, guess, *, scale=(1.0, 1.0), mpp=None):
    item = Labelled("a", Path("a.png"), None, "index", scale)
    scored.add(
        item, Read(Photo(np.zeros((*truth.shape, 3), np.uint8), mpp), truth, 0.0), Guessed(guess)
    )
    return scored.rows[-1][0]


@pytest.mark.parametrize(
    ("own", "configured", "micrometres"),
    [(None, None, math.nan), (None, 0.5, 6.0), (0.75, None, 3.0), (0.75, 0.5, 3.0)],
)
def test_micrometres_are_those_of_the_file_or_else_of_the_config(own, configured, micrometres):
    """The file has 0.75 um a pixel of its own, which is 3 full-size ones: 0.25."""
    scored = Scored(TWO, 3, mpp=configured)

    scores = add(scored, square(5), square(8), scale=(3.0, 4.0), mpp=own)

    assert scores["hd95"] == 12.0  # three pixels of the file are twelve of the full size
    np.testing.assert_equal(scores["hd95_um"], micrometres)


def test_the_tolerance_is_that_of_the_config():
    wide, narrow = (
        add(Scored(TWO, 3, tolerance=tolerance), square(5), square(8)) for tolerance in (3, 1)
    )

    assert narrow["surface_dice"] < wide["surface_dice"] == 1.0


def test_the_confusion_is_that_of_all_images():
    scored = Scored(TWO, 0)

    add(scored, square(5), square(5))
    add(scored, square(5), square(5, index=2))

    outside = 41 * 63 - 400
    assert scored.confusion.tolist() == [[2 * outside, 0, 0], [0, 400, 400], [0, 0, 0]]

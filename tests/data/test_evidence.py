import numpy as np
import pytest
from PIL import Image as Pillow

from cervseg.classes import Classes
from cervseg.data.checks import Finding
from cervseg.data.evidence import MARK, SIDE, show_finding
from cervseg.data.fields import Field
from cervseg.data.truth import MaskFile

CELL = Classes.of({"cell": "#00ff00"})


@pytest.fixture
def field(tmp_path):
    """A field of 200 x 260 with a cell, a speck of 6 pixels, a hole, red paint and a grey pixel."""
    mask = np.zeros((200, 260, 3), np.uint8)
    mask[20:80, 30:120] = (0, 255, 0)
    mask[40:42, 50:53] = 0
    mask[150:152, 200:203] = (0, 255, 0)
    mask[170:180, 20:30] = (255, 0, 0)
    mask[190, 250] = (0, 100, 0)
    Pillow.fromarray(mask).save(tmp_path / "mask.png")
    Pillow.fromarray(np.full((200, 260, 3), (210, 200, 220), np.uint8)).save(tmp_path / "image.png")
    truth = MaskFile(tmp_path / "mask.png", "threshold")
    return Field("a", tmp_path / "image.png", tmp_path / "mask.png", "a", truth=truth)


def marked(picture):
    return int((picture == MARK).all(axis=-1).sum())


@pytest.mark.parametrize(
    ("kind", "pixels"), [("specks", 6), ("holes", 6), ("colours", 100), ("noise", 1)]
)
def test_the_pixels_in_question_are_marked_and_enlarged(field, kind, pixels):
    picture = show_finding(Finding(kind, "warning", "a", ""), field, partner=None, classes=CELL)

    assert picture.shape[0] == SIDE and picture.shape[1] == 250 + 4 + SIDE
    assert marked(picture) == pixels * (SIDE // 48) ** 2


def test_two_fields_that_share_something_stand_side_by_side(field, tmp_path):
    Pillow.fromarray(np.zeros((100, 100, 3), np.uint8)).save(tmp_path / "other.png")
    other = field._replace(name="b", image=tmp_path / "other.png")

    picture = show_finding(Finding("leak", "error", "a", ""), field, partner=other, classes=CELL)

    assert picture.shape == (SIDE, 250 + 4 + SIDE, 3)
    assert (picture[:, :250] == (210, 200, 220)).all() and not picture[:, 254:].any()


def test_a_mask_that_does_not_fit_is_shown_beside_its_image(field):
    Pillow.new("L", (100, 50), 255).save(field.origin)

    picture = show_finding(Finding("size", "error", "a", ""), field, partner=None, classes=CELL)

    assert (picture[:, :250] == (210, 200, 220)).all(), "no outline"
    assert (picture[:, 254:] == 255).all() and picture.shape[1] == 254 + 2 * SIDE


def test_what_can_not_be_read_has_no_picture(field):
    field.image.write_bytes(b"none")

    assert (
        show_finding(Finding("unreadable", "error", "a", ""), field, partner=None, classes=CELL)
        is None
    )

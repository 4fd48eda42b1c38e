"""A stranger's run does not say where we write."""

import shutil

import numpy as np
import pytest
from PIL import Image as Pillow

from cervseg import evaluate
from cervseg.errors import DataError


def test_scores_are_not_written_through_a_link_out_of_a_run(model, tmp_path):
    run, mine = tmp_path / "run", tmp_path / "mine"
    shutil.copytree(model, run / "model")
    mine.mkdir()
    (run / "evaluation").symlink_to(mine)
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
        Pillow.fromarray(np.zeros((65, 70), np.uint8)).save(tmp_path / name / "a.png")

    with pytest.raises(DataError) as caught:
        evaluate(model=[run], images=tmp_path / "images", masks=tmp_path / "masks")

    assert str(caught.value) == (
        f"{run / 'evaluation' / 'folder-images'}: a link that leads out of its folder"
    )
    assert not list(mine.iterdir())

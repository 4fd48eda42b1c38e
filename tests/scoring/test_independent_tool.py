"""Our scores equal those of `tools/score_masks.py`, which was written apart from them."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from cervseg.scoring.objects import object_scores
from cervseg.scoring.pixels import pixel_scores


@pytest.fixture(scope="module")
def tool():
    repository = Path(__file__).resolve().parents[2]
    shared = Path(os.environ.get("CERVSEG_SHARED", repository.parent / "shared"))
    path = shared / "tools" / "score_masks.py"
    if not path.is_file():
        pytest.skip(f"{path} is missing; CERVSEG_SHARED names the folder that holds tools/")
    spec = importlib.util.spec_from_file_location("score_masks", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def blobs(seed, share, shape=(301, 402)):
    """A mask of smooth blobs, a given share of it foreground."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 7)
    return noise > np.quantile(noise, 1 - share)


UNKNOWN_TO_THE_TOOL = {"specks", 
    "matched_iou", "panoptic_quality", "segmentation_quality", "recognition_quality"
}  # fmt: skip
EMPTY, FULL = np.zeros((301, 402), bool), np.ones((301, 402), bool)
PAIRS = {
    "near": (blobs(0, 0.2), np.roll(blobs(0, 0.25), 3, axis=(0, 1))),
    "merged": (blobs(1, 0.2), ndimage.binary_dilation(blobs(1, 0.2), iterations=4)),
    "split": (blobs(2, 0.3), blobs(2, 0.3) & (np.arange(402) % 19 > 1)),
    "unrelated": (blobs(3, 0.1), blobs(4, 0.4)),
    "specks": (blobs(5, 0.1), np.random.default_rng(5).random((301, 402)) > 0.4),
    "nothing predicted": (blobs(6, 0.1), EMPTY),
    "nothing there": (EMPTY, blobs(7, 0.1)),
    "nothing at all": (EMPTY, EMPTY),
    "all predicted": (blobs(8, 0.1), FULL),
}


@pytest.mark.parametrize("name", PAIRS)
def test_scores_equal_the_independent_tool(tool, name):
    true, predicted = PAIRS[name]

    expected = tool.score(true, predicted)

    pixels, objects = pixel_scores(true, predicted), object_scores(true, predicted)
    ours = {**vars(pixels), **vars(objects)}
    ours = {name: value for name, value in ours.items() if name not in UNKNOWN_TO_THE_TOOL}
    assert ours == pytest.approx(expected, abs=1e-6)

"""Scores of one image and class, and what a set of images says of a model."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from cervseg.arrays import Mask
from cervseg.classes import IGNORE
from cervseg.scoring.intervals import bootstrap_interval
from cervseg.scoring.objects import object_scores
from cervseg.scoring.pixels import pixel_scores

SCORES = (
    "dice", "iou", "precision", "recall", "accuracy", "cell_recall", "cell_match", "matched_iou"
)  # fmt: skip
"""Of an image and class, in the order of the tables."""


def score_image(true: Mask, predicted: Mask, index: int) -> dict[str, float]:
    """Score one class of an image; pixels whose truth is 255 count nowhere.

    Args:
        true: Class indices, shape (height, width).
        predicted: Likewise.
        index: The class, from 1.

    Returns:
        `SCORES`, `empty_accuracy` and `cells` by name.
    """
    known = true != IGNORE
    here, there = true == index, (predicted == index) & known
    scores = {**asdict(pixel_scores(here, there, known)), **asdict(object_scores(here, there))}
    return {name: float(value) for name, value in scores.items()}


@dataclass(frozen=True)
class Summary:
    """A score over images.

    Args:
        mean: Over images that have the score.
        low: Of the 95 % bootstrap interval of the mean over images.
        high: Likewise.
        baseline: The same mean for masks that are all background.
        images: How many have the score.
    """

    mean: float
    low: float
    high: float
    baseline: float
    images: int


def summarize(
    rows: Sequence[Mapping[str, float]],
    baselines: Sequence[Mapping[str, float]],
    *,
    seed: int,
    resamples: int,
) -> dict[str, Summary]:
    """Mean, interval and all-background baseline of each score.

    Args:
        rows: `score_image` of each image.
        baselines: The same for all-background predictions.
        seed: Of the bootstrap.
        resamples: Of the bootstrap.
    """
    summaries = {}
    for name in SCORES:
        values = [row[name] for row in rows if not math.isnan(row[name])]
        empty = [row[name] for row in baselines if not math.isnan(row[name])]
        low, high, mean = math.nan, math.nan, math.nan
        if values:
            low, high = bootstrap_interval(values, seed=seed, resamples=resamples)
            mean = float(np.mean(values))
        baseline = float(np.mean(empty)) if empty else math.nan
        summaries[name] = Summary(mean, low, high, baseline, len(values))
    return summaries

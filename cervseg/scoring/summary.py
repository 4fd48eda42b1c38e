"""Scores of one image and class, what a set of images says of a model, and what it confuses."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from cervseg.arrays import Mask
from cervseg.classes import BACKGROUND, IGNORE
from cervseg.scoring.intervals import bootstrap_interval
from cervseg.scoring.objects import object_scores
from cervseg.scoring.pixels import pixel_scores
from cervseg.scoring.surfaces import surface_scores

SCORES = (
    "dice", "iou", "precision", "recall", "accuracy", "cell_recall", "cell_match", "matched_iou",
    "panoptic_quality", "segmentation_quality", "recognition_quality",
    "surface_dice", "hd95", "assd", "hd95_um", "assd_um",
)  # fmt: skip
"""Of an image and class, in the order of the tables."""


def min_pixels(area: int, scale: tuple[float, float]) -> int:
    """Turn an area of full-size pixels into pixels of a file of that scale, at least one."""
    return max(1, round(area / (scale[0] * scale[1])))


def score_image(
    true: Mask,
    predicted: Mask,
    index: int,
    *,
    scale: tuple[float, float] = (1.0, 1.0),
    mpp: float | None = None,
    tolerance: float = 2.0,
    min_cell_area: int = 200,
    cells: NDArray[np.uint16] | None = None,
) -> dict[str, float]:
    """Score one class of an image; pixels whose truth is 255 count nowhere.

    They lie outside both masks, as if the image ended there. Where all are unknown, so are all
    scores.

    Args:
        true: Class indices, shape (height, width).
        predicted: Likewise.
        index: The class, from 1.
        scale: Full-size pixels per pixel of the masks, vertical and horizontal; distances are in
            full-size pixels.
        mpp: Micrometres per full-size pixel, where known.
        tolerance: Of `surface_dice`, full-size pixels.
        min_cell_area: Smaller objects are no cells, full-size pixels.
        cells: A number for each annotated object, where they are known.

    Returns:
        `SCORES`, `empty_accuracy`, `cells`, `specks` and both parts of `scale` (`vertical`,
        `horizontal`) by name; nan for micrometres without `mpp`.
    """
    known = true != IGNORE
    here, there = true == index, (predicted == index) & known
    surfaces = surface_scores(here, there, tolerance=tolerance, spacing=scale)
    smallest = min_pixels(min_cell_area, scale)
    scores = {
        **asdict(pixel_scores(here, there, known)),
        **asdict(object_scores(here, there, min_size=smallest, cells=cells)),
        **asdict(surfaces),
        "hd95_um": surfaces.hd95 * (mpp or math.nan),
        "assd_um": surfaces.assd * (mpp or math.nan),
        "vertical": scale[0],
        "horizontal": scale[1],
    }
    if not known.any():
        scores |= dict.fromkeys((*SCORES, "empty_accuracy"), math.nan)
    return {name: float(value) for name, value in scores.items()}


def count_confusion(true: Mask, predicted: Mask, classes: int) -> NDArray[np.int64]:
    """Count the pixels of each true class by what they were predicted to be.

    Args:
        true: Class indices, shape (height, width); pixels of 255 count nowhere.
        predicted: Likewise; what is no class is background.
        classes: How many, without the background.

    Returns:
        Pixels, shape (classes + 1, classes + 1): rows truth, columns prediction, background first.
    """
    side, known = classes + 1, true != IGNORE
    here = true[known].astype(np.int64)
    there = np.where(predicted <= classes, predicted, BACKGROUND)[known]
    return np.bincount(here * side + there, minlength=side * side).reshape(side, side)


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


def scale_name(row: Mapping[str, float]) -> str:
    """What the file scale of an image is called in tables.

    Args:
        row: `score_image` of the image.
    """
    scale = row["vertical"], row["horizontal"]
    return "full size" if scale == (1, 1) else "a pixel of {:g} x {:g}".format(*scale)


def summarize_apart(
    rows: Sequence[Mapping[str, float]],
    baselines: Sequence[Mapping[str, float]],
    *,
    seed: int,
    resamples: int,
) -> dict[str, dict[str, Summary]]:
    """`summarize` for the images of each file scale, by its name; empty where all have one.

    A mean over full-size fields and over copies of an eighth of the size is a score of neither.
    """
    names = [scale_name(row) for row in rows]
    different = dict.fromkeys(names) if len(set(names)) > 1 else {}
    return {
        scale: summarize(
            [row for row, name in zip(rows, names, strict=True) if name == scale],
            [row for row, name in zip(baselines, names, strict=False) if name == scale],
            seed=seed,
            resamples=resamples,
        )
        for scale in different
    }


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

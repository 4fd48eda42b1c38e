"""How sure a model is and how often it is right: threshold and temperature, both measured."""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

BINS = 200
LOWEST, HIGHEST = 0.05, 0.95

FINE = 1000
"""Bins of `ProbabilityCounts`."""

COARSE = 15
"""Bins of a reliability diagram, as Guo et al. have it."""

_LEAST = 1e-7
"""A probability that is 0 in float32 counts as this."""


def best_threshold(
    pairs: Iterable[tuple[NDArray[np.bool_], NDArray[np.float32]]],
) -> tuple[float, float]:
    """Find the threshold of the highest mean Dice over images.

    Args:
        pairs: For each image what is true, and probabilities in [0, 1] of the same shape;
            leave ignored pixels out.

    Returns:
        The threshold, a multiple of 1/200 from 0.05 to 0.95, and the mean Dice there; the middle
        of the best ones where several are equal. 0.5 and nan where no image holds any.
    """
    curves, positives = [], 0
    for true, probabilities in pairs:
        curves.append(_dice_curve(true, probabilities))
        positives += int(np.count_nonzero(true))
    if not positives:
        return 0.5, float("nan")
    mean = np.mean(curves, axis=0)
    allowed = np.arange(round(LOWEST * BINS), round(HIGHEST * BINS) + 1)
    best = allowed[mean[allowed] >= mean[allowed].max() - 1e-12]
    chosen = int(best[len(best) // 2])
    return chosen / BINS, float(mean[chosen])


def _dice_curve(true: NDArray[np.bool_], probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    """Dice at the thresholds 0, 1/200, …, 1: foreground is from the threshold on."""
    # The last digits of float32 must not put 0.265 · 200 below 53.
    bins = np.minimum((probabilities * BINS + 1e-4).astype(np.int64), BINS)
    positives = np.bincount(bins[true], minlength=BINS + 1)[::-1].cumsum()[::-1]
    predicted = np.bincount(bins.ravel(), minlength=BINS + 1)[::-1].cumsum()[::-1]
    total = predicted + int(true.sum())
    return np.where(total > 0, 2 * positives / np.maximum(total, 1), 1.0)


class Reliable(NamedTuple):
    """A bin of a reliability diagram.

    Args:
        low: Its lower edge, a probability.
        high: Its upper edge.
        pixels: In it.
        mean: Of their probabilities.
        share: Of them that are of the class.
    """

    low: float
    high: float
    pixels: int
    mean: float
    share: float


class ProbabilityCounts:
    """How often a class was true where it was given a probability, in bins of 1/1000."""

    def __init__(self) -> None:
        self.pixels = np.zeros((2, FINE), np.int64)  # of other classes, of this one
        self._sums = np.zeros(FINE)

    def add(self, true: NDArray[np.bool_], probabilities: NDArray[np.float32]) -> None:
        """Count the pixels of an image; leave ignored ones out.

        Args:
            true: Whether a pixel is of the class, any shape.
            probabilities: In [0, 1], same shape.
        """
        bins = np.minimum((probabilities * FINE).astype(np.int64), FINE - 1).ravel()
        self.pixels += np.bincount(bins + FINE * true.ravel(), minlength=2 * FINE).reshape(2, FINE)
        self._sums += np.bincount(bins, probabilities.ravel(), minlength=FINE)

    def reliability(self, bins: int = COARSE) -> list[Reliable]:
        """Probabilities beside what came true, in bins of equal width; empty ones are left out."""
        coarse = np.arange(FINE) * bins // FINE
        pixels, true, sums = (
            np.bincount(coarse, each, minlength=bins)
            for each in (self.pixels.sum(axis=0), self.pixels[1], self._sums)
        )
        return [
            Reliable(i / bins, (i + 1) / bins, int(pixels[i]), sums[i] / pixels[i],
                     true[i] / pixels[i])
            for i in np.flatnonzero(pixels).tolist()
        ]  # fmt: skip

    def calibration_error(self, bins: int = COARSE) -> float:
        """Expected calibration error: mean |probability - share| over pixels; nan for none.

        Naeini et al., 2015; Guo et al., 2017, https://arxiv.org/abs/1706.04599.
        """
        table = self.reliability(bins)
        total = sum(row.pixels for row in table)
        if not total:
            return float("nan")
        return sum(row.pixels * abs(row.mean - row.share) for row in table) / total


class Answers(NamedTuple):
    """Pixels of an image and what a model says of them.

    Args:
        channel: That of each pixel's true class, shape (n,); -1 for the background of
            independent classes, which has none.
        probabilities: Shape (n, channels).
    """

    channel: NDArray[np.int64]
    probabilities: NDArray[np.float32]


def fit_temperature(images: Sequence[Answers], activation: Literal["sigmoid", "softmax"]) -> float:
    """Find the number that the logits are to be divided by, for the least log loss.

    A positive number changes no decision between two classes, only how sure it looks. Guo et al.,
    2017, https://arxiv.org/abs/1706.04599.

    Args:
        images: Answers at temperature 1; each pixel counts alike.
        activation: Sigmoid: each channel is a question of its own; softmax: all are one.

    Returns:
        From 0.1 to 10; 1 where there is no pixel.
    """
    images = [each for each in images if len(each.channel)]
    if not images:
        return 1.0
    margins = np.concatenate([_margins(each, activation) for each in images])

    def loss(power: float) -> float:
        return float(np.logaddexp.reduce(margins / 10**power, axis=-1).mean())

    found = minimize_scalar(loss, bounds=(-1, 1), method="bounded", options={"xatol": 1e-4})
    return float(10**found.x)


def _margins(answers: Answers, activation: Literal["sigmoid", "softmax"]) -> NDArray[np.float64]:
    """By how much each logit exceeds that of the truth, shape (questions, choices)."""
    channel, likely = answers.channel[:, None], np.maximum(answers.probabilities, _LEAST)
    logits = np.log(likely, dtype=np.float64)
    if activation == "softmax":
        return np.asarray(logits - np.take_along_axis(logits, channel, axis=1))
    logits -= np.log(np.maximum(1 - answers.probabilities, _LEAST), dtype=np.float64)
    yes = channel == np.arange(logits.shape[1])
    other = np.where(yes, -logits, logits).ravel()
    return np.stack([np.zeros(len(other)), other], axis=1)

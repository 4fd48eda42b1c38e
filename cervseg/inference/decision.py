"""Probabilities to classes, and what is then cleaned away."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cervseg.arrays import Mask, Probabilities
from cervseg.config.inference import InferConfig
from cervseg.contract import Contract, Postprocessing
from cervseg.errors import ConfigError
from cervseg.inference.objects.cleaning import Cleaning, clean
from cervseg.inference.probability import Blurred
from cervseg.inference.rows import PIECE, RowArray, Rows, WritableRows, pieces

Inside = Callable[[int, int], NDArray[np.bool_]]
"""From the top and the number of rows to which of their pixels count."""


@dataclass(frozen=True)
class Decision:
    """How probabilities become a mask.

    Args:
        activation: sigmoid: a channel each class, decided by thresholds; softmax: the largest
            channel, background first.
        thresholds: One a sigmoid channel; or how each image finds its own.
        steps: What is done before and after, in pixels of the mask.
    """

    activation: Literal["sigmoid", "softmax"]
    thresholds: tuple[float, ...] | Literal["otsu", "triangle"]
    steps: Postprocessing = Postprocessing()

    @property
    def first_channel(self) -> int:
        """The channel of class 1."""
        return int(self.activation == "softmax")

    def on(self, pixel: Sequence[float]) -> "Decision":
        """The same for masks of other pixels.

        Args:
            pixel: Height and width of theirs, in pixels of this decision.
        """
        area, steps = pixel[0] * pixel[1], self.steps
        steps = replace(
            steps,
            blur=steps.blur / math.sqrt(area),
            fill_holes=round(steps.fill_holes / area),
            split_touching=steps.split_touching / math.sqrt(area),
            min_area=round(steps.min_area / area),
        )
        return replace(self, steps=steps)

    def apply(self, probabilities: Probabilities) -> Mask:
        """Decide an image (height, width, channels)."""
        mask: Mask = np.zeros(probabilities.shape[:2], np.uint8)
        self.decide(RowArray(probabilities), RowArray(mask))
        return mask

    def decide(
        self,
        rows: Rows,
        mask: WritableRows,
        *,
        inside: Inside | None = None,
        piece: int = PIECE,
    ) -> None:
        """Decide an image piece by piece.

        Args:
            rows: Probabilities, float32.
            mask: Takes the classes.
            inside: Says of rows which pixels count; the others become background.
            piece: Pixels worked on at once, about; the mask does not depend on it.
        """
        steps = self.steps
        if steps.blur:
            rows = Blurred(rows, steps.blur)
        limits = self._find_limits(rows, piece, inside)
        for top, height in pieces(rows, piece):
            classes = self._classify(rows.read(top, height), limits)
            if inside is not None:
                classes[~inside(top, height)] = 0
            mask.write(top, classes)
        cleaning = Cleaning(
            steps.hysteresis, steps.fill_holes, steps.split_touching, steps.min_area
        )
        clean(mask, rows, cleaning, first_channel=self.first_channel, piece=piece)
        if inside is not None and steps.fill_holes:  # a hole may be one of the region
            _clear_outside(mask, inside, piece)

    def _classify(self, probabilities: Probabilities, limits: NDArray[np.float32] | None) -> Mask:
        if limits is None:
            return np.asarray(probabilities.argmax(axis=-1), np.uint8)
        if len(limits) == 1:
            return np.asarray(probabilities[..., 0] >= limits[0], np.uint8)
        over = probabilities / limits
        best = over.argmax(axis=-1)
        return np.where(over.max(axis=-1) >= 1, best + 1, 0).astype(np.uint8)

    def _find_limits(
        self, rows: Rows, piece: int, inside: Inside | None
    ) -> NDArray[np.float32] | None:
        """The threshold of each channel, by the pixels that count; of a softmax none."""
        if self.activation == "softmax":
            return None
        if not isinstance(self.thresholds, str):
            return np.asarray(self.thresholds, np.float32)
        find = otsu_threshold if self.thresholds == "otsu" else triangle_threshold
        counts: NDArray[np.float64] | float = 0.0
        for top, height in pieces(rows, piece):
            channels = np.moveaxis(rows.read(top, height), -1, 0)
            where = np.True_ if inside is None else inside(top, height)
            counts = counts + np.stack([histogram(channel[where]) for channel in channels])
        return np.asarray([find(row) for row in np.asarray(counts)], np.float32)


def _clear_outside(mask: WritableRows, inside: Inside, piece: int) -> None:
    """Make background of what does not count."""
    for top, height in pieces(mask, piece):
        classes = mask.read(top, height)
        classes[~inside(top, height)] = 0
        mask.write(top, classes)


def histogram(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Count probabilities of any shape in 256 equal bins from 0 to 1."""
    counts, _ = np.histogram(values, bins=256, range=(0, 1))
    return counts.astype(np.float64)


def otsu_threshold(counts: NDArray[np.float64]) -> float:
    """The threshold on [0, 1] that separates two groups of a `histogram` best (Otsu, 1979).

    Maximises w0·w1·(m1 - m0)^2 over the bins, w the shares and m the means of the groups.
    """
    centres = (np.arange(256) + 0.5) / 256
    below = np.cumsum(counts)[:-1]
    above = counts.sum() - below
    sums = np.cumsum(counts * centres)
    means_below = sums[:-1] / np.maximum(below, 1)
    means_above = (sums[-1] - sums[:-1]) / np.maximum(above, 1)
    between = below * above * (means_above - means_below) ** 2
    if not between.max() > 0:
        return 0.5  # one value everywhere: nothing to separate
    best = np.flatnonzero(between == between.max())
    return float((best[0] + best[-1]) / 2 + 1) / 256  # the middle of an empty valley


def triangle_threshold(counts: NDArray[np.float64]) -> float:
    """The threshold farthest below the line from a `histogram`'s peak to its far end.

    Zack et al., 1977. The far end is that on the longer side of the peak.
    """
    filled = np.flatnonzero(counts)
    if filled.size < 2:
        return 0.5
    first, last, peak = int(filled[0]), int(filled[-1]), int(counts.argmax())
    end = last if last - peak >= peak - first else first
    bins = np.arange(min(peak, end), max(peak, end) + 1)
    line = np.interp(bins, sorted((peak, end)), counts[sorted((peak, end))])
    lowest = int(bins[(line - counts[bins]).argmax()])
    return (lowest + (1 if end > peak else 0)) / 256 or 1 / 256


class ClassCount(NamedTuple):
    """What a mask holds of a class: 8-connected objects, and their pixels."""

    name: str
    objects: int
    pixels: int


def decision_for(config: InferConfig, contract: Contract) -> Decision:
    """What the config asks for, and the model's own where it says nothing.

    Lengths and areas are of full-size pixels: `Decision.on` suits them to an image.

    Raises:
        ConfigError: A threshold is asked of a model that has none.
    """
    thresholds: tuple[float, ...] | Literal["otsu", "triangle"]
    if config.threshold is not None and contract.activation == "softmax":
        raise ConfigError(
            f"'threshold' {config.threshold!r} has no meaning for a softmax model: "
            "the largest channel decides"
        )
    if config.threshold is None:
        thresholds = contract.threshold
    elif isinstance(config.threshold, str):
        thresholds = config.threshold
    else:
        thresholds = (config.threshold,) * len(contract.threshold)
    return Decision(contract.activation, thresholds, contract.postprocess.but(config))

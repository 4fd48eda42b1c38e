"""Probabilities to classes, and what is then cleaned away."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cervseg.arrays import Mask, Probabilities
from cervseg.classes import Classes
from cervseg.config.inference import InferConfig
from cervseg.contract import Contract
from cervseg.errors import ConfigError

EIGHT_CONNECTED = np.ones((3, 3), int)


@dataclass(frozen=True)
class Decision:
    """How probabilities become a mask.

    Args:
        activation: sigmoid: a channel each class, decided by thresholds; softmax: the largest
            channel, background first.
        thresholds: One a sigmoid channel; or how each image finds its own.
        blur: Sigma of a Gaussian on the probabilities, pixels; 0 is off.
        min_area: Smaller objects become background, pixels.
    """

    activation: Literal["sigmoid", "softmax"]
    thresholds: tuple[float, ...] | Literal["otsu", "triangle"]
    blur: float = 0.0
    min_area: int = 0

    def apply(self, probabilities: Probabilities) -> Mask:
        """Decide an image (height, width, channels)."""
        if self.blur:
            probabilities = blur(probabilities, self.blur)
        if self.activation == "softmax":
            mask = probabilities.argmax(axis=-1).astype(np.uint8)
        else:
            mask = self._by_threshold(probabilities)
        return remove_small(mask, self.min_area) if self.min_area > 1 else mask

    def _by_threshold(self, probabilities: Probabilities) -> Mask:
        if isinstance(self.thresholds, str):
            find = otsu_threshold if self.thresholds == "otsu" else triangle_threshold
            limits = [find(probabilities[..., c]) for c in range(probabilities.shape[-1])]
        else:
            limits = list(self.thresholds)
        over = probabilities / np.asarray(limits, np.float32)
        best = over.argmax(axis=-1)
        return np.where(over.max(axis=-1) >= 1, best + 1, 0).astype(np.uint8)


def blur(probabilities: Probabilities, sigma: float) -> Probabilities:
    """Smooth each channel with a Gaussian, edges reflected."""
    smooth = cv2.GaussianBlur(probabilities, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(smooth, np.float32).reshape(probabilities.shape)


def _histogram(values: NDArray[np.float32]) -> NDArray[np.float64]:
    counts, _ = np.histogram(values, bins=256, range=(0, 1))
    return counts.astype(np.float64)


def otsu_threshold(values: NDArray[np.float32]) -> float:
    """The threshold on [0, 1] that separates two groups best (Otsu, 1979).

    Maximises w0·w1·(m1 - m0)^2 over 256 bins, w the shares and m the means of the groups.
    """
    counts = _histogram(values)
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


def triangle_threshold(values: NDArray[np.float32]) -> float:
    """The threshold farthest below the line from the histogram's peak to its far end.

    Zack et al., 1977. The far end is that on the longer side of the peak.
    """
    counts = _histogram(values)
    filled = np.flatnonzero(counts)
    first, last, peak = int(filled[0]), int(filled[-1]), int(counts.argmax())
    if first == last:
        return 0.5
    end = last if last - peak >= peak - first else first
    bins = np.arange(min(peak, end), max(peak, end) + 1)
    line = np.interp(bins, sorted((peak, end)), counts[sorted((peak, end))])
    lowest = int(bins[(line - counts[bins]).argmax()])
    return (lowest + (1 if end > peak else 0)) / 256 or 1 / 256


def remove_small(mask: Mask, min_area: int) -> Mask:
    """Turn objects below an area into background, class by class."""
    cleaned = mask.copy()
    for index in np.unique(mask[mask > 0]):
        labels, count = ndimage.label(mask == index, EIGHT_CONNECTED)
        areas = np.bincount(labels.ravel(), minlength=count + 1)
        small = areas < min_area
        small[0] = False
        cleaned[small[labels]] = 0
    return cleaned


class ClassCount(NamedTuple):
    """What a mask holds of a class: 8-connected objects, and their pixels."""

    name: str
    objects: int
    pixels: int


def count_objects(mask: Mask, classes: Classes) -> list[ClassCount]:
    """Objects and pixels of each class."""
    counts = []
    for index, name in enumerate(classes.names, start=1):
        _, count = ndimage.label(mask == index, EIGHT_CONNECTED)
        counts.append(ClassCount(name, int(count), int(np.count_nonzero(mask == index))))
    return counts


def combine(
    tiled: Probabilities, whole: Probabilities, how: Literal["mean", "minimum"]
) -> Probabilities:
    """Join the tiled and the whole-image answer, pixel by pixel."""
    if how == "mean":
        return np.asarray((tiled + whole) / 2, np.float32)
    return np.minimum(tiled, whole)


def decision_for(config: InferConfig, contract: Contract) -> Decision:
    """What the config asks for, with the model's thresholds where it names none.

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
    return Decision(contract.activation, thresholds, config.blur, config.min_area)

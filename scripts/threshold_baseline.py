"""Score the best single-threshold mask of a dataset: what colour alone can do.

    python scripts/threshold_baseline.py DATASET_DIR [--split valid] [--json]

The rule (a channel of RGB, HSV, Lab or grey, a direction, a value) is the one with the best mean
Dice on the photographs of the train split; its mean Dice on the test split, or on that of
validation, is printed. A network that does not beat it has learnt nothing but colour.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cervseg.arrays import RGB, Mask
from cervseg.classes import IGNORE
from cervseg.config.data import Split
from cervseg.data.manifest import Dataset, open_dataset
from cervseg.errors import CervsegError, DataError
from cervseg.images.image import whole
from cervseg.images.masks import read_mask
from cervseg.images.readers import open_image

CHANNELS = ("red", "green", "blue", "hue", "saturation", "value", "lightness", "a", "b", "grey")
LEVELS = 256


@dataclass(frozen=True)
class ThresholdRule:
    """Foreground is where a channel lies above a value, or not above it.

    Args:
        channel: One of `CHANNELS`.
        above: Whether the foreground is brighter than `value`, else at most as bright.
        value: 0 to 255.
        dice: Mean over the fields that it was fitted on.
    """

    channel: str
    above: bool
    value: int
    dice: float

    def apply(self, pixels: RGB) -> NDArray[np.bool_]:
        """Find the foreground, shape (height, width)."""
        brighter = split_channels(pixels)[CHANNELS.index(self.channel)] > self.value
        return np.asarray(brighter if self.above else ~brighter)

    def __str__(self) -> str:
        return f"{self.channel} {'>' if self.above else '<='} {self.value}"


def split_channels(pixels: RGB) -> NDArray[np.uint8]:
    """Every channel a threshold may act on, in the order of `CHANNELS`: (10, height, width)."""
    spaces = (
        pixels,
        cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV_FULL),
        cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB),
        cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None],
    )
    return np.asarray(np.concatenate(spaces, axis=-1).transpose(2, 0, 1), np.uint8)


def dice(true: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> float:
    """`2·|t ∩ p| / (|t| + |p|)`, 1 where both are empty."""
    total = np.count_nonzero(true) + np.count_nonzero(predicted)
    return 2 * np.count_nonzero(true & predicted) / total if total else 1.0


def foreground(mask: Mask) -> NDArray[np.bool_]:
    """Where a mask shows any class."""
    return np.asarray((mask > 0) & (mask != IGNORE))


def dice_table(pixels: RGB, true: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Dice of every rule on one field, shape (channels, 2, 256): at most, then above a value.

    A histogram of each class and its running sum give all 256 values at once.
    """
    kinds = true.ravel() * LEVELS
    counts = np.stack(
        [
            np.bincount(channel.ravel() + kinds, minlength=2 * LEVELS)
            for channel in split_channels(pixels)
        ]
    ).reshape(len(CHANNELS), 2, LEVELS)
    below = counts.cumsum(axis=-1)  # pixels up to each value, (channels, background | true, values)
    both = np.stack([below, below[..., -1:] - below], axis=2)  # (…, at most | above, values)
    total = both.sum(axis=1) + np.count_nonzero(true)
    return np.where(total > 0, 2 * both[:, 1] / np.maximum(total, 1), 1.0)


def best_threshold(fields: Iterable[tuple[RGB, NDArray[np.bool_]]]) -> ThresholdRule:
    """Find the rule with the best mean Dice over photographs and their foreground.

    Raises:
        ValueError: There are no fields.
    """
    tables = [dice_table(pixels, true) for pixels, true in fields]
    if not tables:
        raise ValueError("no fields to fit a threshold on")
    mean = np.mean(tables, axis=0)
    channel, above, value = np.unravel_index(mean.argmax(), mean.shape)
    return ThresholdRule(CHANNELS[channel], bool(above), int(value), float(mean.max()))


def mean_dice(rule: ThresholdRule, fields: Iterable[tuple[RGB, NDArray[np.bool_]]]) -> float:
    """Mean Dice of a rule over fields."""
    return float(np.mean([dice(true, rule.apply(pixels)) for pixels, true in fields]))


def read_fields(dataset: Dataset, split: Split) -> Iterator[tuple[RGB, NDArray[np.bool_]]]:
    """Read the photographs of a split, one after another, with their foreground.

    Raises:
        DataError: The split is empty, or a file is missing or broken.
    """
    rows = dataset.sources_of(split)
    if not rows:
        raise DataError(f"{dataset.folder}: no photographs in the {split} split")
    for row in rows:
        image = open_image(dataset.path(row.image))
        pixels = image.read(whole(image))
        if row.mask:
            mask = read_mask(dataset.path(row.mask), dataset.classes, dataset.reading).mask
        else:
            mask = np.zeros(pixels.shape[:2], np.uint8)
        yield pixels, foreground(mask)


def main() -> int:
    """Fit on the train split, score on the test split; the exit code."""
    parser = argparse.ArgumentParser(description="Score the best single-threshold mask.")
    parser.add_argument("dataset", type=Path, metavar="DATASET_DIR", help="made by dataset-tile")
    parser.add_argument(
        "--split", choices=("valid", "test"), default="test", help="which fields are scored"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a line")
    arguments = parser.parse_args()
    try:
        dataset = open_dataset(arguments.dataset)
        rule = best_threshold(read_fields(dataset, "train"))
        score = mean_dice(rule, read_fields(dataset, arguments.split))
    except CervsegError as exc:
        print(f"error: {exc}" + (f"\nhint: {exc.hint}" if exc.hint else ""), file=sys.stderr)
        return exc.exit_code
    direction = "above" if rule.above else "at most"
    document = {"dice": score, "train_dice": rule.dice, "channel": rule.channel}
    document |= {"direction": direction, "threshold": rule.value}
    scores = f"mean {arguments.split} Dice {score:.3f}, train {rule.dice:.3f}"
    line = f"best single threshold ({rule}): {scores}"
    print(json.dumps(document) if arguments.json else line)
    return 0


if __name__ == "__main__":
    sys.exit(main())

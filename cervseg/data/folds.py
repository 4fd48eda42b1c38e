"""Cross-validation: groups in folds that are alike, and the dataset as one fold sees it."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cervseg.data.manifest import Dataset, SourceRow, open_dataset
from cervseg.errors import ConfigError

NAME_ONE = "add --fold K"


def assign_folds(sources: Sequence[SourceRow], folds: int, *, seed: int) -> list[SourceRow]:
    """Give each source a fold, so that no group is divided and the folds are alike.

    A group weighs three shares of the whole: of the images, of the images with foreground, and of
    the pixels of foreground at full size. The groups come in the order of the largest of the three,
    equal ones as the seed has it, and each goes to the fold where

        Σ folds Σ shares (what the fold holds of it)²

    grows least: where Σ shares (what the fold holds · what the group adds) is smallest. Folds that
    hold nothing come first, so none stays empty.

    Args:
        sources: With group, size and foreground.
        folds: How many.
        seed: Of the order of equal groups.

    Raises:
        ConfigError: There are fewer groups than folds.
    """
    groups = sorted({row.group for row in sources})
    require_groups(groups, folds)
    shares = _shares(sources, groups)
    order = np.random.default_rng(seed).permutation(len(groups))
    order = order[np.argsort(-shares[order].max(axis=1), kind="stable")]
    held = np.zeros((folds, shares.shape[1]))
    fold_of: dict[str, str] = {}
    for place in order:
        fold = int(np.argmin(held @ shares[place]))
        held[fold] += shares[place]
        fold_of[groups[place]] = str(fold)
    return [row._replace(fold=fold_of[row.group]) for row in sources]


def require_groups(groups: Collection[str], folds: int) -> None:
    """Check that each fold gets a group.

    Raises:
        ConfigError: There are fewer groups than folds.
    """
    if len(groups) < folds:
        raise ConfigError(
            f"'data.folds': {len(groups)} group(s) can't fill {folds} folds",
            hint="fewer folds, more images, or group them more finely",
        )


def _shares(sources: Sequence[SourceRow], groups: Sequence[str]) -> NDArray[np.float64]:
    """What each group holds of the images, those with foreground, and foreground: (groups, 3)."""
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for row in sources:
        pixels = row.height * row.width * row.vertical * row.horizontal * row.foreground
        for i, value in enumerate((1.0, float(row.foreground > 0), pixels)):
            sums[row.group][i] += value
    table = np.array([sums[group] for group in groups], np.float64)
    return np.asarray(table / np.maximum(table.sum(axis=0), 1e-9))


def open_fold(folder: Path, fold: int | None, *, hint: str = NAME_ONE) -> Dataset:
    """Open a dataset; of one in folds, as the fold sees it.

    Args:
        folder: Of the dataset.
        fold: The one that is scored; None for a dataset that is not in folds.
        hint: How to name one.

    Raises:
        DataError: The dataset is missing or broken.
        ConfigError: It is in folds and none is named, or the other way round; or there is no such
            fold.
    """
    dataset = open_dataset(folder)
    if fold is None and not dataset.folds:
        return dataset
    if fold is None:
        raise none_chosen(folder, dataset.folds, hint=hint)
    if not dataset.folds:
        raise not_in_folds(folder)
    if not 0 <= fold < dataset.folds:
        raise ConfigError(f"--fold {fold}: the folds are 0 to {dataset.folds - 1}")
    return dataset.of_fold(fold)


def none_chosen(folder: Path, folds: int, *, hint: str = NAME_ONE) -> ConfigError:
    """Tell that a fold must be named."""
    return ConfigError(f"{folder}: in {folds} folds, and none is chosen", hint=hint)


def not_in_folds(folder: Path) -> ConfigError:
    """Tell that a dataset has splits instead."""
    return ConfigError(
        f"{folder}: not in folds",
        hint="set data.folds and cut it again: cervseg dataset-tile CONFIG --overwrite",
    )

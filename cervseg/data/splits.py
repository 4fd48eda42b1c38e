"""Which field trains, validates or tests: decided by group."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

import numpy as np

from cervseg.config.data import FolderSplit, FractionSplit, ListSplit, Split
from cervseg.data.fields import SPLITS, Field
from cervseg.errors import ConfigError


def assign_splits(
    fields: Sequence[Field], split: FractionSplit | ListSplit | FolderSplit
) -> tuple[list[tuple[Field, Split]], list[str]]:
    """Give each field a split.

    Returns:
        The fields that have one, and notices on those that have none.

    Raises:
        ConfigError: Too few groups for the fractions; a listed name matches nothing or stands
            in two lists.
    """
    if isinstance(split, FolderSplit):
        return [(field, field.split) for field in fields if field.split is not None], []
    if isinstance(split, ListSplit):
        return _by_lists(fields, split)
    by_group = _by_fractions(sorted({field.group for field in fields}), split)
    return [(field, by_group[field.group]) for field in fields], []


def _by_fractions(groups: list[str], split: FractionSplit) -> dict[str, Split]:
    counts: dict[Split, int] = {
        "test": _count(split.test, len(groups)),
        "valid": _count(split.valid, len(groups)),
    }
    counts["train"] = len(groups) - counts["test"] - counts["valid"]
    if counts["train"] < 1:
        raise ConfigError(
            f"'data.split': {len(groups)} group(s) can't fill train, valid and test",
            hint="add images, set a fraction to 0, or group them more finely",
        )
    order = np.random.default_rng(split.seed).permutation(len(groups))
    names: list[Split] = [name for name in SPLITS for _ in range(counts[name])]
    return {groups[place]: name for place, name in zip(order, names, strict=True)}


def _count(fraction: float, total: int) -> int:
    return max(1, round(fraction * total)) if fraction else 0


def _by_lists(
    fields: Sequence[Field], split: ListSplit
) -> tuple[list[tuple[Field, Split]], list[str]]:
    lists: dict[Split, tuple[str, ...]] = {
        "train": split.train,
        "valid": split.valid,
        "test": split.test,
    }
    names = [field.name for field in fields]
    for place, patterns in lists.items():
        for pattern in patterns:
            if not any(_matches(name, pattern) for name in names):
                raise ConfigError(f"'data.split.{place}': {pattern!r} matches no image")
    chosen, left_out = [], []
    for field in fields:
        places = [s for s, ps in lists.items() if any(_matches(field.name, p) for p in ps)]
        if len(places) > 1:
            raise ConfigError(f"'data.split': {field.name!r} is in {' and '.join(places)}")
        if places:
            chosen.append((field, places[0]))
        else:
            left_out.append(field.name)
    if not left_out:
        return chosen, []
    shown = ", ".join(left_out[:5]) + (", …" if len(left_out) > 5 else "")
    return chosen, [f"{len(left_out)} image(s) stand in no list and are left out: {shown}"]


def _matches(name: str, pattern: str) -> bool:
    """A name may itself hold brackets, so it also stands for itself."""
    return name == pattern or fnmatchcase(name, pattern)

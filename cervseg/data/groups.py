"""What no split may divide: the group of each image, by name, by list or by folder."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from cervseg.config.data import DataConfig
from cervseg.errors import ConfigError, DataError
from cervseg.images.image import SUFFIXES


def group_names(
    names: Sequence[str], config: DataConfig, folders: Sequence[Path] = ()
) -> list[str]:
    """The group of each image.

    Args:
        names: Of the images.
        config: Which of the four ways; without one each image is a group of its own.
        folders: In which the images lie, in the same order; for `group_folder`.

    Raises:
        ConfigError: A name does not match `group_pattern`, or has no number for `group_block`.
        DataError: `group_file` is missing or broken, or does not know an image.
    """
    if config.group_block is not None:
        return [_block(name, config.group_block) for name in names]
    if config.group_pattern is not None:
        pattern = re.compile(config.group_pattern)
        return [_matched(name, pattern) for name in names]
    if config.group_file is not None:
        return _listed(names, config.group_file)
    if config.group_folder:
        return [folder.resolve().name for folder in folders]
    return list(names)


def _block(name: str, size: int) -> str:
    numbers = re.findall(r"\d+", name)
    if not numbers:
        raise ConfigError(f"'data.group_block': image name {name!r} has no number")
    return str(int(numbers[-1]) // size)


def _matched(name: str, pattern: re.Pattern[str]) -> str:
    match = pattern.search(name)
    if match is None:
        raise ConfigError(f"'data.group_pattern' does not match image name {name!r}")
    group = match.group(1) if pattern.groups else match.group(0)
    if not group:
        what = "the parenthesis is empty" if pattern.groups else "it matches nothing"
        raise ConfigError(f"'data.group_pattern': {what} for {name!r}")
    return str(group)


def _listed(names: Sequence[str], path: Path) -> list[str]:
    groups = _read_groups(path)
    missing = [name for name in names if name not in groups]
    if missing:
        raise DataError(
            f"{path}: no line for image {missing[0]!r} ({len(missing)} in all)",
            hint="each line is an image's name, with or without suffix, and its group",
        )
    return [groups[name] for name in names]


def _read_groups(path: Path) -> dict[str, str]:
    try:
        # Spreadsheets put a mark before the first column's name.
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            columns = reader.fieldnames or []
            rows = list(reader)
    except FileNotFoundError as exc:
        raise DataError(f"{path}: no such table of groups") from exc
    except (OSError, ValueError, csv.Error) as exc:
        raise DataError(f"{path}: not a readable table of groups: {exc}") from exc
    missing = [name for name in ("file", "group") if name not in columns]
    if missing:
        raise DataError(f"{path}: column {missing[0]!r} is missing")
    groups: dict[str, str] = {}
    for number, row in enumerate(rows, start=2):
        file_name, group = (row["file"] or "").strip(), (row["group"] or "").strip()
        if not file_name or not group:
            raise DataError(f"{path}:{number}: a file and a group expected")
        for name in _names(file_name):
            if groups.setdefault(name, group) != group:
                raise DataError(f"{path}:{number}: {name!r} has two groups")
    return groups


def _names(file_name: str) -> set[str]:
    """What an image may be called that stands as `a/field.1.png`, or as `field.1` alone."""
    path = Path(file_name)
    stem = path.stem if path.suffix.lower() in SUFFIXES else path.name
    return {path.name, stem}

"""Fields: one photograph each, with its mask, its group and, where folders say so, its split."""

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from cervseg.config.data import DataConfig, Source, Split
from cervseg.errors import ConfigError, DataError
from cervseg.images.image import find_images

SPLITS: tuple[Split, ...] = ("train", "valid", "test")

SPLIT_FOLDERS: dict[Split, tuple[str, ...]] = {
    "train": ("train",),
    "valid": ("valid", "validation", "val"),
    "test": ("test",),
}
"""What the place of `{split}` may be called on disk."""


NO_MASK = ": no mask of this name"


class Field(NamedTuple):
    """One photograph and what is known of it.

    Args:
        name: Stem of the image, unique in a dataset.
        image: The photograph.
        mask: None stands for background only.
        group: What no split may divide: a slide, a patient.
        scale: Full-size pixels per file pixel, vertical and horizontal.
        split: Of the folder it lay in.
    """

    name: str
    image: Path
    mask: Path | None
    group: str
    scale: tuple[float, float] = (1.0, 1.0)
    split: Split | None = None


def find_fields(config: DataConfig) -> list[Field]:
    """List the fields of all sources, sorted by name.

    Raises:
        ConfigError: No source is named, or a name does not match `group_pattern`.
        DataError: A folder is missing, or images and masks do not pair; lists all of them.
    """
    if not config.source:
        raise ConfigError("'data.source' is missing", hint="name `images` and `masks` folders")
    fields: list[Field] = []
    problems: list[str] = []
    for source in config.source:
        for split, images, masks in _folders(source):
            found, wrong = _pair(images, masks, background=config.missing_mask == "background")
            fields += [
                Field(path.stem, path, mask, path.stem, source.scale, split) for path, mask in found
            ]
            problems += wrong
    problems += repeated_names((field.name, field.image) for field in fields)
    if problems:
        hint = None
        if any(problem.endswith(NO_MASK) for problem in problems):
            hint = "for images without cells, set data.missing_mask: background"
        raise DataError(list_problems("images and masks do not pair", problems), hint=hint)
    if not fields:
        raise DataError(f"{config.source[0].images}: no images in it")
    groups = group_names([field.name for field in fields], config)
    grouped = [field._replace(group=group) for field, group in zip(fields, groups, strict=True)]
    return sorted(grouped)


def list_problems(title: str, problems: list[str], *, most: int = 20) -> str:
    """One message of many lines: the first 20 problems and a count of the rest."""
    lines = [f"{title}: {len(problems)} {'problem' if len(problems) == 1 else 'problems'}"]
    lines += [f"  {problem}" for problem in problems[:most]]
    if len(problems) > most:
        lines.append(f"  and {len(problems) - most} more")
    return "\n".join(lines)


def group_names(names: list[str], config: DataConfig) -> list[str]:
    """The group of each image name.

    Raises:
        ConfigError: A name does not match `group_pattern`, or has no number for `group_block`.
    """
    if config.group_block is not None:
        return [_block(name, config.group_block) for name in names]
    if config.group_pattern is None:
        return names
    pattern = re.compile(config.group_pattern)
    return [_matched(name, pattern) for name in names]


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
    if group is None:
        raise ConfigError(f"'data.group_pattern': the parenthesis is empty for {name!r}")
    return str(group)


def _folders(source: Source) -> list[tuple[Split | None, Path, Path]]:
    if "{split}" not in str(source.images):
        return [(None, source.images, source.masks)]
    found: list[tuple[Split | None, Path, Path]] = []
    for split in SPLITS:
        for name in SPLIT_FOLDERS[split]:
            images = Path(str(source.images).replace("{split}", name))
            if images.is_dir():
                found.append((split, images, Path(str(source.masks).replace("{split}", name))))
    if not found:
        raise DataError(f"{source.images}: no folder for any of train, valid, test")
    return found


def _pair(
    images: Path, masks: Path, *, background: bool
) -> tuple[list[tuple[Path, Path | None]], list[str]]:
    if images.resolve() == masks.resolve():
        raise ConfigError(f"'data.source': images and masks are one folder, {images}")
    image_files, mask_files = find_images(images), find_images(masks)
    by_stem = {path.stem: path for path in mask_files}
    stems = {path.stem for path in image_files}
    problems = repeated_names((path.stem, path) for path in mask_files)
    problems += [f"{path}: no image of this name" for path in mask_files if path.stem not in stems]
    if not background:
        problems += [f"{p}{NO_MASK}" for p in image_files if p.stem not in by_stem]
    return [(path, by_stem.get(path.stem)) for path in image_files], problems


def repeated_names(named: Iterable[tuple[str, Path]]) -> list[str]:
    """A problem for each name that several files share."""
    paths: dict[str, list[Path]] = defaultdict(list)
    for name, path in named:
        paths[name].append(path)
    return [
        f"{same[0]} and {same[1]}: two files with one stem"
        for same in paths.values()
        if len(same) > 1
    ]

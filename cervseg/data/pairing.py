"""Which files belong together: images and what is said of them, split folders, names."""

import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from cervseg.config.data import Split
from cervseg.config.sources import CocoSource, FolderSource, GeojsonSource, LabelImageSource
from cervseg.data.fields import SPLITS, Field, repeated_names
from cervseg.errors import DataError
from cervseg.images.image import find_images, image_name

log = logging.getLogger("cervseg")

S = TypeVar("S", FolderSource, GeojsonSource, CocoSource, LabelImageSource)

SPLIT_FOLDERS: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "valid": ("valid", "validation", "val"),
    "test": ("test", "testing"),
}
"""What the place of `{split}` may be called on disk."""


def per_split(source: S, names: Sequence[str]) -> Iterable[tuple[Split | None, S]]:
    """A source for each split folder that is there, or the source itself."""
    if "{split}" not in str(source.images):
        return [(None, source)]
    found: list[tuple[Split | None, S]] = []
    others = _folders_of(source.images)
    for split in SPLITS:
        for folder in SPLIT_FOLDERS[split]:
            paths = {
                name: Path(str(path).replace("{split}", folder))
                for name in names
                if (path := getattr(source, name)) is not None
            }
            if paths["images"].is_dir():
                found.append((split, source.model_copy(update=paths)))
                others.discard(folder)
    if not found:
        raise DataError(f"{source.images}: no folder for any of train, valid, test")
    if others:
        log.warning("%s: not looked at: %s", source.images, ", ".join(sorted(others)))
    return found


def _folders_of(images: Path) -> set[str]:
    """What could stand for `{split}`: each gives a folder that is there."""
    before, _, after = str(images).partition("{split}")
    first = Path(f"{before}x")  # of a name that may begin and end with something else
    start, end = first.name[:-1], after.partition("/")[0]
    named = re.compile(f"{re.escape(start)}(.+){re.escape(end)}")
    here = [path.name for path in first.parent.iterdir()] if first.parent.is_dir() else []
    found = {match[1] for name in here if (match := named.fullmatch(name))}
    return {name for name in found if Path(f"{before}{name}{after}").is_dir()}


def by_stem(source: FolderSource) -> tuple[dict[Path, Path | None], list[str]]:
    """The mask of each image's stem, and what is wrong with the names of the masks.

    Masks of a stem that occurs in several folders, as numbers do, lie in folders of the same names.
    """
    images, masks = find_images(source.images), find_images(source.masks)
    counts = Counter(image.stem for image in images)

    def key(path: Path, root: Path) -> str:
        return str(path.relative_to(root).with_suffix("")) if counts[path.stem] > 1 else path.stem

    named = {image: key(image, source.images) for image in images}
    files = [(key(mask, source.masks), mask) for mask in masks]
    known, of = {*named.values()}, dict(files)
    problems = repeated_names(files)
    problems += [f"{mask}: no image of this name" for name, mask in files if name not in known]
    return {image: of.get(name) for image, name in named.items()}, problems


def by_any_name(
    images: Sequence[Path], files: Sequence[Path]
) -> tuple[dict[Path, Path | None], list[str]]:
    """The annotation of each image, and what is wrong with the names.

    Of `a.ome.tif` it may be called `a`, as `tiled-infer` calls it, `a.ome` or, as QuPath calls
    an image in a project, `a.ome.tif`.
    """
    by_stem = {path.stem: path for path in files}
    problems = repeated_names((path.stem, path) for path in files)
    found: dict[Path, Path | None] = {}
    for image in images:
        names = dict.fromkeys((image.stem, image_name(image), image.name))
        own = [by_stem[name] for name in names if name in by_stem]
        found[image] = own[0] if own else None
        if len(own) > 1:
            problems.append(f"{own[0]} and {own[1]}: both for {image}")
    return found, problems


def tell_apart(named: Sequence[tuple[str, Path]]) -> list[tuple[str, ...]]:
    """Names, and before those that several images have the folders from where they part.

    Args:
        named: A name of each image, and the image.
    """
    counts = Counter(name for name, _ in named)
    folders = {image: image.absolute().parent for name, image in named if counts[name] > 1}
    common = os.path.commonpath(folders.values()) if folders else ""
    return [
        (*folders[image].relative_to(common).parts, name) if image in folders else (name,)
        for name, image in named
    ]


def with_own_names(fields: Sequence[Field]) -> list[Field]:
    """Put the folders, from where they part, before a name that occurs in several of them."""
    names = tell_apart([(field.name, field.image) for field in fields])
    return [field._replace(name="_".join(name)) for field, name in zip(fields, names, strict=True)]

"""Which files belong together: images and what is said of them, split folders, names."""

import logging
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from cervseg.config.data import Split
from cervseg.config.sources import CocoSource, FolderSource, GeojsonSource, LabelImageSource
from cervseg.data.fields import SPLITS, Field, repeated_names
from cervseg.errors import DataError
from cervseg.images.image import find_images, image_name, place_of

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
    others, seen = _folders_of(source.images), set[Path]()
    for split in SPLITS:
        for folder in SPLIT_FOLDERS[split]:
            paths = {
                name: Path(str(path).replace("{split}", folder))
                for name in names
                if (path := getattr(source, name)) is not None
            }
            others.discard(folder)
            place = paths["images"].resolve()  # `val` may be a link to `valid`
            if place.is_dir() and place not in seen:
                seen.add(place)
                found.append((split, source.model_copy(update=paths)))
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


def by_stem(images: Path, masks: Path) -> tuple[dict[Path, Path | None], list[str], list[Path]]:
    """The mask of each image's stem, what is wrong with the names of masks, and masks of no image.

    Masks of a stem that occurs in several folders, as numbers do, lie in folders of the same names.
    """
    found = find_images(images)
    counts = Counter(image.stem for image in found)
    named = {image: place_of(image, image.stem, root=images, counts=counts) for image in found}
    files = [
        (place_of(mask, mask.stem, root=masks, counts=counts), mask) for mask in find_images(masks)
    ]
    known, of = {*named.values()}, dict(files)
    strays = [mask for name, mask in files if name not in known]
    return {image: of.get(name) for image, name in named.items()}, repeated_names(files), strays


def by_any_name(
    images: Path, files: Sequence[Path], root: Path
) -> tuple[dict[Path, Path | None], list[str]]:
    """The annotation of each image, and what is wrong with the names.

    Of `a.ome.tif` it may be called `a`, as `tiled-infer` calls it, `a.ome` or, as QuPath calls
    an image in a project, `a.ome.tif`. Of a name that occurs in several folders they lie in folders
    of the same names.

    Args:
        images: The folder of the images.
        files: The annotations.
        root: The folder that these lie in.
    """
    names = {
        image: dict.fromkeys((image.stem, image_name(image), image.name))
        for image in find_images(images)
    }
    counts = Counter(name for own in names.values() for name in own)
    placed = [(place_of(path, path.stem, root=root, counts=counts), path) for path in files]
    problems, by_place = repeated_names(placed), dict(placed)
    found: dict[Path, Path | None] = {}
    for image, every in names.items():
        places = [place_of(image, name, root=images, counts=counts) for name in every]
        own = [by_place[place] for place in places if place in by_place]
        found[image] = own[0] if own else None
        if len(own) > 1:
            problems.append(f"{own[0]} and {own[1]}: both for {image}")
    return found, problems


def by_predicted_name(images: Mapping[str, Path], masks: Path) -> tuple[dict[str, Path], list[str]]:
    """The finished mask of each image that has one, and what is wrong with the names.

    It is called as `tiled-infer` calls it, or as the image is called here. Of several of one name
    it is the one whose folders are the last that the image lies in.

    Args:
        images: By what they are called.
        masks: The folder of the masks.
    """
    found: dict[str, list[Path]] = defaultdict(list)
    for mask in find_images(masks):
        found[image_name(mask)].append(mask)
    counts = Counter(map(image_name, images.values()))
    own: dict[str, Path] = {}
    problems: list[str] = []
    for called, image in images.items():
        for name in (image_name(image), called):
            files = found[name]
            if len(files) > 1 or counts[name] > 1:
                near = _in_its_folders(image, files, masks)
                files = near if near or counts[name] > 1 else files
            if len(files) > 1:
                problems.append(f"{files[0]} and {files[1]}: both for {image}")
            if files:
                own[called] = files[0]
                break
    of = {mask: called for called, mask in own.items()}  # the last that it is for
    problems += [
        f"{mask}: for both {images[called]} and {images[of[mask]]}"
        for called, mask in own.items()
        if of[mask] != called
    ]
    return own, problems


def _in_its_folders(image: Path, files: Sequence[Path], root: Path) -> list[Path]:
    """Of files, those whose folders below a root are the last that the image lies in."""
    above = _folder_of(image).parts
    depths: dict[int, list[Path]] = defaultdict(list)
    for file in files:
        folders = file.relative_to(root).parent.parts
        if folders == above[len(above) - len(folders) :]:
            depths[len(folders)].append(file)
    return depths[max(depths)] if depths else []


def tell_apart(named: Sequence[tuple[str, Path]]) -> list[tuple[str, ...]]:
    """Names, and before those that several images have the folders from where they part.

    An image that is there under two paths, by a link, keeps its name twice.

    Args:
        named: A name of each image, and the image.
    """
    counts = Counter(name for name, _ in {(name, image.resolve()) for name, image in named})
    folders = {image: _folder_of(image) for name, image in named if counts[name] > 1}
    common = os.path.commonpath(folders.values()) if folders else ""
    return [
        (*folders[image].relative_to(common).parts, name) if image in folders else (name,)
        for name, image in named
    ]


def _folder_of(image: Path) -> Path:
    """Its folder from the root on, without `..`, which would lead out of wherever it is put."""
    return Path(os.path.abspath(image)).parent  # noqa: PTH100 - links stay as they are


def own_names(named: Sequence[tuple[str, Path]]) -> list[str]:
    """The same in one word each: `patient_a_0`."""
    return ["_".join(name) for name in tell_apart(named)]


def with_own_names(fields: Sequence[Field]) -> list[Field]:
    """Put the folders, from where they part, before a name that occurs in several of them."""
    names = own_names([(field.name, field.image) for field in fields])
    return [field._replace(name=name) for field, name in zip(fields, names, strict=True)]

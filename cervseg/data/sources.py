"""The kinds of `data.source`: each lists its photographs and the truth of each."""

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from cervseg.annotations.coco import read_coco
from cervseg.annotations.label_images import find_label_images
from cervseg.annotations.sipakmed import find_sipakmed
from cervseg.config.data import DataConfig, Split
from cervseg.config.sources import (
    CocoSource,
    FolderSource,
    GeojsonSource,
    LabelImageSource,
    SipakmedSource,
)
from cervseg.data.fields import SPLITS, Field, list_problems, repeated_names
from cervseg.data.groups import group_names
from cervseg.data.truth import (
    CocoImage,
    GeojsonFile,
    LabelImage,
    MaskFile,
    SipakmedContours,
    Truth,
    mask_options,
)
from cervseg.errors import ConfigError, DataError
from cervseg.images.image import find_images, image_name

log = logging.getLogger("cervseg")

S = TypeVar("S", FolderSource, GeojsonSource, CocoSource, LabelImageSource)

SPLIT_FOLDERS: dict[Split, tuple[str, ...]] = {
    "train": ("train",),
    "valid": ("valid", "validation", "val"),
    "test": ("test",),
}
"""What the place of `{split}` may be called on disk."""

GEOJSON_SUFFIXES = (".geojson", ".json")

NO_MASK = ": no mask of this name"
NO_ANNOTATION = ": no annotation of this name"
NOT_IN_COCO = ": not in the COCO file"


class Listed(NamedTuple):
    """The fields of a source, and what does not pair."""

    fields: list[Field]
    problems: list[str]


def _per_split(source: S, names: Sequence[str]) -> Iterable[tuple[Split | None, S]]:
    """A source for each split folder that is there, or the source itself."""
    if "{split}" not in str(source.images):
        return [(None, source)]
    found: list[tuple[Split | None, S]] = []
    for split in SPLITS:
        for folder in SPLIT_FOLDERS[split]:
            paths = {
                name: Path(str(path).replace("{split}", folder))
                for name in names
                if (path := getattr(source, name)) is not None
            }
            if paths["images"].is_dir():
                found.append((split, source.model_copy(update=paths)))
    if not found:
        raise DataError(f"{source.images}: no folder for any of train, valid, test")
    return found


class _Pair(NamedTuple):
    """An image, and what says what is on it."""

    split: Split | None
    image: Path
    origin: Path | None
    truth: Truth | None


def _listed(
    pairs: Sequence[_Pair], scale: tuple[float, float], *, config: DataConfig, missing: str
) -> Listed:
    """Fields of the pairs; `missing` is said of an image without truth where that is an error."""
    fields = [
        Field(image.stem, image, origin, image.stem, scale, split, truth)
        for split, image, origin, truth in pairs
    ]
    is_wrong = config.missing_mask == "error"
    return Listed(fields, [f"{p.image}{missing}" for p in pairs if is_wrong and p.truth is None])


def _by_stem(
    images: Sequence[Path], files: Sequence[Path]
) -> tuple[dict[Path, Path | None], list[str]]:
    """The file of each image's stem, and what is wrong with the names of the files."""
    by_stem = {path.stem: path for path in files}
    problems = repeated_names((path.stem, path) for path in files)
    stems = {path.stem for path in images}
    problems += [f"{path}: no image of this name" for path in files if path.stem not in stems]
    return {image: by_stem.get(image.stem) for image in images}, problems


def _by_any_name(
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


def _tell_strays(
    config: DataConfig, truths: Collection[object | None], unused: Sequence[Path | str]
) -> None:
    """Tell of annotations of no image, where one may be that of an image taken for background."""
    if config.missing_mask == "background" and None in truths and unused:
        log.warning(
            "annotations of no image: %d, as %s; images without one count as background",
            len(unused), unused[0],
        )  # fmt: skip


def _list_folders(source: FolderSource, config: DataConfig) -> Listed:
    reading, options = config.mask_reading(), mask_options(config.masks)
    pairs, problems = [], []
    for split, part in _per_split(source, ("images", "masks")):
        if part.images.resolve() == part.masks.resolve():
            raise ConfigError(f"'data.source': images and masks are one folder, {part.images}")
        images, masks = find_images(part.images), find_images(part.masks)
        files, wrong = _by_stem(images, masks)
        problems += wrong
        for image, mask in files.items():
            truth = MaskFile(mask, reading, options) if mask else None
            pairs.append(_Pair(split, image, mask, truth))
    fields, missing = _listed(pairs, source.scale, config=config, missing=NO_MASK)
    return Listed(fields, problems + missing)


def _list_sipakmed(source: SipakmedSource, config: DataConfig) -> Listed:
    fields = []
    for record in find_sipakmed(source.folder, source.categories):
        truth = SipakmedContours(record, source.contours, source.rename)
        name, image = record.name, record.image
        fields.append(Field(name, image, image.parent, name, source.scale, None, truth))
    return Listed(fields, [])


def _list_geojson(source: GeojsonSource, config: DataConfig) -> Listed:
    pairs, problems = [], []
    for split, part in _per_split(source, ("images", "annotations")):
        folder = part.annotations or part.images
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder")
        found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in GEOJSON_SUFFIXES)
        files, wrong = _by_any_name(find_images(part.images), found)
        problems += wrong
        taken = set(files.values())
        strays = [p for p in found if p not in taken and p.suffix.lower() == ".geojson"]
        _tell_strays(config, taken, strays)
        for image, file in files.items():
            truth = GeojsonFile(file, source.rename) if file else None
            pairs.append(_Pair(split, image, file, truth))
    fields, missing = _listed(pairs, source.scale, config=config, missing=NO_ANNOTATION)
    return Listed(fields, problems + missing)


def _list_coco(source: CocoSource, config: DataConfig) -> Listed:
    pairs = []
    for split, part in _per_split(source, ("images", "annotations")):
        images, file = find_images(part.images), read_coco(part.annotations)
        names = [file.find(image.relative_to(part.images).as_posix()) for image in images]
        unused = set(file.images) - set(names)
        strays = [f"{n!r} in {file.path}" for n in sorted(unused) if file.images[n].annotations]
        _tell_strays(config, names, strays)
        for image, name in zip(images, names, strict=True):
            truth = CocoImage(file, name, source.rename) if name is not None else None
            pairs.append(_Pair(split, image, part.annotations if truth else None, truth))
    return _listed(pairs, source.scale, config=config, missing=NOT_IN_COCO)


def _list_label_images(source: LabelImageSource, config: DataConfig) -> Listed:
    names = tuple(config.classes)
    index = names.index(source.class_name or names[0]) + 1
    pairs = []
    for split, part in _per_split(source, ("images", "masks")):
        images = find_images(part.images)
        files = find_label_images(images, part.masks)
        known = {path.resolve() for path in (*images, *filter(None, files.values()))}
        unused = [path for path in find_images(part.masks) if path.resolve() not in known]
        _tell_strays(config, files.values(), unused)
        for image, file in files.items():
            truth = LabelImage(file, index) if file else None
            pairs.append(_Pair(split, image, file, truth))
    return _listed(pairs, source.scale, config=config, missing=NO_MASK)


SOURCES: dict[type, Callable[..., Listed]] = {
    FolderSource: _list_folders,
    SipakmedSource: _list_sipakmed,
    GeojsonSource: _list_geojson,
    CocoSource: _list_coco,
    LabelImageSource: _list_label_images,
}
"""How each kind is listed."""


def list_fields(config: DataConfig) -> Listed:
    """List the fields of all sources, sorted by name, and what does not pair.

    Raises:
        ConfigError: No source is named, or a name does not match `group_pattern`.
        DataError: A folder is missing or without images.
    """
    if not config.source:
        raise ConfigError("'data.source' is missing", hint="name `images` and `masks` folders")
    fields: list[Field] = []
    problems: list[str] = []
    for source in config.source:
        found, wrong = SOURCES[type(source)](source, config)
        fields += found
        problems += wrong
    problems += repeated_names((field.name, field.image) for field in fields)
    if not fields and not problems:
        first = config.source[0]
        folder = first.folder if isinstance(first, SipakmedSource) else first.images
        raise DataError(f"{folder}: no images in it")
    groups = group_names([f.name for f in fields], config, [f.image.parent for f in fields])
    grouped = [field._replace(group=group) for field, group in zip(fields, groups, strict=True)]
    return Listed(sorted(grouped, key=lambda field: field.name), problems)


def find_fields(config: DataConfig) -> list[Field]:
    """List the fields of all sources, sorted by name.

    Raises:
        ConfigError: No source is named, or a name does not match `group_pattern`.
        DataError: A folder is missing, or images and truth do not pair; lists all of them.
    """
    fields, problems = list_fields(config)
    if problems:
        hint = None
        if any(problem.endswith((NO_MASK, NO_ANNOTATION, NOT_IN_COCO)) for problem in problems):
            hint = "for images without cells, set data.missing_mask: background"
        raise DataError(list_problems("images and masks do not pair", problems), hint=hint)
    return fields

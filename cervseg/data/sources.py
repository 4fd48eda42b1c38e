"""The kinds of `data.source`: each lists its photographs and the truth of each."""

import logging
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NamedTuple

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
from cervseg.data.fields import ONE_STEM, Field, list_problems, repeated_names
from cervseg.data.groups import group_names
from cervseg.data.manifest import DOCUMENT
from cervseg.data.pairing import by_any_name, by_stem, per_split, with_own_names
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
from cervseg.images.image import find_images, is_output
from cervseg.images.masks import Reading

log = logging.getLogger("cervseg")

GEOJSON_SUFFIXES = (".geojson", ".json")

NO_MASK = ": no mask of this name"
NO_ANNOTATION = ": no annotation of this name"
NOT_IN_COCO = ": not in the COCO file"


class Listed(NamedTuple):
    """The fields of a source, and what does not pair."""

    fields: list[Field]
    problems: list[str]


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


def _tell_strays(
    config: DataConfig, truths: Collection[object | None], unused: Sequence[Path | str]
) -> None:
    """Tell of annotations of no image, where one may be that of an image taken for background."""
    if config.missing_mask == "background" and None in truths and unused:
        log.warning(
            "annotations of no image: %d, as %s; images without one count as background",
            len(unused), unused[0],
        )  # fmt: skip


def _tile_reading(tile: Path, config: DataConfig) -> Reading | None:
    """Class indices, where a tile lies in DATASET/tiles/SPLIT/images beside `dataset.json`."""
    parents = tile.absolute().parents
    is_ours = len(parents) > 3 and parents[2].name == "tiles" and (parents[3] / DOCUMENT).is_file()
    return "index" if is_ours and config.masks.read == "auto" else None


def _list_folders(source: FolderSource, config: DataConfig) -> Listed:
    options = mask_options(config.masks)
    pairs, problems = [], []
    for split, part in per_split(source, ("images", "masks")):
        if part.images.resolve() == part.masks.resolve():
            raise ConfigError(f"'data.source': images and masks are one folder, {part.images}")
        files, wrong, strays = by_stem(part.images, part.masks)
        problems += [*wrong, *(f"{mask}: no image of this name" for mask in strays)]
        for image, mask in files.items():
            reading = _tile_reading(image, config) if source.kind == "tiles" else None
            reading = reading or config.mask_reading()
            truth = MaskFile(mask, reading, options) if mask else None
            pairs.append(_Pair(split, image, mask, truth))
    fields, missing = _listed(pairs, source.scale, config=config, missing=NO_MASK)
    return Listed(fields, problems + missing)


def _list_sipakmed(source: SipakmedSource, config: DataConfig) -> Listed:
    fields = []
    for record in find_sipakmed(source.folder, source.categories):
        name, image = record.name, record.image
        is_empty = not record.cells and not record.nuclei and config.missing_mask == "background"
        truth = None if is_empty else SipakmedContours(record, source.contours, source.rename)
        fields.append(Field(name, image, image.parent, name, source.scale, None, truth))
    return Listed(fields, [])


def _find_annotations(folder: Path) -> list[Path]:
    """The GeoJSON files below a folder, but for those that an inference wrote there."""
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in GEOJSON_SUFFIXES)
    between = {folder / here for path in found for here in path.relative_to(folder).parents[:-1]}
    ours = {here for here in between if is_output(path.name for path in here.iterdir())}
    return [path for path in found if ours.isdisjoint(path.parents)]


def _list_geojson(source: GeojsonSource, config: DataConfig) -> Listed:
    pairs, problems = [], []
    for split, part in per_split(source, ("images", "annotations")):
        folder = part.annotations or part.images
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder")
        found = _find_annotations(folder)
        files, wrong = by_any_name(part.images, found, folder)
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
    pairs, problems = [], []
    for split, part in per_split(source, ("images", "annotations")):
        images, file = find_images(part.images), read_coco(part.annotations)
        names = [file.find(image.relative_to(part.images).as_posix()) for image in images]
        first: dict[str, Path] = {}
        for image, name in zip(images, names, strict=True):
            if name is not None and first.setdefault(name, image) != image:
                problems.append(f"{first[name]} and {image}: both are {name!r} of {file.path}")
        unused = set(file.images) - set(names)
        strays = [f"{n!r} in {file.path}" for n in sorted(unused) if file.images[n].annotations]
        _tell_strays(config, names, strays)
        for image, name in zip(images, names, strict=True):
            truth = CocoImage(file, name, source.rename) if name is not None else None
            pairs.append(_Pair(split, image, part.annotations if truth else None, truth))
    fields, missing = _listed(pairs, source.scale, config=config, missing=NOT_IN_COCO)
    return Listed(fields, problems + missing)


def _list_label_images(source: LabelImageSource, config: DataConfig) -> Listed:
    names = tuple(config.classes)
    index = names.index(source.class_name or names[0]) + 1
    pairs = []
    for split, part in per_split(source, ("images", "masks")):
        images = find_images(part.images)
        files = find_label_images(images, part.masks, root=part.images)
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
    fields = with_own_names(fields)
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
        if any(problem.endswith(ONE_STEM) for problem in problems):
            hint = "rename one of the two, or name in data.source a folder that holds only one"
        elif any(problem.endswith((NO_MASK, NO_ANNOTATION, NOT_IN_COCO)) for problem in problems):
            hint = "for images without cells, set data.missing_mask: background"
        raise DataError(list_problems("images and masks do not pair", problems), hint=hint)
    return fields

"""What there is to check: the fields of a config, of a dataset folder, or of plain folders."""

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from cervseg.classes import Classes
from cervseg.config.data import DataConfig, FolderSplit, FractionSplit, Split
from cervseg.config.sources import FolderSource
from cervseg.data.fields import Field
from cervseg.data.manifest import DOCUMENT, Dataset, open_dataset
from cervseg.data.pairing import SPLIT_FOLDERS
from cervseg.data.sources import list_fields
from cervseg.data.splits import assign_splits
from cervseg.data.truth import MaskFile
from cervseg.errors import ConfigError, DataError


class Survey(NamedTuple):
    """The fields to check, not yet read.

    Args:
        heading: Where they lie.
        fields: Sorted by name; `split` is what a training would make of it, None for none.
        classes: What masks can mean.
        problems: Files that do not pair, one line each.
        notices: On fields that no split takes.
        tiles: That are cut already, by split.
    """

    heading: str
    fields: list[Field]
    classes: Classes
    problems: list[str]
    notices: list[str]
    tiles: Mapping[str, int]


def survey_config(data: DataConfig) -> Survey:
    """List what section `data` names, in the splits that it asks for.

    Raises:
        ConfigError: A key is missing or does not fit the data.
        DataError: A folder is missing or without images.
    """
    listed = list_fields(data)
    notices: list[str] = []
    if data.folds is not None:  # which fold is scored is not decided yet
        fields = [field._replace(split=None) for field in listed.fields]
    else:
        chosen, notices = _try_splits(listed.fields, data)
        split_of = {field.name: split for field, split in chosen}
        fields = [field._replace(split=split_of.get(field.name)) for field in listed.fields]
    tiles: dict[str, int] = {}
    with suppress(DataError):  # not cut yet, or by another version
        tiles = _count_tiles(open_dataset(data.output))
    folders = [str(getattr(s, "images", None) or getattr(s, "folder", "")) for s in data.source]
    heading = ", ".join(dict.fromkeys(folders))
    return Survey(heading, fields, data.class_table(), listed.problems, notices, tiles)


def _try_splits(
    fields: list[Field], data: DataConfig
) -> tuple[list[tuple[Field, Split]], list[str]]:
    """Splits as training would make them; where that is impossible none, and a notice why."""
    try:
        return assign_splits(fields, data.split)
    except ConfigError as exc:
        groups = sorted({field.group for field in fields})
        return [], [f"{exc}: {', '.join(groups[:5])}{', …' if len(groups) > 5 else ''}"]


def survey_folder(folder: Path, data: DataConfig) -> Survey:
    """List a dataset folder of ours, or a folder with `images` and `masks` in it.

    They may also lie in `train`, `valid` and `test` below it, which then are the splits.

    Args:
        folder: To look into.
        data: Classes, and how masks are read and grouped; its source and split do not count.

    Raises:
        DataError: It is none of these.
    """
    if (folder / DOCUMENT).is_file():
        return _survey_dataset(open_dataset(folder))
    data = config_of_folder(folder, data)
    if not isinstance(data.split, FolderSplit):
        listed = list_fields(data)
        return Survey(str(folder), listed.fields, data.class_table(), listed.problems, [], {})
    return survey_config(data)._replace(heading=str(folder), tiles={})


def config_of_folder(folder: Path, data: DataConfig) -> DataConfig:
    """Section `data` for a folder with `images` and `masks` in it, or in its split folders.

    Args:
        folder: To look into.
        data: What the section says beside its source.

    Raises:
        DataError: It is none of these.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    if (folder / "images").is_dir():
        source = FolderSource(images=folder / "images", masks=folder / "masks")
        split = FractionSplit() if isinstance(data.split, FolderSplit) else data.split
        return data.model_copy(update={"source": (source,), "split": split})
    names = [name for known in SPLIT_FOLDERS.values() for name in known]
    if not any((folder / name / "images").is_dir() for name in names):
        raise DataError(
            f"{folder}: no `images` and `masks` in it, nor in train, valid or test below it",
            hint="name the folder that holds them, or a config",
        )
    source = FolderSource(images=folder / "{split}/images", masks=folder / "{split}/masks")
    update = {"source": (source,), "split": FolderSplit(kind="folders"), "folds": None}
    return data.model_copy(update=update)


def _survey_dataset(dataset: Dataset) -> Survey:
    fields = []
    for row in dataset.sources:
        mask = dataset.path(row.mask) if row.mask else None
        objects = dataset.path(row.objects) if row.objects else None
        truth = MaskFile(mask, dataset.reading, dataset.options, objects) if mask else None
        scale, split = (row.vertical, row.horizontal), row.split or None
        image = dataset.path(row.image)
        fields.append(Field(row.name, image, mask, row.group, scale, split, truth, row.fold))
    return Survey(str(dataset.folder), fields, dataset.classes, [], [], _count_tiles(dataset))


def _count_tiles(dataset: Dataset) -> dict[str, int]:
    return dict(Counter(row.split for row in dataset.tiles))

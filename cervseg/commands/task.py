"""What is to be scored, and whether that is fair."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cervseg.classes import Classes
from cervseg.config import Config
from cervseg.config.data import Split
from cervseg.contract import Contract
from cervseg.data.labelled import Labelled, labelled_folders, labelled_sources
from cervseg.data.leaks import refuse_leaks, refuse_trained_images
from cervseg.data.manifest import open_dataset
from cervseg.errors import DataError, ModelError
from cervseg.files import pixel_digest
from cervseg.images.image import whole
from cervseg.images.readers import open_image


@dataclass(frozen=True)
class Task:
    """Images whose truth is known.

    Args:
        name: Of the split or the folder.
        items: In order.
        classes: Of the masks.
        fitted: Whether the model was fitted on them.
    """

    name: str
    items: list[Labelled]
    classes: Classes
    fitted: bool


def find_task(
    config: Config,
    contracts: Sequence[Contract],
    *,
    split: Split,
    folders: tuple[Path, Path] | None,
) -> Task:
    """List the images of a split, or of labelled folders, and refuse what would flatter.

    Args:
        config: For the dataset, and for how masks are read.
        contracts: Of the models to score; none where finished masks are scored.
        split: Of the dataset.
        folders: Images and masks outside any dataset, instead of a split.

    Raises:
        DataError: There is no such dataset, split or folder.
        ModelError: Model and data have different classes.
        LeakError: A model, or the data it was trained on, has seen an image to be scored.
    """
    task = _of_folders(config, contracts, folders) if folders else _of_split(config, split)
    for contract in contracts:
        if contract.classes.names != task.classes.names:
            raise ModelError(
                f"the model knows the classes {', '.join(contract.classes.names)}, "
                f"the data has {', '.join(task.classes.names)}"
            )
        if not task.fitted:
            refuse_trained_images(_digests(task.items), contract)
    return task


def _of_folders(config: Config, contracts: Sequence[Contract], folders: tuple[Path, Path]) -> Task:
    images, masks = folders
    classes = contracts[0].classes if contracts else config.data.class_table()
    reading = config.data.masks.read
    if reading == "auto":
        reading = "threshold" if classes.is_binary else "colour"
    return Task(
        f"folder-{images.resolve().name}",
        labelled_folders(images, masks, reading),
        classes,
        fitted=False,
    )


def _of_split(config: Config, split: Split) -> Task:
    dataset = open_dataset(config.data.output)
    refuse_leaks(dataset.sources)
    rows = dataset.sources_of(split)
    if not rows:
        raise DataError(f"{dataset.folder}: no image in split {split}")
    dataset.require_sources(split)
    return Task(split, labelled_sources(dataset, rows), dataset.classes, split != "test")


def _digests(items: Sequence[Labelled]) -> list[tuple[str, str]]:
    """Name and digest of each image as it is now; a broken one fails later, alone.

    Raises:
        DataError: A photograph is no longer the one that was cut.
    """
    digests = []
    for item in items:
        try:
            image = open_image(item.image)
        except DataError:
            continue
        digest = pixel_digest(image.read(whole(image)))
        if item.sha256 is not None and digest != item.sha256:
            raise DataError(
                f"{item.image}: changed since the dataset was cut",
                hint="cut it again: cervseg dataset-tile CONFIG --overwrite",
            )
        digests.append((item.name, digest))
    return digests

"""What is to be scored, and whether that is fair."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from cervseg.arrays import Mask, Probabilities
from cervseg.classes import Classes
from cervseg.config import Config
from cervseg.config.data import Split
from cervseg.config.inference import InferConfig
from cervseg.contract import Contract
from cervseg.data.duplicates import perceptual_hash
from cervseg.data.fields import list_problems
from cervseg.data.folds import open_fold
from cervseg.data.labelled import (
    Labelled,
    Read,
    labelled_folders,
    labelled_sources,
    require_unchanged,
)
from cervseg.data.leaks import (
    Fingerprint,
    Tolerance,
    near_pairs,
    refuse_leaks,
    refuse_trained_images,
    tell_near_leaks,
    tell_resemblance,
)
from cervseg.data.pairing import by_predicted_name
from cervseg.data.truth import mask_options
from cervseg.errors import DataError, ModelError
from cervseg.images.image import whole
from cervseg.images.masks import read_prediction
from cervseg.images.readers import open_image
from cervseg.inference.scales import known_scale

UNTOLD = "masks do not tell which images their maker has seen: no leak was looked for"


class Guessed(NamedTuple):
    """What is scored of an image.

    Args:
        mask: Class indices.
        probabilities: Of each class, shape (height, width, classes); None for masks from files.
    """

    mask: Mask
    probabilities: Probabilities | None = None


Guess = Callable[[Labelled, Read], Guessed]
"""From a labelled image to what is scored of it."""


@dataclass(frozen=True)
class Task:
    """Images whose truth is known.

    Args:
        name: Of the split or the folder.
        items: In order.
        classes: Of the masks.
        fitted: Whether the model was fitted on them.
        notices: Of images that may be known to the model all the same.
        known: Digests of images whose pixels were compared with these when they were cut.
        compared: Images that the models were fitted on, none of which is among these.
    """

    name: str
    items: list[Labelled]
    classes: Classes
    fitted: bool
    notices: tuple[str, ...] = ()
    known: frozenset[str] = frozenset()
    compared: int = 0


def find_task(
    config: Config,
    contracts: Sequence[Contract],
    *,
    split: Split,
    folders: tuple[Path, Path] | None,
    fold: int | None = None,
    section: InferConfig | None = None,
    tolerance: Tolerance | None = None,
) -> Task:
    """List the images of a split, or of labelled folders, and refuse what would flatter.

    Args:
        config: For the dataset, and for how masks are read.
        contracts: Of the models to score; none where finished masks are scored.
        split: Of the dataset.
        folders: Images and masks outside any dataset, instead of a split.
        fold: Of a dataset in folds, the one whose split it is.
        section: How large the pixels of such folders are; default: `tiled_infer` of the config.
        tolerance: Lets leaks pass; default: none.

    Raises:
        ConfigError: The dataset is in folds and none is named, or the other way round.
        DataError: There is no such dataset, split or folder.
        ModelError: Model and data have different classes.
        LeakError: A model, or the data it was trained on, has seen an image to be scored.
    """
    tolerance = tolerance or Tolerance()
    if folders:
        task = _of_folders(config, contracts, folders)
        if contracts:
            at = partial(_own_scale, section or config.tiled_infer, contracts[0])
            task = replace(task, items=[item._replace(scale=at(item)) for item in task.items])
    else:
        task = _of_split(config, split, fold=fold, tolerance=tolerance)
    prints = _fingerprints(task.items) if contracts and not task.fitted else []
    notices = dict.fromkeys(task.notices if contracts else (*task.notices, UNTOLD))
    for contract in contracts:
        if contract.classes.names != task.classes.names:
            raise ModelError(
                f"the model knows the classes {', '.join(contract.classes.names)}, "
                f"the data has {', '.join(task.classes.names)}"
            )
        with tolerance.tolerating():
            refuse_trained_images(prints, contract)
        notices |= dict.fromkeys(tell_resemblance(prints, contract, compared=task.known))
    seen = {image.sha256 for contract in contracts for image in contract.trained_on}
    compared = 0 if tolerance.found else len(seen) * bool(prints)
    return replace(task, notices=tuple(notices), compared=compared)


def _of_folders(config: Config, contracts: Sequence[Contract], folders: tuple[Path, Path]) -> Task:
    images, masks = folders
    classes = contracts[0].classes if contracts else config.data.class_table()
    reading = config.data.masks.read
    if reading == "auto":
        reading = "threshold" if classes.is_binary else "colour"
    return Task(
        f"folder-{images.resolve().name}",
        labelled_folders(images, masks, reading, options=mask_options(config.data.masks)),
        classes,
        fitted=False,
    )


def _own_scale(section: InferConfig, contract: Contract, item: Labelled) -> tuple[float, float]:
    """As `tiled-infer` finds it; a broken image fails later, alone."""
    try:
        scale = known_scale(open_image(item.image), section, contract)
    except DataError:
        scale = None
    return item.scale if scale is None else (scale, scale)


def _of_split(config: Config, split: Split, *, fold: int | None, tolerance: Tolerance) -> Task:
    dataset = open_fold(config.data.output, fold)
    with tolerance.tolerating():
        refuse_leaks(dataset.sources)
    rows = dataset.sources_of(split)
    if not rows:
        raise DataError(f"{dataset.folder}: no image in split {split}")
    dataset.require_sources(split)
    return Task(
        split,
        labelled_sources(dataset, rows),
        dataset.classes,
        split != "test",
        tuple(tell_near_leaks(dataset.sources, near_pairs(dataset))),
        frozenset(row.sha256 for row in dataset.sources),
    )


def _fingerprints(items: Sequence[Labelled]) -> list[Fingerprint]:
    """Each image as it is now; a broken one fails later, alone.

    Raises:
        DataError: A photograph is no longer the one that was cut.
    """
    prints = []
    for item in items:
        try:
            image = open_image(item.image)
        except DataError:
            continue
        pixels = image.read(whole(image))
        digest = require_unchanged(item, pixels)
        prints.append(Fingerprint(item.name, digest, perceptual_hash(pixels)))
    return prints


def read_predictions(folder: Path, task: Task) -> Guess:
    """Pair finished masks with the images of a task, by the names `tiled-infer` gives them too.

    Of a name that several images or masks have, the folders must be the same.

    Raises:
        DataError: The folder is no folder of masks, or lacks one.
    """
    if (folder / "masks").is_dir() and (folder / "overlays").is_dir():
        raise DataError(f"{folder}: an output folder, not its masks", hint=f"{folder / 'masks'}")
    files, problems = by_predicted_name({item.name: item.image for item in task.items}, folder)
    if problems:
        raise DataError(list_problems("predictions are ambiguous", problems))
    missing = [item.name for item in task.items if item.name not in files]
    if missing:
        raise DataError(f"{folder}: no mask for {missing[0]} ({len(missing)} missing in all)")

    def guess(item: Labelled, read: Read) -> Guessed:
        mask = read_prediction(files[item.name], task.classes)
        if mask.shape != read.mask.shape:
            raise DataError(f"{files[item.name]}: its size is not that of the image")
        return Guessed(mask)

    return guess

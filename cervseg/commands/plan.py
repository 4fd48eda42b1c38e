"""`cervseg plan`: look at annotated images and draw up the config that suits them."""

import logging
import math
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from cervseg import machine, runtime
from cervseg.classes import Classes
from cervseg.commands.config import experiment_name, propose_groups
from cervseg.commands.draft import draft_contract
from cervseg.config import Config
from cervseg.config.data import DataConfig, FractionSplit
from cervseg.config.loader import DEFAULT, load_config
from cervseg.config.sources import LabelImageSource
from cervseg.config.syntax import format_value
from cervseg.data.examination import Examined, check_inverted, examine_all
from cervseg.data.folds import require_groups
from cervseg.data.guessing import guess_masks
from cervseg.data.manifest import DOCUMENT, open_dataset
from cervseg.data.survey import Survey, config_of_folder, survey_config, survey_folder
from cervseg.errors import DataError
from cervseg.files import is_config
from cervseg.images.image import find_images
from cervseg.planning import Choice, Facts, choose, find_facts, write_plan
from cervseg.reports import SILENT, Progress

log = logging.getLogger("cervseg")

PLANNED = {"output", "scale", "tile_size", "overlap", "sampling", "extra_scales", "include_reduced",
           "keep_empty", "preprocess"}  # fmt: skip
"""Keys of `data` that a plan decides, or leaves at their defaults."""

LEAST_GROUPS = 3
"""For a training, a validation and a test."""

FEW_GROUPS = 12
"""With fewer, the score of one split says little."""

MEMORY_SHARE = 0.5
"""Of what is free, for a step's activations."""

FORWARD = 0.3
"""Time of a batch of validation over that of a step."""

DEFAULT_SHARE = 0.15
"""Of the images, that validate where a split does not say."""


def plan(
    subject: Path | str,
    *,
    overrides: Sequence[str] = (),
    output: Path | None = None,
    progress: Progress = SILENT,
) -> str:
    """Measure annotated images and this machine; choose scale, tiles, network and training.

    Args:
        subject: A config, whose section `data` names images, masks, classes, groups and splits and
            keeps what it says of them; a dataset folder; or a folder with `images` and `masks`.
        overrides: `section.key=value` each, for section `data` of such a config.
        output: The file that the config will be: it names dataset and run, and the commands told.
        progress: Draws the bars.

    Returns:
        A config as YAML, each key with its reason.

    Raises:
        ConfigError: The config is wrong, or asks for more folds than there are groups.
        DataError: There are no annotated objects to look at.
    """
    subject = Path(subject)
    data, survey = _survey(subject, overrides)
    groups = {field.group for field in survey.fields}
    if data.folds:
        require_groups(groups, data.folds)
    seen = [field for field in survey.fields if field.split != "test"]  # which is not looked at
    examined = examine_all(seen, survey.classes, progress=progress)
    read = [one for one in examined if one.statistics is not None]
    if not read:
        raise DataError(f"{subject}: no image can be read", hint="cervseg dataset-check tells why")
    facts = find_facts(
        [one.statistics for one in read if one.statistics],
        [one.field.scale for one in read],
        survey.classes.names,
    )._replace(groups=len(groups))
    name = experiment_name(_named_after(subject, data, output))
    machine.keep_all_blocks()
    runtime.start()
    choices, costs = _fit_machine(facts, data, name)
    for notice in _notices(facts, data, unread=len(examined) - len(read)):
        log.warning(notice)
    for notice in _doubts(read, survey.classes):
        log.warning(notice)
    return write_plan(
        [*_keep(data, name, survey), *choices],
        head=[
            f"{name}: drawn up by cervseg plan; a comment beside each key says why.",
            "",
            *_describe(facts, total=len(survey.fields), has_folds=data.folds is not None),
            _commands(output or Path(f"{name}.yaml"), has_folds=data.folds is not None),
            *costs,
        ],
    )


def _named_after(subject: Path, data: DataConfig, output: Path | None) -> Path:
    """The plan's own file, so that it stands beside a config by hand and not in its folders."""
    if output:
        return output.with_suffix("")
    return data.output if is_config(subject) else subject


def _survey(subject: Path, overrides: Sequence[str]) -> tuple[DataConfig, Survey]:
    """Section `data` as far as it is known, and the images it names."""
    loaded = load_config(subject if is_config(subject) else None, overrides)
    data = loaded.config.data
    if is_config(subject):
        return data, survey_config(data)
    if (subject / DOCUMENT).is_file():
        try:
            data = DataConfig.model_validate(open_dataset(subject).document.get("options"))
        except ValidationError as exc:
            raise DataError(f"{subject / DOCUMENT}: broken dataset: wrong options") from exc
        return data, survey_folder(subject, data)
    data = config_of_folder(subject, data)
    masks = [*subject.glob("masks"), *subject.glob("train/masks")]
    if loaded.origins["data.masks.read"] == DEFAULT and masks:
        beside = masks[0].with_name("images")
        guess = guess_masks(masks[0], find_images(beside) if beside.is_dir() else ())
        reading = data.masks.model_copy(update=guess.masks)
        data = data.model_copy(update={"masks": reading})
        if guess.kind == "label_images":
            folders = data.source[0].model_dump(include={"images", "masks"})
            source = LabelImageSource(kind=guess.kind, **folders)
            data = data.model_copy(update={"source": (source,)})
        named = [k for k, v in loaded.origins.items() if k.startswith("data.classes.")]
        if all(loaded.origins[key] == DEFAULT for key in named):
            data = data.model_copy(update={"classes": guess.classes})
    return data, survey_config(data)


def _keep(data: DataConfig, name: str, survey: Survey) -> list[Choice]:
    """What section `data` says and a plan leaves alone."""
    said = data.model_dump(mode="json", exclude_defaults=True, exclude=PLANNED)
    kept = [Choice("data.output", f"datasets/{name}", "the dataset folder to write")]
    kept += [Choice(f"data.{key}", value, "") for key, value in said.items() if value != {}]
    if not any(key.startswith("group_") for key in said):
        proposal = propose_groups([field.name for field in survey.fields])
        kept[-1] = kept[-1]._replace(
            reason=f"{proposal.lstrip('# ')} if a slide has several images"
        )
    return kept


def _fit_machine(facts: Facts, data: DataConfig, name: str) -> tuple[list[Choice], list[str]]:
    """The choices that this machine's memory allows, and what they cost on it."""
    from cervseg.models.costs import training_bytes
    from cervseg.models.folder import build_network
    from cervseg.training import rehearsal

    choices = choose(facts, name)
    config = _as_config(data, choices)
    network = build_network(draft_contract(config), where="the plan")
    side, free = config.data.tile_size, machine.available_memory()
    fixed, crop = training_bytes(network, 0, side), training_bytes(network, 1, side)
    limit = max(1, int((MEMORY_SHARE * free - fixed) / max(1, crop - fixed)))
    choices = choose(facts, name, batch_limit=limit)
    config = _as_config(data, choices)
    cost = rehearsal.rehearse(draft_contract(config), config.train)
    steps = config.train.epochs * (config.train.steps_per_epoch or 1)
    shown = config.train.epochs * _validation_batches(facts, data, config)
    minutes = math.ceil((steps + FORWARD * shown) * cost.seconds * (data.folds or 1) / 60)
    folds = f" of each of {data.folds} folds" if data.folds else ""
    return choices, [
        f"time      about {minutes} min of training: {steps} steps{folds} of {cost.seconds:.2g} s "
        "each, measured here,",
        f"          and {shown} batches of validation{folds}",
        f"memory    {cost.memory / 1e9:.1f} GB while training, of {free / 1e9:.1f} GB free; "
        f"{runtime.allowed_cores()} cores",
    ]


def _validation_batches(facts: Facts, data: DataConfig, config: Config) -> int:
    """That an epoch ends with: the tiles of the images that validate."""
    share = data.split.valid if isinstance(data.split, FractionSplit) else DEFAULT_SHARE
    if data.folds:
        share = 1 / data.folds
    tile = config.data.tile_size / config.data.scale
    tiles = math.ceil(facts.height / tile) * math.ceil(facts.width / tile)
    return math.ceil(share * facts.images * tiles / config.train.batch_size)


def _doubts(read: Sequence[Examined], classes: Classes) -> Iterator[str]:
    """What is wrong with images that are counted all the same."""
    wrong = [f for one in read for f in one.findings if f.severity == "error"]
    if wrong:
        first = f"{wrong[0].item}: {wrong[0].message}"
        yield f"counted, with errors: {first}; cervseg dataset-check tells all {len(wrong)}"
    for finding in check_inverted(read, classes):
        yield finding.message


def _notices(facts: Facts, data: DataConfig, *, unread: int) -> Iterator[str]:
    if unread:
        yield f"not read and not counted: {unread} of the images; cervseg dataset-check tells why"
    split = data.split
    shares = (split.train, split.valid, split.test) if split.kind == "fractions" else ()
    if data.folds is None and facts.groups < sum(share > 0 for share in shares):
        yield (
            f"{facts.groups} groups can't be divided into the splits of data.split: "
            "add images of other slides, or group by less"
        )
    elif LEAST_GROUPS <= facts.groups < FEW_GROUPS and data.folds is None and all(shares):
        folds = min(5, facts.groups)
        yield (
            f"{facts.groups} groups are few to score one split: data.folds: {folds} and "
            "train --all-folds score each image once"
        )


def _as_config(data: DataConfig, choices: Sequence[Choice]) -> Config:
    """The planned config, as the commands would read it."""
    overrides = [f"{choice.key}={format_value(choice.value)}" for choice in choices]
    config = load_config(None, overrides).config
    planned = {"classes": data.classes, "tile_size": config.data.tile_size}
    return config.model_copy(update={"data": data.model_copy(update=planned)})


def _describe(facts: Facts, *, total: int, has_folds: bool) -> list[str]:
    """What the config was drawn up from."""
    seen = "each is a fold's test once" if has_folds else "those of the test are not looked at"
    sizes = " and ".join(f"{size:.0f}" for size in facts.diameters)
    return [
        f"data      {facts.images} of {total} images in {facts.groups} groups; {seen};",
        f"          the median is {facts.width} x {facts.height}; {facts.objects} objects, {sizes} "
        f"pixels across, on {facts.foreground:.1%} of the pixels",
    ]


def _commands(file: Path, *, has_folds: bool) -> str:
    """What to type next, where the config is in this file."""
    name = shlex.quote(str(file))
    every = " --all-folds" if has_folds else ""
    return f"command   cervseg dataset-tile {name} && cervseg train {name}{every}"

"""`cervseg evaluate`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from cervseg.cli.job import Job, Talk, load, refuse_both, words_of
from cervseg.cli.options import (
    NO_VALUE,
    AllowLeak,
    Debug,
    Fold,
    Json,
    Models,
    OptionalConfigFile,
    Output,
    Overrides,
    Overwrite,
    Quiet,
    Resume,
)
from cervseg.errors import ConfigError
from cervseg.reports import Progress, Report

EXAMPLES = (
    "cervseg evaluate configs/metaplastic.yaml",
    "cervseg evaluate configs/metaplastic.yaml --split valid --whole",
    "cervseg evaluate --model runs/metaplastic --images fields --masks truth",
    "cervseg evaluate configs/metaplastic.yaml --predictions other/masks",
    "cervseg evaluate configs/metaplastic.yaml --set data.folds=5 --fold 2",
)

SplitName = Annotated[
    Literal["train", "valid", "test"], typer.Option("--split", help="Which labelled images.")
]
Images = Annotated[
    Path | None,
    typer.Option("--images", metavar="DIR", help="Images outside the dataset, with `--masks`."),
]
Masks = Annotated[
    Path | None, typer.Option("--masks", metavar="DIR", help="Their true masks, paired by name.")
]
Predictions = Annotated[
    Path | None,
    typer.Option("--predictions", metavar="DIR", help="Score these masks; no model is run."),
]
Whole = Annotated[
    bool,
    typer.Option(
        "--whole", metavar=NO_VALUE, help="Predict each image as a whole instead of by tiles."
    ),
]
Stretch = Annotated[
    bool,
    typer.Option(
        "--stretch", metavar=NO_VALUE, help="With `--whole`: squeeze the image to a square."
    ),
]


def evaluate(
    config: OptionalConfigFile = None,
    *,
    model: Models = None,
    output: Output = None,
    split: SplitName = "test",
    fold: Fold = None,
    images: Images = None,
    masks: Masks = None,
    predictions: Predictions = None,
    whole: Whole = False,
    stretch: Stretch = False,
    allow_leak: AllowLeak = None,
    overrides: Overrides = None,
    overwrite: Overwrite = False,
    resume: Resume = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> Job:
    """Score a model on labelled images at full size, beside the baseline and an interval."""
    refuse_both(overwrite, resume)
    has_folders = images and masks and (model or predictions)
    if config is None and not has_folders:
        raise ConfigError(
            "evaluate needs CONFIG, or --model, --images and --masks",
            hint="cervseg evaluate --model RUN --images IMAGES --masks TRUTH",
        )

    def work(progress: Progress) -> Report:
        from cervseg.commands.evaluate import evaluate

        return evaluate(
            load(config, overrides), config_words=words_of(config, overrides),
            model=tuple(model or ()), output=output,
            split=split, fold=fold, images=images, masks=masks, predictions=predictions,
            allow_leak=allow_leak,
            whole=whole, stretch=stretch, overwrite=overwrite, resume=resume, progress=progress,
        )  # fmt: skip

    return Job("evaluate", work, Talk(json=json, quiet=quiet, debug=debug))

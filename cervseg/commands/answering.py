"""How models answer labelled images, for `evaluate`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from cervseg import runtime
from cervseg.commands.task import Guess, Guessed
from cervseg.config import Config
from cervseg.config.loader import load_config
from cervseg.contract import Contract, find_model
from cervseg.data.labelled import Labelled, Read
from cervseg.inference.answers import tiled_answers, whole_answers
from cervseg.inference.decision import decision_for
from cervseg.reports import Progress
from cervseg.runs import Run

Mode = Literal["tiled", "whole", "stretch", "predictions"]

Assess = Callable[[Labelled, Read], None]
"""Adds the loss and the metrics of a labelled image."""


def open_guess(config: Config, *, mode: Mode, paths: Sequence[Path], progress: Progress) -> Guess:
    """Open models, to answer as `tiled-infer` or `infer` would with this config.

    Raises:
        ConfigError: A key does not fit the model, or an engine is missing.
        ModelError: A model is broken.
    """
    settings = config.runtime
    runtime.start(
        device=settings.device, threads=settings.threads, deterministic=settings.deterministic
    )
    from cervseg.engines import open_model

    section = config.tiled_infer if mode == "tiled" else config.infer
    opened = open_model(
        paths, engine=section.engine, precision=section.precision, augment=section.augment,
        tile_size=config.tiled_infer.tile_size if mode == "tiled" else None,
        threads=settings.threads,
    )  # fmt: skip
    contract, predict = opened
    if mode == "tiled":
        answer = tiled_answers(
            contract, predict, config.tiled_infer, square=opened.square, progress=progress
        )
        decision = decision_for(config.tiled_infer, contract)
    else:
        answer = whole_answers(contract, predict, stretch=mode == "stretch")
        decision = decision_for(config.infer, contract)

    def guess(item: Labelled, read: Read) -> Guessed:
        probabilities = answer(read.image, item.scale, item.name)
        mask = decision.on(item.scale).apply(probabilities)
        return Guessed(mask, probabilities[..., decision.first_channel :])

    return guess


def open_assessor(config: Config, path: Path) -> tuple[Assess | None, dict[str, float]]:
    """Open a model for its loss and metrics: what adds an image, and the values, which grow.

    An exported model gives probabilities alone, so there is nothing to add.
    """
    from cervseg.engines.graphs import exported_for
    from cervseg.models.folder import load_model
    from cervseg.training.assessment import Assessor
    from cervseg.training.trainer import loss_terms

    folder = find_model(path)
    if exported_for(folder) is not None:
        return None, {}
    contract = Contract.load(folder)
    own = Run(path).config
    train = load_config(own).config.train if own.is_file() else config.train
    assessor = Assessor(
        load_model(folder, contract),
        contract,
        loss=loss_terms(train),
        metrics=train.metrics,
        batch_size=train.batch_size,
    )
    return lambda item, read: assessor.add(read.image, read.mask, item.scale), assessor.values

"""The contract of a config's network, before anything is trained."""

import logging
from dataclasses import asdict, replace

from cervseg.config import Config
from cervseg.config.data import Preprocess
from cervseg.config.model import network_options, output_activation
from cervseg.contract import Augment, Contract, Postprocessing, Preprocessing, find_model
from cervseg.reports import JSON

log = logging.getLogger("cervseg")


def draft_contract(config: Config) -> Contract:
    """What the config alone says; stride and receptive field come with the network."""
    classes = config.data.class_table()
    activation = output_activation(config.model, len(classes))
    return Contract(
        architecture=config.model.architecture,
        options=network_options(config.model),
        classes=classes,
        activation=activation,
        tile_size=config.data.tile_size,
        input_channels=config.model.input_channels,
        channels=len(classes) + (activation == "softmax"),
        preprocess=preprocessing(config.data.preprocess),
        threshold=(0.5,) * len(classes),
    )


def preprocessing(config: Preprocess) -> Preprocessing:
    """Section `data.preprocess` as the contract keeps it."""
    return Preprocessing(config.color_space, config.gamma, config.sharpen)


def asked_threshold(config: Config) -> tuple[float, ...] | None:
    """That of section `tiled_infer`, which stands where there is nothing to measure one on."""
    asked = config.tiled_infer.threshold
    return (asked,) * len(config.data.classes) if isinstance(asked, float) else None


def starting_model(config: Config) -> Contract | None:
    """The model that a training starts from, where it is of the same classes.

    What is done to its masks then suits the new one's too. Of other classes only its weights are
    taken: a smallest area of cells would remove all nuclei.
    """
    start = config.train.start_from
    before = Contract.load(find_model(start)) if start else None
    return before if before and before.classes.names == tuple(config.data.classes) else None


def postprocessing(config: Config) -> Postprocessing:
    """What section `tiled_infer` says becomes the model's own; else that of the one before it."""
    before = starting_model(config)
    return (before.postprocess if before else Postprocessing()).but(config.tiled_infer)


def turns(config: Config) -> Augment:
    """Likewise how often the model looks at a tile."""
    before = starting_model(config)
    return config.tiled_infer.augment or (before.augment if before else "none")


def inherited(config: Config) -> dict[str, JSON]:
    """What of the model before stays, by the key of `tiled_infer` that would change it."""
    before = starting_model(config)
    if before is None:
        return {}
    kept = {**asdict(before.postprocess), "augment": before.augment}
    default = {**asdict(Postprocessing()), "augment": "none"}
    return {
        key: value
        for key, value in kept.items()
        if value != default[key] and getattr(config.tiled_infer, key) is None
    }


def decided(contract: Contract, config: Config) -> Contract:
    """The contract with what config, or the model before, say is done to probabilities."""
    if kept := inherited(config):
        told = ", ".join(f"{key}: {value}" for key, value in kept.items())
        log.info(
            "as %s has it, since 'tiled_infer' says nothing: %s", config.train.start_from, told
        )
    return replace(
        contract,
        postprocess=postprocessing(config),
        augment=turns(config),
        threshold=asked_threshold(config) or contract.threshold,
    )

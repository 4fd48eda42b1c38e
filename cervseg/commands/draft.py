"""The contract of a config's network, before anything is trained."""

from cervseg.config import Config
from cervseg.config.data import Preprocess
from cervseg.config.model import network_options, output_activation
from cervseg.contract import Augment, Contract, Postprocessing, Preprocessing, find_model


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


def postprocessing(config: Config) -> Postprocessing:
    """What section `tiled_infer` says becomes the model's own; else that of the one before it."""
    start = config.train.start_from
    before = Contract.load(find_model(start)).postprocess if start else Postprocessing()
    return before.but(config.tiled_infer)


def turns(config: Config) -> Augment:
    """Likewise how often the model looks at a tile."""
    start = config.train.start_from
    before = Contract.load(find_model(start)).augment if start else "none"
    return config.tiled_infer.augment or before

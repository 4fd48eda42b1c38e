"""What a training begins with: ready-made weights, frozen layers."""

import logging
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from cervseg.arrays import Tensor
from cervseg.config.encoders import EncoderConfig, NamedEncoderConfig
from cervseg.config.model import Network
from cervseg.contract import Contract, find_model
from cervseg.errors import ConfigError, ModelError
from cervseg.models.encoders import load_encoder_weights
from cervseg.models.folder import WEIGHTS
from cervseg.models.lite_unet import load_encoder
from cervseg.models.weights import take_weights

log = logging.getLogger("cervseg")

MOST_SHOWN = 10
"""Of the weights that did not fit; `log.txt` has them all."""


def take_ready_made(config: Network, path: Path | None, network: Tensor, *, into: Contract) -> None:
    """Fill a new network with the weights of its encoder, then with those of another model.

    Args:
        config: Section `model`; its `encoder_weights` are taken.
        path: `train.start_from`.
        network: Of section `model`.
        into: Its contract as far as it is known.

    Raises:
        ModelError: Weights are missing, broken or of another network.
    """
    if isinstance(config, EncoderConfig) and config.encoder_weights != "none":
        if isinstance(config, NamedEncoderConfig):
            load_encoder_weights(network, config.encoder, config.encoder_weights)
        else:
            load_encoder(network, config.encoder_weights)
        log.info("encoder weights: %s", config.encoder_weights)
    if path is not None:
        start_from(path, network, into=into)


def start_from(path: Path, network: Tensor, *, into: Contract) -> None:
    """Take over the weights of another model where names and shapes agree, and tell which.

    Args:
        path: Of the model.
        network: To fill.
        into: The network's contract as far as it is known.

    Raises:
        ModelError: There is no model, or nothing of it fits, or, where it is of another
            architecture, less than half: what fits then fits by chance.
    """
    weights = find_model(path) / WEIGHTS
    taken = take_weights(weights, network)
    before, total = Contract.load(weights.parent), len(taken.fitting) + len(taken.other)
    if not taken.fitting and before.architecture == into.architecture:
        raise ModelError(f"{weights}: none of its weights fits the network")
    if before.architecture != into.architecture and 2 * len(taken.fitting) < total:
        raise ModelError(
            f"{path}: only {len(taken.fitting)} of {total} weights fit: it is of architecture "
            f"{before.architecture}, the config's is {into.architecture}",
            hint=f"say model.architecture={before.architecture}, or start from another model",
        )
    if before.scale != into.scale:
        log.warning(
            "%s learned at scale %g, these tiles are at %g: what it knows has another size",
            path, before.scale, into.scale,
        )  # fmt: skip
    if before.preprocess != into.preprocess:
        log.warning("%s learned with another 'data.preprocess': it knows other colours", path)
    if before.color_order == "BGR":
        first = next(layer for layer in network.layers if layer.weights).weights[0]
        if first.path in taken.fitting:  # it saw blue first; a training shows red first
            first.assign(np.asarray(first)[:, :, ::-1])
    log.info("%d of %d weights start from %s", len(taken.fitting), total, path)
    left = [*taken.other, *(f"{name}: only in {path}" for name in taken.unused)]
    for line in left[:MOST_SHOWN]:
        log.info("  not taken: %s", line)
    for line in left[MOST_SHOWN:]:
        log.debug("  not taken: %s", line)
    if len(left) > MOST_SHOWN:
        log.info("  and %d more, in log.txt", len(left) - MOST_SHOWN)


def freeze(network: Tensor, patterns: Sequence[str]) -> None:
    """Keep the layers whose names fit a pattern as they are; frozen norms keep their statistics.

    Raises:
        ConfigError: A pattern fits no layer that has weights, or all of them are frozen.
    """
    layers = [layer for layer in network.layers if layer.variables]
    for pattern in patterns:
        found = [layer for layer in layers if fnmatchcase(layer.name, pattern)]
        if not found:
            names = ", ".join(layer.name for layer in layers[:5])
            raise ConfigError(
                f"'train.freeze': no layer is called {pattern!r}",
                hint=f"there are {names}, …; all of them: cervseg inspect",
            )
        for layer in found:
            layer.trainable = False
    if not network.trainable_variables:
        raise ConfigError("'train.freeze' leaves nothing to train")
    if patterns:
        frozen = sum(not layer.trainable for layer in layers)
        log.info("%d of %d layers with weights are frozen", frozen, len(layers))

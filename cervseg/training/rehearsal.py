"""A few steps on noise: what a training will cost, before there is a dataset."""

import time
from typing import NamedTuple

import numpy as np

from cervseg import machine
from cervseg.config.training import TrainConfig
from cervseg.contract import Contract
from cervseg.models.folder import build_network, training_network
from cervseg.training.trainer import compile_model

STEPS = 3


class Cost(NamedTuple):
    """What was measured.

    Args:
        seconds: Of a step, after the first, which compiles; the quickest one.
        memory: Largest of the process until then, bytes.
    """

    seconds: float
    memory: int


def rehearse(contract: Contract, config: TrainConfig) -> Cost:
    """Train a network of random weights on random images for a few steps.

    Args:
        contract: Says which network, and the size of a tile.
        config: Batch size, loss, optimiser.
    """
    network = build_network(contract, where="the plan")
    model = training_network(network)
    compile_model(model, config, contract, steps_per_epoch=STEPS)
    rng, side = np.random.default_rng(0), contract.tile_size
    shape = (config.batch_size, side, side)
    images = rng.integers(0, 256, (*shape, contract.input_channels), np.uint8)
    classes = rng.integers(0, len(contract.classes) + 1, shape, np.uint8)
    seconds = []
    for _ in range(STEPS):
        start = time.perf_counter()
        model.train_on_batch(images, classes)
        seconds.append(time.perf_counter() - start)
    return Cost(min(seconds[1:]), machine.peak_memory())

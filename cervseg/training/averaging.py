"""One model from several trainings of one beginning: the mean of their weights."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cervseg import runtime
from cervseg.arrays import Tensor
from cervseg.contract import Contract
from cervseg.models.folder import build_network, final_network
from cervseg.models.weights import load_weights, save_weights
from cervseg.reports import SILENT, Progress
from cervseg.runs import Run
from cervseg.training.checkpoints import State
from cervseg.training.trainer import Setup, fit

log = logging.getLogger("cervseg")


def fit_soup(
    setup: Setup, count: int, *, resume: bool = False, progress: Progress = SILENT
) -> tuple[Contract, State]:
    """Train several times from one beginning, with a seed each, and average the weights.

    The mean is less a matter of luck than each of them, at the cost of one network. The statistics
    of normalisations are averaged like weights: to take them anew was no better.

    Wortsman et al., 2022, https://arxiv.org/abs/2203.05482 (a uniform soup).

    Args:
        setup: Of the whole; each training has a run folder `seed0`, `seed1`, … in its own.
        count: How many, with the seeds from `count * setup.seed` on, so that soups of different
            seeds share none.
        resume: Go on where they were interrupted.
        progress: Draws the bars.

    Returns:
        The contract of the first so far, and the history of the last. A file STOP ends all: the
        trainings that have come to their end are averaged, or the first is taken as it is.

    Raises:
        ConfigError, DataError, BudgetError: As `fit`.
    """
    seeds = [(count * setup.seed + number) % 2**31 for number in range(count)]
    contracts: list[Contract] = []
    finished: list[Run] = []
    state = State()
    for number, seed in enumerate(seeds, start=1):
        run = setup.run.member(seed)
        if contracts and setup.run.stop.exists() and not run.state.is_file():
            state = replace(state, ended="stop")
            break
        log.info("training %d of %d, seed %d", number, count, seed)
        runtime.forget_models()
        member = replace(setup, run=run, seed=seed, first_weights=seeds[0])
        contract, state = fit(member, resume=resume, progress=progress)
        contracts.append(contract)
        if state.ended == "stop":  # half a training would pull the others back
            finished = finished or [run]
            break
        finished.append(run)
    network = average_weights(contracts[0], [run.best for run in finished])
    save_weights(setup.run.best, network)
    return contracts[0], state


def average_weights(contract: Contract, paths: Sequence[Path]) -> Tensor:
    """Build a network with the means of several files of its weights."""
    network = final_network(build_network(contract, where="the config"))
    sums = [np.zeros(weight.shape) for weight in network.weights]
    for path in paths:
        load_weights(path, network)
        sums = [total + np.asarray(w) for total, w in zip(sums, network.weights, strict=True)]
    for weight, total in zip(network.weights, sums, strict=True):
        weight.assign(total / len(paths))
    return network

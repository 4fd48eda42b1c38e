"""A training that was broken off and resumed is the training that was not."""

import csv
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, nullcontext

import h5py
import numpy as np
import pytest
import yaml

from cervseg.commands.train import train
from cervseg.config import Config
from cervseg.config.loader import dump_config
from cervseg.data.sampling import TileSampler
from cervseg.errors import ConfigError, DataError
from cervseg.files import write_json
from cervseg.runs import Run


@pytest.fixture(autouse=True)
def no_curves(monkeypatch):
    """Pictures of curves take longer than these trainings."""
    monkeypatch.setattr("cervseg.training.callbacks.plot_curves", lambda *args: None, raising=True)


@pytest.fixture(scope="module")
def unbroken(started, dataset, tmp_path_factory):
    """Three epochs in one go."""
    from cervseg.config.model import UNetConfig
    from cervseg.config.training import TrainConfig
    from cervseg.contract import Preprocessing
    from cervseg.training.trainer import Setup, fit

    from_here = tmp_path_factory.mktemp("unbroken")
    return from_here, Setup, fit, UNetConfig, TrainConfig, Preprocessing


class Breaker:
    """A progress that presses Ctrl-C at a step of an epoch."""

    def __init__(self, epoch, step):
        self.place = (f"epoch {epoch}/3", step)

    @contextmanager
    def bar(self, description, total):
        class Bar:
            steps = 0

            def advance(bar, steps=1, *, note=None):
                bar.steps += steps
                if (description, bar.steps) == self.place:
                    raise KeyboardInterrupt

        yield Bar()

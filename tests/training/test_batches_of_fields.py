"""Training on windows of whole fields instead of tiles."""

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from cervseg.config.training import TrainConfig
from cervseg.contract import Preprocessing
from cervseg.data.pool import FieldOptions
from cervseg.data.samples import field_samples
from cervseg.errors import DataError

pytestmark = pytest.mark.usefixtures("started")

CACHED, OFF = FieldOptions(cache=10**8), FieldOptions()


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("CERVSEG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("cervseg.training.callbacks.plot_curves", lambda *args: None)


@pytest.fixture
def fit():
    from cervseg.training.trainer import fit

    return fit


@pytest.fixture
def make(dataset, make_setup, tmp_path):
    """Makes a training on the fields of the tiny dataset; only validation is cut."""
    uncut = replace(dataset, tiles=tuple(dataset.tiles_of("valid")))

    def made(name, *, options=CACHED, workers=1, **train):
        setup = make_setup(tmp_path / name, data=uncut, workers=workers, **train)
        return replace(setup, fields=options)

    return made


class Interrupter:
    """A progress that presses Ctrl-C at the second step of the second epoch."""

    @contextmanager
    def bar(self, description, total):
        self.steps, self.pressing = 0, description.startswith("epoch 2/")
        yield self

    def advance(self, steps=1, *, note=None):
        self.steps += steps
        if self.pressing and self.steps == 2:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_an_interrupted_training_resumed_with_more_workers_and_no_cache_is_as_if_unbroken(
    fit, make
):
    unbroken = fit(make("unbroken"))[1]
    with pytest.raises(KeyboardInterrupt):
        fit(make("broken"), progress=Interrupter())

    resumed = fit(make("broken", options=OFF, workers=3), resume=True)[1]

    assert unbroken.epoch == resumed.epoch == 3 and unbroken.rows == resumed.rows


def test_an_epoch_has_as_many_steps_as_asked_for(make):
    from cervseg.training.trainer import make_batches

    for steps in (None, 7):
        batches, validation = make_batches(make("run", steps_per_epoch=steps))

        assert len(batches) == (steps or 2), "four fields of a tile each, two a batch"
        assert len(validation) == 2
        images, masks = batches[0]
        assert images.shape == (2, 32, 32, 3) and masks.shape == (2, 32, 32)
        assert list(batches.ready) == [(0, 0)]


def test_a_field_that_breaks_is_told_before_training(fit, make):
    setup = make("run")
    data = setup.dataset
    path = data.path(data.sources_of("train")[2].image)
    content = path.read_bytes()
    path.write_bytes(content[:60])
    try:
        with pytest.raises(DataError) as caught:
            fit(setup)
    finally:
        path.write_bytes(content)

    assert str(caught.value).startswith(f"{path}: can't be decoded: ")


def test_batches_are_prepared_as_those_of_tiles(make):
    from cervseg.training.batches import TrainingBatches

    config = TrainConfig.model_validate({"batch_size": 2, "augmentation": {"preset": "none"}})
    samples = field_samples(make("run").dataset, config, OFF, seed=1)

    grey = TrainingBatches(samples, Preprocessing("hsv", 1.5, 0.5), channels=1, workers=1)

    images, masks = grey[0]
    assert images.shape == (2, 32, 32, 1) and images.dtype == np.uint8
    np.testing.assert_array_equal(masks, [mask for _, mask in samples.batch(0, 0)])

"""A training that was broken off and resumed is the training that was not."""

from contextlib import contextmanager
from functools import partial

import h5py
import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("started")


@pytest.fixture(scope="module")
def fit():
    from cervseg.training.trainer import fit

    return fit


@pytest.fixture(scope="module")
def make_setup(make_setup):
    """Adam has moments that a resume could forget."""
    return partial(make_setup, optimizer="adam")


@pytest.fixture(scope="module")
def unbroken(fit, make_setup, tmp_path_factory):
    """The run of three epochs in one go."""
    setup = make_setup(tmp_path_factory.mktemp("unbroken") / "run")
    fit(setup)
    return setup.run


class Interrupter:
    """A progress that presses Ctrl-C at a step of an epoch."""

    def __init__(self, epoch, step):
        self.place = (f"epoch {epoch}/3", step)

    @contextmanager
    def bar(self, description, total):
        yield Steps(lambda steps: self.press((description, steps)))

    def press(self, place):
        if place == self.place:
            raise KeyboardInterrupt


class Steps:
    """A bar that tells how far it is."""

    def __init__(self, tell):
        self.tell, self.steps = tell, 0

    def advance(self, steps=1, *, note=None):
        self.steps += steps
        self.tell(self.steps)


def arrays(path):
    """All arrays of a checkpoint or a weights file, by name."""
    if path.suffix == ".npz":
        with np.load(path) as file:
            return {name: file[name] for name in file.files}
    found = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: found.update({name: item}) if hasattr(item, "shape") else 0
        )
        return {name: np.array(item) for name, item in found.items()}


def assert_same(run, other):
    assert run.history_table.read_text() == other.history_table.read_text()
    for one, two in ((run.state, other.state), (run.best, other.best)):
        mine, theirs = arrays(one), arrays(two)
        assert mine.keys() == theirs.keys()
        for name in mine:
            np.testing.assert_array_equal(mine[name], theirs[name], name)


def test_an_interrupted_epoch_starts_again_and_all_is_as_if_unbroken(
    *, fit, make_setup, unbroken, tmp_path
):
    """Interrupted in the second epoch; resumed with more workers."""
    with pytest.raises(KeyboardInterrupt):
        fit(make_setup(tmp_path), progress=Interrupter(epoch=2, step=1))
    assert len(unbroken.history_table.read_text().split()) == 4
    run = make_setup(tmp_path).run
    assert len(run.history_table.read_text().split()) == 2, "one epoch is finished"

    _, state = fit(make_setup(tmp_path, workers=3), resume=True)

    assert (state.ended, state.epoch) == ("epochs", 3)
    assert_same(run, unbroken)


@pytest.mark.slow
def test_an_epoch_interrupted_before_any_was_finished_starts_afresh(
    *, fit, make_setup, unbroken, tmp_path
):
    with pytest.raises(KeyboardInterrupt):
        fit(make_setup(tmp_path), progress=Interrupter(epoch=1, step=2))

    fit(make_setup(tmp_path), resume=True)

    assert_same(make_setup(tmp_path).run, unbroken)


@pytest.mark.slow
def test_a_stopped_training_goes_on_once_the_file_is_gone(*, fit, make_setup, unbroken, tmp_path):
    run = make_setup(tmp_path).run
    run.stop.touch()
    _, state = fit(make_setup(tmp_path))
    assert (state.ended, state.epoch) == ("stop", 1)

    _, state = fit(make_setup(tmp_path), resume=True)
    assert (state.ended, state.epoch) == ("stop", 1), "the file is still there"

    run.stop.unlink()
    _, state = fit(make_setup(tmp_path), resume=True)

    assert (state.ended, state.epoch) == ("epochs", 3)
    assert_same(run, unbroken)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 3])
def test_the_number_of_workers_changes_no_bit(*, fit, make_setup, unbroken, tmp_path, workers):
    fit(make_setup(tmp_path, workers=workers))

    assert_same(make_setup(tmp_path).run, unbroken)


@pytest.mark.slow
@pytest.mark.parametrize(
    "keys",
    [
        {"schedule": "cosine", "warmup_epochs": 1, "optimizer": "adamw"},
        {"schedule": "plateau", "reducer": {"patience": 1}, "clip_norm": 0.1, "learning_rate": 0.5},
        {"schedule": "polynomial", "optimizer": "lion", "ema": 0.9, "accumulate": 2},
    ],
    ids=["cosine", "plateau", "averaged"],
)
def test_a_schedule_goes_on_where_it_was(*, fit, make_setup, tmp_path, keys):
    fit(make_setup(tmp_path / "one", **keys))
    with pytest.raises(KeyboardInterrupt):
        fit(make_setup(tmp_path / "two", **keys), progress=Interrupter(epoch=3, step=2))

    fit(make_setup(tmp_path / "two", **keys), resume=True)

    assert_same(make_setup(tmp_path / "two").run, make_setup(tmp_path / "one").run)


def test_a_finished_training_is_not_trained_further(fit, make_setup, unbroken):
    before = unbroken.state.read_bytes()

    contract, state = fit(make_setup(unbroken.folder), resume=True)

    assert (state.ended, state.epoch, len(state.rows)) == ("epochs", 3, 3)
    assert unbroken.state.read_bytes() == before
    assert contract.receptive_field == contract.margin == 9 and contract.align == 2

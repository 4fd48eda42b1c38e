"""The end of an epoch, without any training: losses are handed in."""

import csv
import json
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest

from cervseg.config.training import TrainConfig
from cervseg.errors import ModelError
from cervseg.models.weights import load_weights
from cervseg.runs import Run
from cervseg.training.callbacks import EpochKeeper, ProgressBars
from cervseg.training.checkpoints import State, load_state

pytestmark = pytest.mark.usefixtures("started")


@pytest.fixture
def model():
    import keras

    inputs = keras.Input((1,))
    model = keras.Model(inputs, keras.layers.Dense(1, name="dense")(inputs))
    model.compile(keras.optimizers.Adam(0.1), "mse")
    model.optimizer.build(model.trainable_variables)
    return model


@pytest.fixture
def train(tmp_path, monkeypatch, model):
    """Ends one epoch for each loss until the training stops; returns the state and the rates."""
    monkeypatch.setattr("cervseg.training.callbacks.plot_curves", lambda *args: None)

    def go(losses, *, run=None, state=None, **config):
        run = run or Run(tmp_path / "run")
        if state is None:
            model.optimizer.learning_rate = 0.1
        config = TrainConfig.model_validate({"epochs": 50, "schedule": "flat", **config})
        keeper = EpochKeeper(run, config, state or State(), network=model)
        keeper.set_model(model)
        model.stop_training = False
        rates = []
        for epoch, loss in enumerate(losses, start=keeper.state.epoch):
            weight = np.full((1, 1), epoch, "float32")
            model.layers[-1].set_weights([weight, np.zeros(1, "float32")])
            keeper.on_epoch_end(epoch, {"loss": 9.0, "val_loss": loss})
            rates.append(round(float(model.optimizer.learning_rate), 6))
            if model.stop_training:
                break
        return keeper.state, rates

    return go


def test_patience_counts_epochs_without_a_better_loss(train):
    state, _ = train([5, 4, 4, 4.5, 3, 3.5, 3, 3, 2, 1], patience=3)

    assert (state.ended, state.epoch, state.best_epoch, state.best) == ("patience", 8, 5, 3)


def test_without_patience_training_goes_on_to_the_last_epoch(train):
    state, _ = train([1, 2, 3, 4, 5, 6], patience=0, epochs=5)

    assert (state.ended, state.epoch, state.best_epoch) == ("epochs", 5, 1)


def test_the_best_weights_are_kept_and_not_the_last(train, tmp_path, model):
    train([5, 4, 2, 3, 2], epochs=5)

    load_weights(Run(tmp_path / "run").best, model)

    assert np.array(model.layers[-1].kernel).item() == 2, "those of the third epoch, from 0"


def test_without_validation_the_last_weights_are_kept(tmp_path, monkeypatch, model):
    monkeypatch.setattr("cervseg.training.callbacks.plot_curves", lambda *args: None)
    keeper = EpochKeeper(Run(tmp_path), TrainConfig(), State(), network=model)
    keeper.set_model(model)

    for epoch, loss in enumerate([3.0, 1.0, 2.0]):
        model.layers[-1].kernel.assign([[float(epoch)]])
        keeper.on_epoch_end(epoch, {"loss": loss})

    load_weights(Run(tmp_path).best, model)
    assert (keeper.state.best, keeper.state.best_epoch, keeper.state.waited) == (1.0, 3, 1)
    assert np.array(model.layers[-1].kernel).item() == 2


def test_a_plateau_reduces_the_rate_down_to_its_minimum(train):
    reducer = {"factor": 0.5, "patience": 2, "minimum": 0.02}

    _, rates = train([3, 3, 3, 3, 3, 2, 2, 2, 2, 2, 2], schedule="plateau", patience=0,
                     reducer=reducer)  # fmt: skip

    assert rates == [0.1, 0.1, 0.05, 0.05, 0.025, 0.025, 0.025, 0.02, 0.02, 0.02, 0.02]


def test_a_flat_schedule_never_reduces(train):
    assert set(train([3] * 12, patience=0)[1]) == {0.1}


def test_the_history_has_the_rate_an_epoch_was_trained_with(train, tmp_path):
    reducer = {"factor": 0.5, "patience": 1}
    state, _ = train([3, 3, 3], schedule="plateau", reducer=reducer, epochs=3)

    run = Run(tmp_path / "run")
    with run.history_table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["epoch", "loss", "val_loss", "learning_rate"]
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    np.testing.assert_allclose([float(row["learning_rate"]) for row in rows], [0.1, 0.1, 0.05])
    assert json.loads(run.history.read_text())["columns"] == state.columns()


def test_a_stop_file_ends_the_training_after_the_epoch(train, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "STOP").touch()

    state, _ = train([3, 2, 1])

    assert (state.ended, state.epoch) == ("stop", 1)


def test_the_state_is_saved_last_so_that_it_vouches_for_the_rest(train, tmp_path, model):
    run = Run(tmp_path / "run")

    state, _ = train([3, 2], epochs=9)

    saved = load_state(run.state, model)
    assert saved == state and saved.epoch == 2
    assert run.best.stat().st_mtime_ns <= run.state.stat().st_mtime_ns
    assert run.history_table.stat().st_mtime_ns <= run.state.stat().st_mtime_ns


def test_patience_and_plateau_go_on_where_they_were(train, tmp_path):
    keys = {"schedule": "plateau", "patience": 5, "reducer": {"factor": 0.5, "patience": 3}}
    losses = [3, 2, 2, 2, 2, 2, 2, 2]
    unbroken, rates = train(losses, run=Run(tmp_path / "one"), **keys)

    for cut in (1, 3, 4):
        run = Run(tmp_path / f"cut{cut}")
        state, _ = train(losses[:cut], run=run, **keys)
        state, _ = train(losses[cut:], run=run, state=state, **keys)
        assert state == unbroken
    assert unbroken.ended == "patience" and rates[-1] < 0.1


def test_a_loss_that_is_no_number_ends_the_training_in_words(train):
    with pytest.raises(ModelError) as caught:
        train([3, float("nan"), 2], epochs=3)

    assert str(caught.value) == "the loss is nan in epoch 2"
    assert caught.value.hint == "lower train.learning_rate, or set train.clip_norm"


def test_the_preview_is_drawn_for_the_epoch_that_ended(tmp_path, monkeypatch, model):
    monkeypatch.setattr("cervseg.training.callbacks.plot_curves", lambda *args: None)
    drawn = []
    keeper = EpochKeeper(Run(tmp_path), TrainConfig(), State(), network=model, preview=drawn.append)
    keeper.set_model(model)

    for epoch in (0, 1):
        keeper.on_epoch_end(epoch, {"loss": 1.0})

    assert drawn == [1, 2]


# --- bars ---------------------------------------------------------------------------------------


class Batches:
    """As much of the training batches as the bars look at."""

    def __init__(self):
        self.epoch, self.batch_size, self.ready = -1, 4, {(0, 0): 1.0}

    def __len__(self):
        return 2


class Recorder:
    """Writes down what happens to its bars."""

    def __init__(self):
        self.seen = []

    @contextmanager
    def bar(self, description, total):
        recorder = self
        self.seen.append(f"open {description} {total}")

        class Bar:
            def advance(self, steps=1, *, note=None):
                recorder.seen.append((description, steps, note))

        yield Bar()
        self.seen.append(f"close {description}")


@pytest.fixture
def bars(model):
    """Bars over a training of 5 epochs, of which 2 are finished."""
    batches, progress, stack = Batches(), Recorder(), ExitStack()
    made = ProgressBars(batches, epochs=5, first=2, stack=stack, progress=progress)
    made.set_model(model)
    return made, batches, progress, stack


def test_the_batches_are_told_of_each_epoch_before_it_begins(bars):
    """Else every epoch would draw the same tiles, varied in the same way."""
    made, batches, _, _ = bars

    for epoch in (2, 3):
        made.on_epoch_begin(epoch)
        assert batches.epoch == epoch and batches.ready == {}
        made.on_epoch_end(epoch, {})


def test_epochs_and_steps_have_a_bar_each(bars):
    made, _, progress, stack = bars

    made.on_epoch_begin(2)
    for step in (0, 1):
        made.on_train_batch_begin(step)
        made.on_train_batch_end(step, {"loss": 0.25})
    made.on_epoch_end(2, {"loss": 0.25, "val_loss": 0.5, "dice": 0.75})
    stack.close()

    seen = progress.seen
    assert seen[:3] == ["open training 5", ("training", 2, None), "open epoch 3/5 2"]
    notes = [note for _, _, note in seen[3:5]]
    assert all(note.startswith("loss 0.2500  lr 1.0e-01  ") for note in notes)
    assert all("samples/s  waiting " in note for note in notes)
    assert seen[5:] == [
        "close epoch 3/5", ("training", 1, "loss 0.2500  val_loss 0.5000"), "close training",
    ]  # fmt: skip


def test_bars_close_when_the_training_breaks(bars):
    made, _, progress, stack = bars
    made.on_epoch_begin(2)

    stack.close()

    assert progress.seen[-2:] == ["close epoch 3/5", "close training"]

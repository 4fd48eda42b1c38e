"""What happens around epochs: bars, history, best weights, learning rate, stopping."""

import importlib.util
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

import keras

from cervseg.arrays import Tensor
from cervseg.config.training import TrainConfig
from cervseg.errors import ConfigError, ModelError
from cervseg.files import write_csv, write_json
from cervseg.models.weights import save_weights
from cervseg.processes import ALONE, Team, agreed
from cervseg.reporting.plots import plot_curves
from cervseg.reports import SILENT, Bar, Progress
from cervseg.runs import Run
from cervseg.training.batches import TrainingBatches
from cervseg.training.checkpoints import State, save_state

log = logging.getLogger("cervseg")


class ProgressBars(keras.callbacks.Callback):
    """A bar of epochs and a bar of steps, and the epoch told to the batches.

    Args:
        batches: Whose epoch is set, and whose waiting is measured.
        epochs: In all.
        first: Of them that are done already.
        stack: Closes what is still open when training ends in whatever way.
        progress: Draws the bars.
    """

    def __init__(
        self,
        batches: TrainingBatches,
        *,
        epochs: int,
        first: int,
        stack: ExitStack,
        progress: Progress = SILENT,
    ) -> None:
        super().__init__()
        self.batches = batches
        self.progress = progress
        self.epochs = epochs
        self.stack = stack
        self.epoch_bar: Bar = stack.enter_context(progress.bar("training", epochs))
        self.epoch_bar.advance(first)
        self.step_stack = ExitStack()
        self.step_bar: Bar = self.epoch_bar
        self.begun = self.step_begun = 0.0
        self.waited = 0.0
        self.samples = 0

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Open the bar of steps."""
        self.batches.epoch = epoch
        self.batches.ready.clear()
        self.step_stack = self.stack.enter_context(ExitStack())
        bar = self.progress.bar(f"epoch {epoch + 1}/{self.epochs}", len(self.batches))
        self.step_bar = self.step_stack.enter_context(bar)
        self.begun, self.waited, self.samples = time.perf_counter(), 0.0, 0

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Start the clock of a step."""
        self.step_begun = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Move the bar and tell loss, rate, speed and waiting."""
        now = time.perf_counter()
        ready = self.batches.ready.get((self.batches.epoch, batch), self.step_begun)
        self.waited += min(max(0.0, ready - self.step_begun), now - self.step_begun)
        self.samples += self.batches.batch_size
        elapsed = max(now - self.begun, 1e-9)
        self.step_bar.advance(
            note=f"loss {(logs or {}).get('loss', float('nan')):.4f}  "
            f"lr {float(self.model.optimizer.learning_rate):.1e}  "
            f"{self.samples / elapsed:.1f} samples/s  waiting {self.waited / elapsed:.0%}"
        )

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Close the bar of steps."""
        self.step_stack.close()
        shown = {k: v for k, v in (logs or {}).items() if k in ("loss", "val_loss", "val_dice")}
        note = "  ".join(f"{name} {value:.4f}" for name, value in shown.items())
        self.epoch_bar.advance(note=note)
        elapsed = time.perf_counter() - self.begun
        log.debug(
            "epoch %d: %s, %.1f s, waiting %.0f %%",
            epoch + 1, note, elapsed, 100 * self.waited / elapsed,
        )  # fmt: skip


class EpochKeeper(keras.callbacks.Callback):
    """Ends each epoch: history, best weights, learning rate, picture, state, stopping.

    Keras's own callbacks forget what they know when training begins again; this one keeps it
    in a `State`, which is saved last, so that a kill repeats the epoch as if it had never run.

    Args:
        run: Where to write.
        config: Section `train`.
        state: Continued.
        network: Shares its weights with the model in training, and gives the final answer alone.
        preview: Draws the picture of an epoch, given its number.
        team: Of which all do the same, and the first one writes.
    """

    def __init__(
        self,
        run: Run,
        config: TrainConfig,
        state: State,
        *,
        network: Tensor,
        preview: Callable[[int], None] | None = None,
        team: Team = ALONE,
    ) -> None:
        super().__init__()
        self.run = run
        self.team = team
        self.config = config
        self.state = state
        self.network = network
        self.preview = preview

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Do all of it."""
        state = self.state
        row = {name: float(value) for name, value in (logs or {}).items()}
        loss = row.get("val_loss", row["loss"])
        if not math.isfinite(loss):
            raise ModelError(
                f"the loss is {loss} in epoch {epoch + 1}",
                hint="lower train.learning_rate, or set train.clip_norm",
            )
        rate = float(self.model.optimizer.learning_rate)
        state.rows.append({"epoch": epoch + 1, **row, "learning_rate": rate})
        state.epoch = epoch + 1
        if loss < state.best:
            state.best, state.best_epoch, state.waited = loss, epoch + 1, 0
        else:
            state.waited += 1
        if "val_loss" not in row:  # the training loss does not tell which weights are best
            state.best_epoch = epoch + 1
        if self.config.schedule == "plateau":
            self._reduce_on_plateau(loss)
        state.ended = self._reason_to_stop()
        with averaged_weights(self.model):  # a step of all processes
            if self.team.leads and state.best_epoch == state.epoch:
                save_weights(self.run.best, self.network)
            if self.preview is not None:
                self.preview(epoch + 1)
        if self.team.leads:
            write_history(self.run, self.config, state)
            save_state(self.run.state, self.model, state)
        self.model.stop_training = state.ended is not None

    def _reduce_on_plateau(self, loss: float) -> None:
        state, reducer = self.state, self.config.reducer
        if loss < state.plateau_best:
            state.plateau_best, state.plateau_waited = loss, 0
            return
        state.plateau_waited += 1
        if state.plateau_waited >= reducer.patience:
            rate = float(self.model.optimizer.learning_rate)
            self.model.optimizer.learning_rate = max(rate * reducer.factor, reducer.minimum)
            state.plateau_waited = 0

    def _reason_to_stop(self) -> str | None:
        if self.state.epoch >= self.config.epochs:
            return "epochs"
        if self.config.patience and self.state.waited >= self.config.patience:
            return "patience"
        return "stop" if agreed(self.team, self.run.stop.exists()) else None


@contextmanager
def averaged_weights(model: Tensor) -> Iterator[None]:
    """Put the moving averages in the place of the weights, where the optimiser keeps any."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)  # float16 wraps it
    if not optimizer.use_ema:
        yield
        return
    swap = keras.callbacks.SwapEMAWeights()
    swap.set_model(model)
    swap.on_test_begin()
    try:
        yield
    finally:
        swap.on_test_end()


def write_history(run: Run, config: TrainConfig, state: State) -> None:
    """Write `history.csv`, `history.json` and `curves.png`."""
    columns = state.columns()
    write_csv(run.history_table, list(columns), [list(row.values()) for row in state.rows])
    write_json(run.history, {"columns": columns})
    shown = config.metrics if config.plot_metrics is None else config.plot_metrics
    plot_curves(run.curves, columns, shown)


def open_tensorboard(run: Run) -> Tensor:
    """Make the callback that writes the history for TensorBoard.

    Raises:
        ConfigError: It is not installed.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise ConfigError(
            "'train.tensorboard' needs the package tensorboard",
            hint="pip install 'cervseg[tensorboard]'",
        )
    return keras.callbacks.TensorBoard(run.tensorboard, write_graph=False)

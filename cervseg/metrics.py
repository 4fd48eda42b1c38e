"""Metrics for the training bar: thresholded, over all pixels of an epoch, per class."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
from keras import ops

from cervseg.arrays import Tensor
from cervseg.losses import encode


class Counts(NamedTuple):
    """Pixels of one class: true and false, positive and negative."""

    tp: Tensor
    fp: Tensor
    fn: Tensor
    tn: Tensor


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    """`part / whole`, and 1 where there is nothing to get wrong."""
    return ops.where(whole > 0, part / ops.maximum(whole, 1.0), 1.0)


METRICS: dict[str, Callable[[Counts], Tensor]] = {
    "binary_accuracy": lambda c: _ratio(c.tp + c.tn, c.tp + c.fp + c.fn + c.tn),
    "dice": lambda c: _ratio(2 * c.tp, 2 * c.tp + c.fp + c.fn),
    "iou": lambda c: _ratio(c.tp, c.tp + c.fp + c.fn),
    "sensitivity": lambda c: _ratio(c.tp, c.tp + c.fn),
    "specificity": lambda c: _ratio(c.tn, c.tn + c.fp),
}


class SegmentationMetric(keras.metrics.Metric):
    """A metric of hard decisions: probability over 0.5, or the largest channel.

    Args:
        metric: A name in `METRICS`.
        classes: Number of foreground classes.
        activation: sigmoid or softmax.
        index: One class from 1; None for the mean over all.
        name: Column in the history.
    """

    def __init__(
        self, metric: str, *, classes: int, activation: str, index: int | None, name: str
    ) -> None:
        super().__init__(name=name)
        self.formula = METRICS[metric]
        self.classes = classes
        self.activation = activation
        self.index = index
        # float32 would stop counting at 2^24 pixels, a few tiles: two parts, millions and rest.
        self.counts = self.add_weight(
            shape=(2, 4, classes), initializer="zeros", name="counts", dtype="float32"
        )

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        """Count a batch; `y_true` (n, height, width), `y_pred` logits (n, height, width, c)."""
        channels = self.classes + (self.activation == "softmax")
        y_pred = y_pred[..., :channels]  # behind them stand side outputs
        truth, weights = encode(y_true, channels, activation=self.activation)
        if self.activation == "sigmoid":
            guess = ops.cast(y_pred > 0, "float32")
        else:
            guess = ops.one_hot(ops.argmax(y_pred, axis=-1), channels, dtype="float32")
            truth, guess = truth[..., 1:], guess[..., 1:]
        cells = (truth * guess, (1 - truth) * guess, truth * (1 - guess), (1 - truth) * (1 - guess))
        batch = ops.stack([ops.sum(cell * weights, axis=(0, 1, 2)) for cell in cells])
        rest = self.counts[0] + batch
        carried = ops.floor(rest / 2**20)
        self.counts.assign(ops.stack([rest - carried * 2**20, self.counts[1] + carried]))

    def result(self) -> Tensor:
        """The metric of one class, or the mean over classes."""
        totals = self.counts[0] + self.counts[1] * 2**20
        values = self.formula(Counts(totals[0], totals[1], totals[2], totals[3]))
        return ops.mean(values) if self.index is None else values[self.index - 1]


def make_metrics(
    names: Sequence[str], class_names: Sequence[str], activation: str
) -> list[SegmentationMetric]:
    """The metrics of a training: means, and where there are several classes each class."""
    made = []
    for name in names:
        indices: list[int | None] = [None]
        if len(class_names) > 1:
            indices += range(1, len(class_names) + 1)
        for index in indices:
            column = name if index is None else f"{name}_{class_names[index - 1]}"
            made.append(
                SegmentationMetric(
                    name,
                    classes=len(class_names),
                    activation=activation,
                    index=index,
                    name=column.replace(" ", "_"),
                )
            )
    return made

"""Losses by name, over logits, blind to ignored pixels."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import keras
from keras import ops

from cervseg.arrays import Tensor
from cervseg.classes import IGNORE
from cervseg.losses.entropy import binary_crossentropy, categorical_crossentropy
from cervseg.losses.overlap import dice_loss, iou_loss

Kernel = Callable[[Tensor, Tensor, Tensor], Tensor]


class Term(NamedTuple):
    """A loss kernel `(y_true, y_pred, weights) -> scalar` and what it takes as `y_pred`."""

    kernel: Kernel
    takes: Literal["logits", "probabilities"]


BINARY = Term(binary_crossentropy, "logits")
CATEGORICAL = Term(categorical_crossentropy, "logits")
DICE = Term(dice_loss, "probabilities")
IOU = Term(iou_loss, "probabilities")

LOSSES: dict[str, tuple[Term, ...]] = {
    "binary_crossentropy": (BINARY,),
    "categorical_crossentropy": (CATEGORICAL,),
    "dice": (DICE,),
    "bce_dice": (BINARY, DICE),
    "iou": (IOU,),
    "bce_iou": (BINARY, IOU),
}
"""The mean of the terms is minimised."""


def encode(labels: Tensor, channels: int, *, activation: str) -> tuple[Tensor, Tensor]:
    """Turn class indices into what a kernel compares with.

    Args:
        labels: Integers (n, height, width).
        channels: Of the network's output.
        activation: sigmoid: channel i is class i + 1; softmax: channel i is class i.

    Returns:
        0 or 1 (n, height, width, channels), zero where ignored; weights (n, height, width, 1),
        zero where ignored, else 1. Both float32.
    """
    labels = ops.cast(labels, "int32")[..., None]
    weights = ops.cast(labels != IGNORE, "float32")
    first = 1 if activation == "sigmoid" else 0
    indices = ops.arange(first, first + channels, dtype="int32")
    return ops.cast(labels == indices, "float32"), weights


def activate(logits: Tensor, activation: str) -> Tensor:
    """Logits to probabilities, in float32."""
    logits = ops.cast(logits, "float32")
    return ops.sigmoid(logits) if activation == "sigmoid" else ops.softmax(logits, axis=-1)


class SegmentationLoss(keras.losses.Loss):
    """A named loss between class indices and logits.

    Args:
        name: In `LOSSES`.
        activation: sigmoid or softmax, of the network's contract.
    """

    def __init__(self, name: str, activation: str) -> None:
        super().__init__(name="loss", reduction="sum")  # a kernel gives a scalar already
        self.terms = LOSSES[name]
        self.activation = activation

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Mean of the terms; `y_true` (n, height, width), `y_pred` (n, height, width, c)."""
        logits = ops.cast(y_pred, "float32")
        truth, weights = encode(y_true, logits.shape[-1], activation=self.activation)
        given = {"logits": logits, "probabilities": activate(logits, self.activation)}
        values = [term.kernel(truth, given[term.takes], weights) for term in self.terms]
        return sum(values) / len(values)

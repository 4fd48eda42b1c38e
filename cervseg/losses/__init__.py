"""Losses by name, over logits, blind to ignored pixels; weighted sums of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import keras
from keras import ops

from cervseg.arrays import Tensor
from cervseg.classes import IGNORE
from cervseg.errors import ConfigError
from cervseg.losses.boundary import boundary_loss
from cervseg.losses.entropy import (
    binary_crossentropy,
    binary_focal_loss,
    categorical_crossentropy,
    categorical_focal_loss,
)
from cervseg.losses.overlap import (
    dice_loss,
    focal_tversky_loss,
    iou_loss,
    lovasz_hinge_loss,
    lovasz_softmax_loss,
    tversky_loss,
)
from cervseg.losses.structure import ssim_loss


class Term(NamedTuple):
    """One term of a weighted sum of losses.

    Args:
        name: In `LOSSES`.
        weight: Its factor in the sum.
        class_weights: One for each channel's class, of which only the ratios count; None: equal.
        params: What the loss takes besides, by name.
    """

    name: str
    weight: float = 1.0
    class_weights: Sequence[float] | None = None
    params: Mapping[str, float | str | None] = {}


class Part(NamedTuple):
    """A loss kernel `(y_true, y_pred, weights, **options) -> scalar`.

    Args:
        kernel: The function.
        takes: As `y_pred`.
        options: Names of its keyword arguments that may be set.
    """

    kernel: Callable[..., Tensor]
    takes: Literal["logits", "probabilities"]
    options: tuple[str, ...] = ()


BINARY = Part(binary_crossentropy, "logits")
DICE = Part(dice_loss, "probabilities", ("per",))
IOU = Part(iou_loss, "probabilities", ("per",))
SSIM = Part(ssim_loss, "probabilities")
TVERSKY = Part(tversky_loss, "probabilities", ("alpha", "beta", "per"))
FOCAL_TVERSKY = Part(focal_tversky_loss, "probabilities", ("alpha", "beta", "gamma", "per"))

LOSSES: dict[str, tuple[Part, ...]] = {
    "binary_crossentropy": (BINARY,),
    "categorical_crossentropy": (Part(categorical_crossentropy, "logits"),),
    "focal": (Part(binary_focal_loss, "logits", ("gamma", "alpha")),),
    "dice": (DICE,),
    "iou": (IOU,),
    "tversky": (TVERSKY,),
    "focal_tversky": (FOCAL_TVERSKY,),
    "lovasz": (Part(lovasz_hinge_loss, "logits", ("per",)),),
    "boundary": (Part(boundary_loss, "probabilities", ("theta0", "theta", "per")),),
    "ssim": (SSIM,),
    "bce_dice": (BINARY, DICE),
    "bce_iou": (BINARY, IOU),
    "basnet_hybrid": (BINARY, SSIM, IOU),
}
"""The mean of the parts is minimised."""

EXCLUSIVE: dict[str, tuple[Part, ...]] = {
    "focal": (Part(categorical_focal_loss, "logits", ("gamma", "alpha")),),
    "lovasz": (Part(lovasz_softmax_loss, "probabilities", ("per",)),),
}
"""These are other functions where the activation is softmax."""


def needs_softmax(name: str) -> bool:
    """Whether a loss is defined for exclusive channels only."""
    return name == "categorical_crossentropy"


def treats_channels_alone(name: str) -> bool:
    """Whether a loss holds a binary cross-entropy, blind to channels being exclusive."""
    return BINARY in LOSSES[name]


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
    """A weighted sum of losses between class indices and logits.

    Args:
        terms: Of the sum; a name alone is that loss as it is.
        activation: sigmoid or softmax, of the network's contract.
        channels: Of one output; the network may give several on one axis, the final one first,
            then side outputs. None: it gives one.
        side_weight: Factor of each side output's loss; the final one has 1.

    Raises:
        ConfigError: The class weights are not as many as the channels.
    """

    def __init__(
        self,
        terms: Sequence[Term] | str,
        activation: str,
        *,
        channels: int | None = None,
        side_weight: float = 1.0,
    ) -> None:
        super().__init__(name="loss", reduction="sum")  # a kernel gives a scalar already
        self.terms = (Term(terms),) if isinstance(terms, str) else tuple(terms)
        self.activation = activation
        self.channels = channels
        self.side_weight = side_weight
        for term in self.terms:
            _check_options(term)
            if channels is not None:
                _check_class_weights(term, channels)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Loss of the final output, and of the side outputs.

        Args:
            y_true: Class indices, shape (n, height, width).
            y_pred: Logits, shape (n, height, width, outputs · channels).
        """
        logits = ops.cast(y_pred, "float32")
        channels = self.channels or logits.shape[-1]
        if logits.shape[-1] % channels:
            raise ValueError(f"{logits.shape[-1]} channels are no outputs of {channels} each")
        truth, weights = encode(y_true, channels, activation=self.activation)
        outputs = ops.split(logits, logits.shape[-1] // channels, axis=-1)
        final, *sides = (self._sum_terms(truth, output, weights) for output in outputs)
        return sum((self.side_weight * side for side in sides), start=final)

    def _sum_terms(self, truth: Tensor, logits: Tensor, weights: Tensor) -> Tensor:
        given = {"logits": logits, "probabilities": activate(logits, self.activation)}
        values = []
        for term in self.terms:
            weighted = weights * _shares(term) if term.class_weights else weights
            parts = _parts(term, self.activation)
            losses = [
                part.kernel(truth, given[part.takes], weighted, **_options(term, part))
                for part in parts
            ]
            values.append(term.weight * sum(losses) / len(parts))
        return sum(values)


def _parts(term: Term, activation: str) -> tuple[Part, ...]:
    exclusive = EXCLUSIVE if activation == "softmax" else {}
    return exclusive.get(term.name) or LOSSES[term.name]


def _options(term: Term, part: Part) -> dict[str, float | str | None]:
    return {key: value for key, value in term.params.items() if key in part.options}


def _shares(term: Term) -> Tensor:
    """Class weights with mean 1, so that sums stay as large as they are without."""
    shares = ops.convert_to_tensor(term.class_weights, dtype="float32")
    return shares / ops.mean(shares)


def _check_options(term: Term) -> None:
    known = {option for part in LOSSES[term.name] for option in part.options}
    unknown = set(term.params) - known
    if unknown:
        raise ValueError(f"loss {term.name!r} takes no {min(unknown)!r}")


def _check_class_weights(term: Term, channels: int) -> None:
    given = len(term.class_weights or ())
    if given not in (0, channels):
        raise ConfigError(
            f"'train.loss' {term.name} has {given} 'class_weights' for {channels} channels",
            hint="one for each class; with softmax the background first",
        )

"""`train.loss`: what is minimised, by name, with parameters, or as a weighted sum."""

from typing import Annotated, Literal, TypedDict

from pydantic import BeforeValidator, Field, field_validator

from cervseg.config.base import Section

Per = Literal["batch", "image"]


class _Term(Section):
    """What every term of the sum has."""

    name: str = Field(description="which loss")
    weight: float = Field(1.0, gt=0, le=1000, description="factor in the sum of several losses")
    class_weights: tuple[Annotated[float, Field(ge=0, le=1e6)], ...] | None = Field(
        None,
        min_length=1,
        description="one for each class, with softmax the background first; only their ratios "
        "count; default: equal",
    )

    @field_validator("class_weights")
    @classmethod
    def _check_some(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is not None and not any(value):
            raise ValueError("no class weighs anything")
        return value


class PlainLoss(_Term):
    """A loss without parameters of its own."""

    name: Literal["binary_crossentropy", "categorical_crossentropy", "ssim"] = Field(
        description="which loss"
    )


class FocalLoss(_Term):
    """The cross-entropy, with what is already right counting less."""

    name: Literal["focal"] = Field(description="which loss")
    gamma: float = Field(2.0, ge=0, le=10, description="how much less; 0: as it was")
    alpha: float | None = Field(
        None, ge=0, le=1, description="weight of foreground, background has 1 - alpha; default: off"
    )


class OverlapLoss(_Term):
    """An overlap of regions, alone or joined with other losses."""

    name: Literal["dice", "iou", "lovasz", "bce_dice", "bce_iou", "basnet_hybrid"] = Field(
        description="which loss; joined ones are means of their parts"
    )
    per: Per = Field("batch", description="overlap of the whole batch, or mean over its images")


class TverskyLoss(_Term):
    """Dice with a price of its own for each kind of mistake."""

    name: Literal["tversky"] = Field(description="which loss")
    alpha: float = Field(0.3, ge=0, le=10, description="price of false positives")
    beta: float = Field(0.7, ge=0, le=10, description="price of false negatives")
    per: Per = Field("batch", description="overlap of the whole batch, or mean over its images")


class FocalTverskyLoss(_Term):
    """The Tversky loss to the power 1 / gamma."""

    name: Literal["focal_tversky"] = Field(description="which loss")
    alpha: float = Field(0.3, ge=0, le=10, description="price of false positives")
    beta: float = Field(0.7, ge=0, le=10, description="price of false negatives")
    gamma: float = Field(4 / 3, ge=1, le=10, description="1: the Tversky loss; 1 to 3 in the paper")
    per: Per = Field("batch", description="overlap of the whole batch, or mean over its images")


class BoundaryLoss(_Term):
    """One minus the F1 of boundaries."""

    name: Literal["boundary"] = Field(description="which loss")
    theta0: int = Field(3, ge=3, le=31, description="odd side of the window that finds edges")
    theta: int = Field(
        5, ge=1, le=101, description="odd side of the window that extends them: 5 forgives 2 pixels"
    )
    per: Per = Field("batch", description="F1 of the whole batch, or mean over its images")

    @field_validator("theta0", "theta")
    @classmethod
    def _check_odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("an odd side, so that the window has a centre")
        return value


LossTerm = Annotated[
    PlainLoss | FocalLoss | OverlapLoss | TverskyLoss | FocalTverskyLoss | BoundaryLoss,
    Field(discriminator="name"),
]

LossName = Literal[
    "binary_crossentropy",
    "categorical_crossentropy",
    "dice",
    "iou",
    "tversky",
    "focal",
    "focal_tversky",
    "lovasz",
    "ssim",
    "boundary",
    "bce_dice",
    "bce_iou",
    "basnet_hybrid",
]


def _as_mapping(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


def _as_list(value: object) -> object:
    return (value,) if isinstance(value, str | dict) else value


OneLoss = Annotated[
    LossTerm, BeforeValidator(_as_mapping, json_schema_input_type=LossName | LossTerm)
]
Losses = Annotated[
    tuple[OneLoss, ...],
    Field(min_length=1, max_length=10),
    BeforeValidator(_as_list, json_schema_input_type=OneLoss | tuple[OneLoss, ...]),
]
"""The terms of the sum; a name stands for its loss as it is."""


class LossArguments(TypedDict):
    """One term as plain values."""

    name: str
    weight: float
    class_weights: tuple[float, ...] | None
    params: dict[str, float | str | None]


def loss_arguments(losses: Losses) -> list[LossArguments]:
    """For each term what all losses have, and the parameters that are its own."""
    return [
        LossArguments(
            name=term.name,
            weight=term.weight,
            class_weights=term.class_weights,
            params=term.model_dump(exclude={"name", "weight", "class_weights"}),
        )
        for term in losses
    ]

"""What all transforms of `train.augmentation` share: a probability, short forms, presets."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from cervseg.config.base import Section

Plain = float | tuple[float, ...] | tuple[tuple[float, float], ...]
"""A value of a preset."""


def _ordered(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError("must be [smallest, largest]")
    return pair


Gain = Annotated[float, Field(gt=0.1, lt=10)]
Gains = Annotated[tuple[Gain, Gain], AfterValidator(_ordered)]
Share = Annotated[float, Field(ge=0, le=1)]
Percent = Annotated[int, Field(ge=1, le=100)]
Percents = Annotated[tuple[Percent, Percent], AfterValidator(_ordered)]


class Transform(Section):
    """One way to vary a sample; a plain value stands for its first key, false for never.

    Attributes:
        first: The key that a plain value stands for.
    """

    first: ClassVar[str] = "range"

    probability: Share = Field(1.0, description="share of the samples that it is applied to")

    @classmethod
    def spell_out(cls, written: object) -> object:
        """Turn a short form into keys: `30`, `[0.8, 1.2]`, true, false."""
        if isinstance(written, bool):
            return {} if written else {"probability": 0.0}
        return {cls.first: written} if isinstance(written, int | float | str | tuple | list) \
            else written  # fmt: skip

    @classmethod
    def fill(cls, written: Mapping[str, object], usual: Mapping[str, Plain]) -> dict[str, object]:
        """Add what a preset says of the keys that are not written."""
        return {**usual, **written}

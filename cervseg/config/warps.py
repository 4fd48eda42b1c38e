"""Transforms of `train.augmentation` that move pixels, in image and mask alike."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from cervseg.config.transform import Gains, Plain, Share, Transform


class Flip(Transform):
    """Mirror the sample."""

    first: ClassVar[str] = "probability"

    probability: Share = Field(0.5, description="share of the samples that it is applied to")


class RightAngles(Transform):
    """Turn by 90, 180 or 270 degrees, whole pixels."""

    first: ClassVar[str] = "probability"

    probability: Share = Field(0.75, description="share of the samples that it is applied to")


class Rotation(Transform):
    """Turn about the centre: by any angle of a range, or by one of a list."""

    range: float = Field(180.0, ge=0, le=180, description="largest angle, degrees either way")
    angles: tuple[Annotated[float, Field(ge=-360, le=360)], ...] = Field(
        (), description="degrees counter-clockwise; one of them is taken instead of any angle"
    )

    @classmethod
    def spell_out(cls, written: object) -> object:
        """A number is the range, a list the angles."""
        if isinstance(written, tuple | list):
            written = {"angles": written}
        spelt = super().spell_out(written)
        lists = isinstance(spelt, dict) and spelt.get("angles")
        return {"range": 0.0, **spelt} if lists and isinstance(spelt, dict) else spelt

    @classmethod
    def fill(cls, written: Mapping[str, object], usual: Mapping[str, Plain]) -> dict[str, object]:
        """A range that is written takes the place of a preset's angles."""
        without = {} if "range" not in written else {"angles": ()}
        return {**usual, **without, **written}

    @model_validator(mode="after")
    def _check_one(self) -> "Rotation":
        if self.range and self.angles:
            raise ValueError("`range` and `angles` exclude each other")
        return self


class Scale(Transform):
    """Magnify or reduce."""

    range: Gains = Field((0.8, 1.25), description="smallest and largest magnification")


class Shear(Transform):
    """Slide rows along columns."""

    range: float = Field(10.0, ge=0, le=45, description="largest angle, degrees either way")


class Translation(Transform):
    """Shift along rows and columns."""

    range: float = Field(16.0, ge=0, le=4096, description="largest shift, pixels either way")


class Perspective(Transform):
    """Shift the four corners, each on its own."""

    probability: Share = Field(0.5, description="share of the samples that it is applied to")
    range: float = Field(0.08, ge=0, le=0.3, description="largest shift, share of the side")


class Elastic(Transform):
    """Shift each pixel by smoothed noise (Simard et al., 2003)."""

    first: ClassVar[str] = "alpha"

    probability: Share = Field(0.5, description="share of the samples that it is applied to")
    alpha: float = Field(
        112.0, ge=0, le=20_000,
        description="largest factor on the noise; shifts are about 0.16 alpha / sigma pixels",
    )  # fmt: skip
    sigma: float = Field(8.0, ge=1, le=256, description="of the smoothing, pixels")


class Distortion(Transform):
    """Shift whole regions by a slow wave."""

    first: ClassVar[str] = "strength"

    probability: Share = Field(0.5, description="share of the samples that it is applied to")
    strength: float = Field(
        0.02, ge=0, le=0.25, description="largest shift, share of the longer side"
    )
    sigma: float = Field(40.0, ge=4, le=1024, description="of the smoothing, pixels")


class Lens(Transform):
    """Enlarge or reduce within a circle, most in its middle."""

    first: ClassVar[str] = "amount"

    probability: Share = Field(0.5, description="share of the samples that it is applied to")
    radius: float = Field(0.5, gt=0, le=2, description="of the circle, share of the shorter side")
    amount: float = Field(
        0.5, ge=0, le=0.9,
        description="largest strength: the middle is 1 / (1 - amount) times as large under a "
        "barrel, 1 / (1 + amount) under a pincushion",
    )  # fmt: skip
    centers: Annotated[tuple[tuple[Share, Share], ...], Field(min_length=1)] = Field(
        ((0.5, 0.5),), description="[row, column] as shares of the sides; one of them is taken"
    )

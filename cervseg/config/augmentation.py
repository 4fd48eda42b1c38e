"""`train.augmentation`: how far training samples are varied."""

from typing import Annotated

from pydantic import Field, model_validator

from cervseg.config.base import Section


class AugmentationConfig(Section):
    """Ranges from which each sample draws; all geometry is applied in one warp."""

    hflip: bool = Field(True, description="mirror left and right, half of the time")
    vflip: bool = Field(True, description="mirror top and bottom, half of the time")
    rotation: float = Field(180.0, ge=0, le=180, description="largest angle, degrees either way")
    scale: tuple[Annotated[float, Field(gt=0.1)], Annotated[float, Field(lt=10)]] = Field(
        (0.8, 1.25), description="smallest and largest magnification"
    )
    shear: float = Field(5.0, ge=0, le=45, description="largest angle, degrees either way")
    deformation: float = Field(
        2.0, ge=0, le=64, description="largest shift of a smooth deformation, pixels"
    )
    deformation_size: float = Field(
        32.0, ge=4, description="distance over which the deformation changes, pixels"
    )
    brightness: float = Field(0.1, ge=0, le=1, description="largest shift, share of white")
    contrast: float = Field(0.2, ge=0, lt=1, description="largest change of contrast")
    colour: float = Field(0.1, ge=0, lt=1, description="largest gain of a single channel")

    @model_validator(mode="after")
    def _check_scale(self) -> "AugmentationConfig":
        if self.scale[0] > self.scale[1]:
            raise ValueError("`scale` must be [smallest, largest]")
        return self

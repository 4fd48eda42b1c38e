"""`infer` and `tiled_infer`: which model, which images, how probabilities become masks."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator

from cervseg.classes import parse_colour
from cervseg.config.base import ConfigPath, Section


def _as_list(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Models = Annotated[
    tuple[ConfigPath, ...],
    BeforeValidator(_as_list, json_schema_input_type=Path | tuple[Path, ...]),
]
"""A run or model folder, or several: their mean."""

Threshold = Annotated[float, Field(gt=0, lt=1)] | Literal["otsu", "triangle"]


class InferConfig(Section):
    """The image as a whole, fitted to the network."""

    model: Models = Field(
        (), description="run or model folder, several for their mean; default: `train.output`"
    )
    images: ConfigPath | None = Field(None, description="file or folder; default: the arguments")
    output: ConfigPath = Field(Path("cervseg-output"), description="the folder to write")
    threshold: Threshold | None = Field(
        None, description="of one class: a probability, otsu or triangle; default: the model's"
    )
    probabilities: bool = Field(False, description="also write them, as 16-bit PNG")
    colorize: dict[str, str] = Field(
        {}, description="colours of the mask's palette, by class name and `background`"
    )
    blur: float = Field(
        0.0, ge=0, le=50, description="sigma of a Gaussian on the probabilities, pixels"
    )
    min_area: int = Field(0, ge=0, description="smaller objects are removed, pixels")

    @field_validator("colorize")
    @classmethod
    def _check_colours(cls, colours: dict[str, str]) -> dict[str, str]:
        for colour in colours.values():
            parse_colour(colour)
        return colours


class TiledInferConfig(InferConfig):
    """The image at the model's scale, tile by tile; `evaluate` scores the same."""

    tile_size: int | None = Field(
        None, ge=16, le=16384, description="side of a tile; default: the model's"
    )
    overlap: int | Literal["auto"] = Field(
        "auto", description="pixels neighbours share; auto: twice the margin, at most half a tile"
    )
    batch_size: int = Field(4, ge=1, le=1024, description="tiles predicted at once")
    combine: Literal["tiled", "mean", "minimum"] = Field(
        "tiled", description="tiled alone, or with the whole-image answer"
    )

    @field_validator("overlap")
    @classmethod
    def _check_overlap(cls, overlap: int | str) -> int | str:
        if isinstance(overlap, int) and overlap < 0:
            raise ValueError("0 or more pixels")
        return overlap

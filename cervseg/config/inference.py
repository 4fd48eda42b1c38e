"""`infer` and `tiled_infer`: which model, which images, how probabilities become masks."""

import re
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
"""A run or model folder or `builtin:NAME`, or several: their mean."""

_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def _as_bytes(value: object) -> object:
    """Read `2GB`; whatever else is left for pydantic to refuse."""
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?B)?\s*", value.upper())
    if not found:
        raise ValueError("a size such as 2GB or 800MB")
    return round(float(found[1]) * _UNITS[found[2] or "B"])


Size = Annotated[int, Field(gt=0), BeforeValidator(_as_bytes, json_schema_input_type=int | str)]
"""Bytes, or a number with KB, MB, GB or TB."""

Threshold = Annotated[float, Field(gt=0, lt=1)] | Literal["otsu", "triangle"]


_MODELS_OWN = ", full-size pixels; 0: off; default: the model's"


class InferConfig(Section):
    """The image as a whole, fitted to the network."""

    model: Models = Field(
        (),
        description="run or model folder, or `builtin:NAME`; several for their mean; default: "
        "`train.output`, of a config without experiment `builtin:metaplastic`",
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
    blur: float | None = Field(
        None, ge=0, le=50, description=f"sigma of a Gaussian on the probabilities{_MODELS_OWN}"
    )
    hysteresis: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="objects stay that reach this probability in a pixel; 0: all; default: the "
        "model's",
    )
    fill_holes: int | None = Field(
        None, ge=0, description=f"holes of at most this area are filled{_MODELS_OWN}"
    )
    min_area: int | None = Field(
        None, ge=0, description=f"smaller objects are removed{_MODELS_OWN}"
    )
    overlays: bool = Field(
        True, description="also draw masks over images, and an overview of the first images"
    )
    objects: bool | Literal["annotations"] = Field(
        True,
        description="also write objects, as GeoJSON and CSV; annotations: such as QuPath lets one "
        "reshape, where detections can only be deleted",
    )
    look_first: int = Field(
        0,
        ge=0,
        le=1000,
        description="also write so many places of each image where the model is least sure, for "
        "a person to look at, as GeoJSON and pictures",
    )
    split_touching: float | None = Field(
        None,
        ge=0,
        description=f"objects that touch are cut apart at centres so far apart{_MODELS_OWN}",
    )
    engine: Literal["keras", "openvino", "onnx", "auto"] = Field(
        "keras", description="what computes the network; auto: the fastest one installed"
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="of the activations; bfloat16 where the processor has it"
    )
    augment: Literal["none", "flips", "dihedral"] | None = Field(
        None,
        description="the mean over 4 flips, or over all 8 with right angles; default: the model's, "
        "which is this key of `tiled_infer` of its training",
    )
    disagreement: bool = Field(
        False, description="also write how far models, or flips, differ: standard deviation"
    )
    large_from: int = Field(
        50_000_000,
        ge=0,
        description="pixels from which on an image is worked on disk and outputs are OME-TIFF",
    )

    @field_validator("colorize")
    @classmethod
    def _check_colours(cls, colours: dict[str, str]) -> dict[str, str]:
        for colour in colours.values():
            parse_colour(colour)
        return colours


class SelfCheckConfig(Section):
    """Tiles against one larger window, at places of the image itself."""

    windows: int = Field(4, ge=1, le=1000, description="places that are compared")
    limit: float = Field(
        1e-3, gt=0, le=1, description="largest difference of a probability; above: exit code 6"
    )


Pixels = Annotated[int, Field(ge=0)]

BatchSize = Annotated[int, Field(ge=1, le=1024)]


class TiledInferConfig(InferConfig):
    """The image at the model's scale, tile by tile; `evaluate` scores the same."""

    tile_size: int | None = Field(
        None,
        ge=16,
        le=16384,
        description="side of a tile; default: the model's, which is this key of its training, or "
        "`data.tile_size`",
    )
    overlap: int | Literal["auto"] = Field(
        "auto", description="pixels neighbours share; auto: twice the margin, at most half a tile"
    )
    batch_size: BatchSize | Literal["auto"] = Field(
        "auto",
        description="tiles predicted at once; auto: as many as have 256 x 256 pixels, at least "
        "one, which suits a CPU",
    )
    combine: Literal["tiled", "mean", "minimum"] = Field(
        "tiled", description="tiled alone, or with the whole-image answer"
    )
    mpp: float | None = Field(
        None, gt=0, le=1e4, description="micrometres per pixel of the images; default: the file's"
    )
    scale: float | None = Field(
        None,
        gt=0,
        le=1e4,
        description="pixels of a training photograph per pixel of the images; default: by `mpp`, "
        "which with this is only what areas are measured by",
    )
    mask_level: int = Field(
        0, ge=0, le=16, description="the mask is 2^level times smaller than the image"
    )
    roi: tuple[Pixels, Pixels, Pixels, Pixels] | ConfigPath | None = Field(
        None, description="[top, left, height, width], or a GeoJSON of regions; the rest is 0"
    )
    skip_background: bool = Field(
        False, description="tiles that show only empty glass are not predicted"
    )
    self_check: SelfCheckConfig | None = Field(
        None, description="compare tiles with larger windows: windows, limit"
    )
    max_ram: Size | None = Field(
        None, description="memory the process may take: 2GB; default: what the machine has"
    )

    @field_validator("overlap")
    @classmethod
    def _check_overlap(cls, overlap: int | str) -> int | str:
        if isinstance(overlap, int) and overlap < 0:
            raise ValueError("0 or more pixels")
        return overlap

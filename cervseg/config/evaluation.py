"""`evaluate`: which model, and how the scores are reported."""

from pydantic import Field

from cervseg.config.base import ConfigPath, Section
from cervseg.config.inference import Models


class EvaluateConfig(Section):
    """Stitched full-size scores; tiles and threshold are those of `tiled_infer`."""

    model: Models = Field(
        (), description="run or model folder, or `builtin:NAME`; default: `train.output`"
    )
    output: ConfigPath | None = Field(
        None,
        description="default: `evaluation/SPLIT` in the run folder; without one "
        "`cervseg-evaluation`",
    )
    resamples: int = Field(
        10_000, ge=100, le=1_000_000, description="of the bootstrap interval over images"
    )
    overlays: int = Field(3, ge=0, le=100, description="pictures of the worst and best images")
    surface_tolerance: float = Field(
        2.0, ge=0, le=1000, description="of `surface_dice`: full-size pixels an outline may be off"
    )
    min_cell_area: int = Field(
        200,
        ge=1,
        le=10**9,
        description="smaller objects are no cells, in truth as in prediction: full-size pixels",
    )
    mpp: float | None = Field(
        None,
        ge=1e-4,
        le=1e4,
        description="micrometres per full-size pixel, where the files do not say",
    )

"""`train.augmentation`: how far training samples are varied."""

from typing import Literal

from pydantic import Field, model_validator
from pydantic.json_schema import JsonSchemaValue

from cervseg.config.base import Section
from cervseg.config.lights import (
    Blur,
    Brightness,
    Contrast,
    CutOut,
    Gamma,
    Hue,
    Illumination,
    Jpeg,
    Noise,
    Paste,
    Saturation,
    Sharpen,
    Stain,
)
from cervseg.config.presets import PRESETS, PresetName
from cervseg.config.transform import Transform
from cervseg.config.warps import (
    Distortion,
    Elastic,
    Flip,
    Lens,
    Perspective,
    RightAngles,
    Rotation,
    Scale,
    Shear,
    Translation,
)


def _short(schema: JsonSchemaValue) -> None:
    """Let editors take the short forms of a transform: `30`, `[0.8, 1.2]`, true, false."""
    schema["anyOf"] = [
        {"$ref": schema.pop("$ref")},
        {"type": ["boolean", "number", "array"], "items": {"type": "number"}},
    ]


class AugmentationConfig(Section):
    """Transforms of a sample, each drawn between nothing and the setting, with its probability.

    All that move pixels are applied as one warp. What is not written is as the preset has it.
    """

    preset: PresetName = Field("standard", description="what is not written below")
    border: Literal["reflect", "ignore"] = Field(
        "reflect",
        description="what comes from outside a sample: mirrored, or mirrored and ignored by loss",
    )
    hflip: Flip = Field(
        default_factory=Flip, description="mirror left and right", json_schema_extra=_short
    )
    vflip: Flip = Field(
        default_factory=Flip, description="mirror top and bottom", json_schema_extra=_short
    )
    right_angles: RightAngles = Field(
        default_factory=RightAngles,
        description="turn by 90, 180 or 270 degrees",
        json_schema_extra=_short,
    )
    rotation: Rotation = Field(
        default_factory=Rotation,
        description="turn by any angle of a range, or one of a list",
        json_schema_extra=_short,
    )
    scale: Scale = Field(
        default_factory=Scale, description="magnify or reduce", json_schema_extra=_short
    )
    shear: Shear = Field(
        default_factory=Shear, description="slide rows along columns", json_schema_extra=_short
    )
    translation: Translation = Field(
        default_factory=Translation, description="shift", json_schema_extra=_short
    )
    perspective: Perspective = Field(
        default_factory=Perspective,
        description="shift the four corners, each on its own",
        json_schema_extra=_short,
    )
    elastic: Elastic = Field(
        default_factory=Elastic,
        description="shift each pixel by smoothed noise (Simard et al., 2003)",
        json_schema_extra=_short,
    )
    distortion: Distortion = Field(
        default_factory=Distortion,
        description="shift whole regions by a slow wave",
        json_schema_extra=_short,
    )
    barrel: Lens = Field(
        default_factory=Lens,
        description="enlarge within a circle, most in its middle",
        json_schema_extra=_short,
    )
    pincushion: Lens = Field(
        default_factory=Lens,
        description="reduce within a circle, most in its middle",
        json_schema_extra=_short,
    )
    stain: Stain = Field(
        default_factory=Stain,
        description="more or less of each dye, as optical density (Tellez et al., 2018)",
        json_schema_extra=_short,
    )
    hue: Hue = Field(
        default_factory=Hue, description="turn colours about grey", json_schema_extra=_short
    )
    saturation: Saturation = Field(
        default_factory=Saturation,
        description="move colours from grey or to it",
        json_schema_extra=_short,
    )
    brightness: Brightness = Field(
        default_factory=Brightness,
        description="multiply all levels and add to them",
        json_schema_extra=_short,
    )
    contrast: Contrast = Field(
        default_factory=Contrast,
        description="spread levels about mid-grey",
        json_schema_extra=_short,
    )
    gamma: Gamma = Field(
        default_factory=Gamma, description="bend the levels", json_schema_extra=_short
    )
    illumination: Illumination = Field(
        default_factory=Illumination,
        description="darken with the distance from a bright place",
        json_schema_extra=_short,
    )
    blur: Blur = Field(
        default_factory=Blur, description="blur by a Gaussian", json_schema_extra=_short
    )
    sharpen: Sharpen = Field(
        default_factory=Sharpen, description="sharpen", json_schema_extra=_short
    )
    noise: Noise = Field(
        default_factory=Noise, description="add Gaussian noise", json_schema_extra=_short
    )
    jpeg: Jpeg = Field(
        default_factory=Jpeg, description="compress and read again", json_schema_extra=_short
    )
    cut_out: CutOut = Field(
        default_factory=CutOut,
        description="blank rectangles; their place becomes ignore",
        json_schema_extra=_short,
    )
    paste: Paste = Field(
        default_factory=Paste,
        description="lay annotated cells of another sample over this one",
        json_schema_extra=_short,
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, written: object) -> object:
        if not isinstance(written, dict):
            return written
        preset = written.get("preset", "standard")
        on = next((values for name, values in PRESETS.items() if name == preset), {})
        filled = dict(written)
        for name, transform in TRANSFORMS.items():
            usual = on.get(name)
            mine = transform.spell_out(written[name]) if name in written else {}
            if name not in written and usual is None:
                mine = {"probability": 0.0}
            filled[name] = transform.fill(mine, usual or {}) if isinstance(mine, dict) else mine
        return filled


TRANSFORMS: dict[str, type[Transform]] = {
    name: field.annotation
    for name, field in AugmentationConfig.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Transform)
}
"""All transforms by key, in the order in which their draws are seeded."""

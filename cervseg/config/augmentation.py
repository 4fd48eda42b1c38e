"""`train.augmentation`: how far training samples are varied."""

from typing import Literal, TypeVar

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

T = TypeVar("T")


def _short(schema: JsonSchemaValue) -> None:
    """Let editors take the short forms of a transform: `30`, `[0.8, 1.2]`, true, false."""
    schema["anyOf"] = [
        {"$ref": schema.pop("$ref")},
        {"type": ["boolean", "number", "array"], "items": {"type": "number"}},
    ]


def _transform(kind: type[T], description: str) -> T:
    """A key whose section may be written short."""
    return Field(default_factory=kind, description=description, json_schema_extra=_short)


class AugmentationConfig(Section):
    """Transforms of a sample, each drawn between nothing and the setting, with its probability.

    All that move pixels are applied as one warp. What is not written is as the preset has it.
    """

    preset: PresetName = Field("standard", description="what is not written below")
    border: Literal["reflect", "ignore"] = Field(
        "reflect",
        description="what comes from outside a sample: mirrored, or mirrored and ignored by loss",
    )
    hflip: Flip = _transform(Flip, "mirror left and right")
    vflip: Flip = _transform(Flip, "mirror top and bottom")
    right_angles: RightAngles = _transform(RightAngles, "turn by 90, 180 or 270 degrees")
    rotation: Rotation = _transform(Rotation, "turn by any angle of a range, or one of a list")
    scale: Scale = _transform(Scale, "magnify or reduce")
    shear: Shear = _transform(Shear, "slide rows along columns")
    translation: Translation = _transform(Translation, "shift")
    perspective: Perspective = _transform(Perspective, "shift the four corners, each on its own")
    elastic: Elastic = _transform(
        Elastic, "shift each pixel by smoothed noise (Simard et al., 2003)"
    )
    distortion: Distortion = _transform(Distortion, "shift whole regions by a slow wave")
    barrel: Lens = _transform(Lens, "enlarge within a circle, most in its middle")
    pincushion: Lens = _transform(Lens, "reduce within a circle, most in its middle")
    stain: Stain = _transform(
        Stain, "more or less of each dye, as optical density (Tellez et al., 2018)"
    )
    hue: Hue = _transform(Hue, "turn colours about grey")
    saturation: Saturation = _transform(Saturation, "move colours from grey or to it")
    brightness: Brightness = _transform(Brightness, "multiply all levels and add to them")
    contrast: Contrast = _transform(Contrast, "spread levels about mid-grey")
    gamma: Gamma = _transform(Gamma, "bend the levels")
    illumination: Illumination = _transform(
        Illumination, "darken with the distance from a bright place"
    )
    blur: Blur = _transform(Blur, "blur by a Gaussian")
    sharpen: Sharpen = _transform(Sharpen, "sharpen")
    noise: Noise = _transform(Noise, "add Gaussian noise")
    jpeg: Jpeg = _transform(Jpeg, "compress and read again")
    cut_out: CutOut = _transform(CutOut, "blank rectangles; their place becomes ignore")
    paste: Paste = _transform(Paste, "lay annotated cells of another sample over this one")

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

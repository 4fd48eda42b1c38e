"""`data`: where images and masks are, what they mean, how they are split and tiled."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from cervseg.classes import Classes, parse_colour
from cervseg.config.base import ConfigPath, Section

Split = Literal["train", "valid", "test"]


class Source(Section):
    """One collection of images and masks."""

    kind: Literal["folders", "tiles"] = Field(
        "folders", description="photographs and masks in folders, or a set that is already tiled"
    )
    images: ConfigPath = Field(
        description="folder of images, read recursively; `{split}` in it names split folders"
    )
    masks: ConfigPath = Field(description="folder of masks, paired with the images by stem")
    scale: tuple[Annotated[float, Field(gt=0, le=64)], Annotated[float, Field(gt=0, le=64)]] = (
        Field((1.0, 1.0), description="full-size pixels per file pixel, vertical and horizontal")
    )

    @model_validator(mode="after")
    def _check_split_folders(self) -> "Source":
        has_split = ["{split}" in str(path) for path in (self.images, self.masks)]
        if has_split[0] != has_split[1]:
            raise ValueError("`{split}` must be in both `images` and `masks` or in neither")
        if self.kind == "tiles" and not has_split[0]:
            raise ValueError("kind `tiles` needs `{split}` in `images` and `masks`")
        return self


class MaskReading(Section):
    """How the pixels of a mask file become classes."""

    read: Literal["auto", "index", "colour", "threshold"] = Field(
        "auto",
        description="index: pixel values are classes; colour: the nearest class colour; threshold: "
        "largest channel >= 128; auto: threshold for one class, else colour",
    )


class FractionSplit(Section):
    """Groups are drawn into splits by a seed."""

    kind: Literal["fractions"] = Field("fractions", description="draw groups by `seed`")
    train: float = Field(0.7, gt=0, le=1, description="share of groups for training")
    valid: float = Field(0.15, ge=0, lt=1, description="share for validation")
    test: float = Field(0.15, ge=0, lt=1, description="share for the test")
    seed: int = Field(0, ge=0, description="of the draw")

    @model_validator(mode="after")
    def _check_sum(self) -> "FractionSplit":
        total = self.train + self.valid + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train, valid and test add up to {total:g}, not to 1")
        return self


class ListSplit(Section):
    """Image names are listed."""

    kind: Literal["lists"] = Field(description="take the names listed here")
    train: tuple[str, ...] = Field(
        min_length=1, description="names without suffix, or patterns like `field_2[0-5]*`"
    )
    valid: tuple[str, ...] = Field((), description="likewise")
    test: tuple[str, ...] = Field((), description="likewise")


class FolderSplit(Section):
    """Split folders stay as they are."""

    kind: Literal["folders"] = Field(description="keep the `{split}` folders of the source")


SplitKind = Annotated[FractionSplit | ListSplit | FolderSplit, Field(discriminator="kind")]


class Preprocess(Section):
    """The last step before the network, alike in training and inference."""

    color_space: Literal["rgb", "hsv", "lab"] = Field("rgb", description="what the network sees")
    gamma: float = Field(1.0, gt=0, le=5, description="exponent on [0, 1] values; 1 is off")
    sharpen: float = Field(0.0, ge=0, le=5, description="strength of a 3 x 3 sharpening; 0 is off")


def _as_list(value: object) -> object:
    return (value,) if isinstance(value, dict) else value


def _with_kind(value: object) -> object:
    return {"kind": "fractions", **value} if isinstance(value, dict) else value


class DataConfig(Section):
    """Images, masks, classes, splits, tiles."""

    output: ConfigPath = Field(Path("datasets/cervseg"), description="the dataset folder to write")
    source: Annotated[
        tuple[Source, ...],
        BeforeValidator(_as_list, json_schema_input_type=Source | tuple[Source, ...]),
    ] = Field((), description="one collection of images and masks, or a list of them")
    classes: dict[str, str] = Field(
        {"cell": "#00ff00"}, min_length=1, max_length=30, description="class names and colours"
    )
    masks: MaskReading = Field(MaskReading(), description="how mask files are read")
    missing_mask: Literal["error", "background"] = Field(
        "error", description="an image without a mask is an error, or shows background only"
    )
    group_pattern: str | None = Field(
        None,
        description="regular expression on the image name; its first parenthesis (else the whole "
        "match) names the group that no split divides; default: each image",
    )
    group_block: int | None = Field(
        None, ge=1, description="n: the last number of the name // n is the group"
    )
    split: Annotated[SplitKind, BeforeValidator(_with_kind)] = Field(
        FractionSplit(), description="which groups train, validate and test"
    )
    scale: float = Field(
        1.0, gt=0, le=8, description="the model's scale; 0.25 sees a quarter of each side"
    )
    extra_scales: tuple[Annotated[float, Field(gt=0, le=8)], ...] = Field(
        (), description="further scales of training tiles"
    )
    tile_size: int = Field(512, ge=16, le=8192, description="side of the square tiles, in pixels")
    overlap: int = Field(0, ge=0, description="pixels that neighbouring tiles share")
    include_reduced: bool = Field(
        False, description="also train on whole fields reduced to one tile, letterboxed"
    )
    keep_empty: float = Field(
        1.0, ge=0, le=1, description="share of training tiles without foreground that is kept"
    )
    preprocess: Preprocess = Field(
        Preprocess(), description="the last step before the network, everywhere"
    )

    @field_validator("classes")
    @classmethod
    def _check_classes(cls, classes: dict[str, str]) -> dict[str, str]:
        for name, colour in classes.items():
            parse_colour(colour)
            if not re.fullmatch(r"[A-Za-z][\w -]*", name) or name.lower() == "background":
                raise ValueError(f"{name!r} can't name a class")
        if len({c.lower() for c in classes.values()} | {"#000000"}) != len(classes) + 1:
            raise ValueError("two classes have one colour, or one is black like the background")
        return classes

    @field_validator("group_pattern")
    @classmethod
    def _check_pattern(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as exc:
            raise ValueError(f"not a regular expression: {exc}") from exc
        return pattern

    @model_validator(mode="after")
    def _check_together(self) -> "DataConfig":
        if self.overlap > self.tile_size // 2:
            raise ValueError(f"`overlap` {self.overlap} is over half of `tile_size`")
        if self.masks.read == "threshold" and len(self.classes) > 1:
            raise ValueError("`masks.read` threshold knows one class only; use index or colour")
        scales = [f"{scale:g}" for scale in (self.scale, *self.extra_scales)]
        if len(set(scales)) < len(scales):
            raise ValueError("`extra_scales` names a scale twice")
        if self.group_pattern is not None and self.group_block is not None:
            raise ValueError("`group_pattern` and `group_block` exclude each other")
        has_folders = all("{split}" in str(source.images) for source in self.source)
        if self.split.kind == "folders" and not has_folders:
            raise ValueError("split kind `folders` needs `{split}` in `images` and `masks`")
        return self

    def class_table(self) -> Classes:
        """The classes as the rest of the package sees them."""
        return Classes.of(self.classes)

    def mask_reading(self) -> Literal["index", "colour", "threshold"]:
        """`masks.read` with `auto` resolved."""
        if self.masks.read == "auto":
            return "threshold" if len(self.classes) == 1 else "colour"
        return self.masks.read

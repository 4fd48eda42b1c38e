"""`data`: where images and masks are, what they mean, how they are split and tiled."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from cervseg.classes import Classes, parse_colour
from cervseg.config.base import ConfigPath, Section
from cervseg.config.sources import LabelImageSource, Sources

RESERVED = ("background", "ignore")
"""What `rename` may lead to besides the classes; no class is called so."""

Split = Literal["train", "valid", "test"]

Weight = Annotated[float, Field(ge=0, le=1)]


class MaskReading(Section):
    """How the pixels of a mask file become classes."""

    read: Literal["auto", "index", "colour", "threshold", "luma"] = Field(
        "auto",
        description="index: pixel values are classes; colour: the nearest class colour; threshold: "
        "largest channel >= `threshold`; luma: the nearest grey level of a class colour; "
        "auto: threshold for one class, else colour",
    )
    threshold: Annotated[int, Field(ge=1, le=255)] | Literal["otsu", "triangle"] = Field(
        128, description="of `read` threshold: a grey level, or found for each mask"
    )
    blur: float = Field(
        0.0, ge=0, le=20, description="sigma of a Gaussian before the threshold, pixels; 0: off"
    )
    luma: tuple[Weight, Weight, Weight] = Field(
        (0.299, 0.587, 0.114), description="shares of red, green and blue in a grey level"
    )
    interpolation: Literal["nearest", "area"] = Field(
        "nearest",
        description="at another scale: the class under a pixel's centre, or the one that covers "
        "most of it",
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


def _with_kind(value: object) -> object:
    return {"kind": "fractions", **value} if isinstance(value, dict) else value


def _default_split(before: dict[str, Any]) -> FractionSplit | FolderSplit:
    """By folders where every source has them: somebody has divided them already."""
    in_folders = _in_split_folders(before.get("source", ()))
    return FolderSplit(kind="folders") if in_folders else FractionSplit()


def _in_split_folders(sources: Sources) -> bool:
    return bool(sources) and all("{split}" in str(getattr(s, "images", "")) for s in sources)


GROUPINGS = ("group_pattern", "group_block", "group_file", "group_folder")
"""Keys that say what a group is; at most one of them."""


class DataConfig(Section):
    """Images, masks, classes, splits, tiles."""

    output: ConfigPath = Field(Path("datasets/cervseg"), description="the dataset folder to write")
    source: Sources = Field((), description="one collection of annotated images, or a list")
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
    group_file: ConfigPath | None = Field(
        None, description="CSV with the columns `file` and `group`: the group of each image name"
    )
    group_folder: bool = Field(
        False, description="the folder an image lies in is its group (a slide, a patient)"
    )
    split: Annotated[SplitKind, BeforeValidator(_with_kind)] = Field(
        default_factory=_default_split,
        description="which groups train, validate and test; default: the `{split}` folders, else "
        "fractions",
    )
    folds: int | None = Field(
        None,
        ge=3,
        le=20,
        description="instead of `split`: groups in so many folds; fold k is the test of "
        "`train --fold k`, fold k + 1 its validation",
    )
    sampling: Literal["tiles", "fields"] = Field(
        "tiles",
        description="train on the tiles that were cut, or on windows drawn anywhere in the fields",
    )
    cache: str = Field(
        "2GB",
        pattern=r"^\d+(\.\d+)? ?(MB|GB)$",
        description="of `sampling` fields: disk for decoded fields, mapped into memory; 0MB: off",
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
            if not re.fullmatch(r"[A-Za-z][\w -]*", name) or name.lower() in RESERVED:
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
        if self.sampling == "fields" and (self.extra_scales or self.include_reduced):
            raise ValueError(
                "`extra_scales` and `include_reduced` are of tiles; with `sampling` fields widen "
                "`train.augmentation.scale`"
            )
        ways = {name: getattr(self, name) for name in GROUPINGS}
        chosen = [f"`{name}`" for name, value in ways.items() if value not in (None, False)]
        if len(chosen) > 1:
            raise ValueError(f"{' and '.join(chosen)} exclude each other")
        if self.split.kind == "folders" and self.source and not _in_split_folders(self.source):
            raise ValueError("split kind `folders` needs `{split}` in `images` of every source")
        self._check_source_classes()
        return self

    def _check_source_classes(self) -> None:
        known = {*self.classes, *RESERVED}
        for source in self.source:
            for name in getattr(source, "rename", {}).values():
                if name not in known:
                    raise ValueError(f"`rename` leads to {name!r}, which is no class")
            if isinstance(source, LabelImageSource):
                if source.class_name is None and len(self.classes) > 1:
                    raise ValueError("kind `label_images` needs `class_name` for several classes")
                if source.class_name is not None and source.class_name not in self.classes:
                    raise ValueError(f"`class_name` {source.class_name!r} is no class")

    def class_table(self) -> Classes:
        """The classes as the rest of the package sees them."""
        return Classes.of(self.classes)

    def mask_reading(self) -> Literal["index", "colour", "threshold", "luma"]:
        """`masks.read` with `auto` resolved."""
        if self.masks.read == "auto":
            return "threshold" if len(self.classes) == 1 else "colour"
        return self.masks.read

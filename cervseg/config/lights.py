"""Transforms of `train.augmentation` that change colours, sharpness, and what is seen at all."""

from typing import ClassVar

from pydantic import Field

from cervseg.config.transform import Gains, Percents, Share, Transform


class Brightness(Transform):
    """Multiply all levels and add to them."""

    first: ClassVar[str] = "beta"

    alpha: float = Field(1.1, ge=1, lt=10, description="largest factor; the least is 1 / alpha")
    beta: float = Field(20.0, ge=0, le=255, description="largest shift, levels of 255 either way")


class Contrast(Transform):
    """Spread levels about mid-grey."""

    range: float = Field(0.2, ge=0, lt=1, description="largest change, share of what it was")


class Gamma(Transform):
    """Bend the levels: out = in ^ gamma, of white 1."""

    range: Gains = Field((0.8, 1.25), description="smallest and largest exponent")


class Hue(Transform):
    """Turn colours about grey."""

    range: float = Field(8.0, ge=0, le=180, description="largest angle, degrees either way")


class Saturation(Transform):
    """Move colours from grey or to it."""

    range: float = Field(0.2, ge=0, le=1, description="largest change, share of what it was")


class Stain(Transform):
    """Vary how much of each dye there is, as optical density (Tellez et al., 2018)."""

    first: ClassVar[str] = "gain"

    gain: float = Field(0.1, ge=0, lt=1, description="largest change of a dye, share of it")
    shift: float = Field(
        0.02, ge=0, le=1, description="largest density added or taken, the same everywhere"
    )


class Blur(Transform):
    """Blur by a Gaussian."""

    first: ClassVar[str] = "sigma"

    probability: Share = Field(0.2, description="share of the samples that it is applied to")
    sigma: float = Field(1.0, ge=0, le=16, description="largest, pixels")


class Sharpen(Transform):
    """Add to each pixel its difference from its eight neighbours."""

    first: ClassVar[str] = "k"

    probability: Share = Field(0.2, description="share of the samples that it is applied to")
    k: float = Field(
        0.2, ge=0, le=5, description="largest strength: out = in + k (8 in - neighbours)"
    )


class Jpeg(Transform):
    """Compress and read again."""

    first: ClassVar[str] = "quality"

    probability: Share = Field(0.2, description="share of the samples that it is applied to")
    quality: Percents = Field((50, 95), description="lowest and highest quality")


class Noise(Transform):
    """Add Gaussian noise to each channel."""

    first: ClassVar[str] = "sigma"

    probability: Share = Field(0.2, description="share of the samples that it is applied to")
    sigma: float = Field(6.0, ge=0, le=100, description="largest, levels of 255")


class Illumination(Transform):
    """Darken with the squared distance from a random bright place."""

    probability: Share = Field(0.2, description="share of the samples that it is applied to")
    range: float = Field(0.3, ge=0, lt=1, description="largest loss, at the farthest corner")


class CutOut(Transform):
    """Blank rectangles; their place becomes ignore."""

    first: ClassVar[str] = "size"

    probability: Share = Field(0.2, description="share of the samples that it is applied to")
    size: float = Field(0.2, ge=0, le=1, description="largest side, share of the sample's")
    count: int = Field(1, ge=1, le=64, description="most rectangles in a sample")


class Paste(Transform):
    """Lay annotated cells of another sample over this one, turned at random."""

    first: ClassVar[str] = "count"

    probability: Share = Field(0.3, description="share of the samples that it is applied to")
    count: int = Field(3, ge=1, le=64, description="most cells in a sample")
    feather: float = Field(2.0, ge=0, le=32, description="half width of their soft edge, pixels")

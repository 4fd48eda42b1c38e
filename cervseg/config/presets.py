"""Presets of `train.augmentation`: which transforms are on, and how far they go."""

from collections.abc import Mapping
from typing import Literal

from cervseg.config.transform import Plain

PresetName = Literal["none", "reference", "standard", "strong"]

_FLIPS: dict[str, Mapping[str, Plain]] = {
    "hflip": {"probability": 0.5},
    "vflip": {"probability": 0.5},
}

_REFERENCE: dict[str, Mapping[str, Plain]] = {
    **_FLIPS,
    "rotation": {"probability": 0.8, "range": 0.0, "angles": (60.0, 120.0, 180.0, 240.0, 300.0)},
    "scale": {"probability": 0.5, "range": (0.6, 1.0)},
    "shear": {"probability": 0.5, "range": 5.7},
    "elastic": {"probability": 0.5, "alpha": 112.0, "sigma": 8.0},
    "distortion": {"probability": 0.5, "strength": 0.03, "sigma": 40.0},
}
"""The published experiment: its angles and strengths, several at a time, no colours."""

_STANDARD: dict[str, Mapping[str, Plain]] = {
    **_FLIPS,
    "rotation": {"probability": 1.0, "range": 180.0, "angles": ()},
    "scale": {"probability": 1.0, "range": (0.8, 1.25)},
    "shear": {"probability": 1.0, "range": 5.0},
    "elastic": {"probability": 1.0, "alpha": 150.0, "sigma": 13.0},
    "brightness": {"probability": 1.0, "alpha": 1.0, "beta": 25.0},
    "contrast": {"probability": 1.0, "range": 0.2},
    "hue": {"probability": 0.5, "range": 5.0},
    "saturation": {"probability": 0.5, "range": 0.15},
    "stain": {"probability": 0.5, "gain": 0.1, "shift": 0.02},
}

_STRONG: dict[str, Mapping[str, Plain]] = {
    **_FLIPS,
    "rotation": {"probability": 1.0, "range": 180.0, "angles": ()},
    "scale": {"probability": 1.0, "range": (0.65, 1.5)},
    "shear": {"probability": 0.7, "range": 12.0},
    "translation": {"probability": 0.5, "range": 16.0},
    "elastic": {"probability": 0.7, "alpha": 300.0, "sigma": 14.0},
    "distortion": {"probability": 0.5, "strength": 0.03, "sigma": 40.0},
    "barrel": {"probability": 0.15, "radius": 0.5, "amount": 0.3},
    "pincushion": {"probability": 0.15, "radius": 0.5, "amount": 0.3},
    "perspective": {"probability": 0.3, "range": 0.08},
    "brightness": {"probability": 0.8, "alpha": 1.15, "beta": 25.0},
    "contrast": {"probability": 0.8, "range": 0.3},
    "gamma": {"probability": 0.5, "range": (0.75, 1.33)},
    "hue": {"probability": 0.5, "range": 12.0},
    "saturation": {"probability": 0.5, "range": 0.35},
    "stain": {"probability": 0.8, "gain": 0.2, "shift": 0.04},
    "illumination": {"probability": 0.3, "range": 0.3},
    "blur": {"probability": 0.2, "sigma": 1.2},
    "sharpen": {"probability": 0.15, "k": 0.2},
    "noise": {"probability": 0.2, "sigma": 6.0},
    "jpeg": {"probability": 0.2, "quality": (50, 95)},
    "cut_out": {"probability": 0.2, "size": 0.2, "count": 2},
}

PRESETS: Mapping[PresetName, Mapping[str, Mapping[str, Plain]]] = {
    "none": {},
    "reference": _REFERENCE,
    "standard": _STANDARD,
    "strong": _STRONG,
}
"""For each preset the transforms that are on; all others have probability 0."""

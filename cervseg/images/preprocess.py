"""The last step before the network, the same in training and inference."""

import cv2
import numpy as np

from cervseg.arrays import RGB
from cervseg.contract import Preprocessing


def preprocess(pixels: RGB, settings: Preprocessing) -> RGB:
    """Convert the colour space, apply gamma, sharpen.

    Sharpening is `p + k · (4p - neighbours)` with reflected edges, so it reaches one pixel far.

    Args:
        pixels: Shape (height, width, 3).
        settings: From the contract.

    Returns:
        Same shape, uint8; the input itself where nothing is to be done.
    """
    if settings.color_space == "hsv":
        pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV_FULL), np.uint8)
    elif settings.color_space == "lab":
        pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB), np.uint8)
    if settings.gamma != 1.0:
        curve = np.rint((np.arange(256) / 255) ** settings.gamma * 255).astype(np.uint8)
        pixels = curve[pixels]
    if settings.sharpen:
        k = settings.sharpen
        kernel = np.array([[0, -k, 0], [-k, 1 + 4 * k, -k], [0, -k, 0]], np.float32)
        sharp = cv2.filter2D(pixels, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
        pixels = np.asarray(sharp, np.uint8)
    return pixels


def to_grey(pixels: RGB) -> RGB:
    """Luma of Rec. 601, `0.299 R + 0.587 G + 0.114 B`, shape (…, 1)."""
    luma = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
    return np.asarray(np.rint(luma)[..., None], np.uint8)


def prepare(pixels: RGB, settings: Preprocessing, *, channels: int) -> RGB:
    """Bring a tile to what the network takes: preprocessed, in colour or in grey.

    Args:
        pixels: Shape (height, width, 3).
        settings: From the contract.
        channels: 3, or 1 for grey.

    Returns:
        Shape (height, width, channels), uint8.
    """
    ready = preprocess(pixels, settings)
    return to_grey(ready) if channels == 1 else ready

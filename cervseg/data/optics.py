"""What lens, lamp, sensor and file do to an image; edges stay where they are."""

from statistics import NormalDist

import cv2
import numpy as np

from cervseg.arrays import RGB

_QUANTILES = np.array([NormalDist().inv_cdf((i + 0.5) / 256) for i in range(256)])
"""256 equally likely values of a normal distribution."""


def blur(image: RGB, sigma: float) -> RGB:
    """Blur by a Gaussian of so many pixels; below 0.1 nothing would change.

    Args:
        image: Shape (height, width, 3).
        sigma: Pixels.
    """
    if sigma < 0.1:
        return image
    soft = cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(soft, np.uint8)


def sharpen(image: RGB, k: float) -> RGB:
    """Add differences from the eight neighbours: `out = in + k · (8 in - neighbours)`.

    Args:
        image: Shape (height, width, 3).
        k: 0 leaves it as it is.
    """
    kernel = np.full((3, 3), -k, np.float32)
    kernel[1, 1] = 1 + 8 * k
    return np.asarray(cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101), np.uint8)


def compress(image: RGB, quality: int) -> RGB:
    """Write as JPEG and read again.

    Args:
        image: Shape (height, width, 3).
        quality: 1 to 100.
    """
    blue_first = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, file = cv2.imencode(".jpg", blue_first, (cv2.IMWRITE_JPEG_QUALITY, quality))
    read = cv2.imdecode(file, cv2.IMREAD_COLOR)
    assert read is not None, "it was just written"
    return np.asarray(cv2.cvtColor(read, cv2.COLOR_BGR2RGB), np.uint8)


def add_noise(image: RGB, sigma: float, rng: np.random.Generator) -> RGB:
    """Add noise to each channel of each pixel, from a table of 256 normal values.

    Args:
        image: Shape (height, width, 3).
        sigma: Levels of 255.
        rng: Where it comes from.
    """
    draws = np.frombuffer(rng.bytes(image.size), np.uint8).reshape(image.shape)
    noise = cv2.LUT(draws, np.rint(sigma * _QUANTILES).astype(np.int16))
    return np.asarray(cv2.add(image, noise, dtype=cv2.CV_8U), np.uint8)


def fall_off(image: RGB, loss: float, bright: tuple[float, float]) -> RGB:
    """Darken with the squared distance from a bright place.

        out = in · (1 - loss · (distance / distance of the farthest corner)²)

    Args:
        image: Shape (height, width, 3).
        loss: From 0 to 1.
        bright: Row and column as shares of height and width.
    """
    rows, columns = (
        (np.arange(n, dtype=np.float32) - np.float32(at * (n - 1))) ** 2
        for n, at in zip(image.shape[:2], bright, strict=True)
    )
    farthest = max(1.0, float(rows.max() + columns.max()))
    gain = 1 - np.float32(loss / farthest) * (rows[:, None] + columns)
    return np.asarray(cv2.multiply(image, cv2.merge([gain] * 3), dtype=cv2.CV_8U), np.uint8)

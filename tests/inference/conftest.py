"""Stand-ins for networks: one line each, so that tiling is tested without Keras."""

import numpy as np
import pytest
from scipy import ndimage

from cervseg.images.photo import Photo


class Convolutions:
    """A small network: convolve, halve by block means, convolve, enlarge, add, convolve.

    Zero padding at every edge, as in Keras. It answers a shifted tile like a shifted image only
    for shifts by `align`.
    """

    align = 2
    radius = 2 + (1 + 2 * 1) + 1  # 5 x 5; at half size a block and 3 x 3; 3 x 3

    def __init__(self):
        rng = np.random.default_rng(7)
        self.kernels = [rng.normal(0, 1 / k**2, (k, k)) for k in (5, 3, 3)]

    def __call__(self, tiles):
        return np.stack([self.answer(tile) for tile in tiles])

    def answer(self, tile):
        first, half, last = self.kernels
        x = np.tanh(self.convolve(tile.astype(float).mean(axis=-1) / 255, first))
        small = x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2).mean(axis=(1, 3))
        small = np.tanh(self.convolve(small, half))
        x = x + small.repeat(2, axis=0).repeat(2, axis=1)
        return (0.5 + 0.4 * np.tanh(self.convolve(x, last)))[..., None].astype(np.float32)

    @staticmethod
    def convolve(x, kernel):
        return ndimage.convolve(x, kernel, mode="constant")


@pytest.fixture(scope="session")
def convolutions():
    return Convolutions()


@pytest.fixture(scope="session")
def noise():
    """Makes a photograph of noise."""

    def make(height, width):
        pixels = np.random.default_rng((height, width)).integers(
            0, 256, (height, width, 3), "uint8"
        )
        return Photo(pixels)

    return make

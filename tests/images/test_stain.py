import math

import numpy as np
import pytest

from cervseg.images.photo import Photo
from cervseg.images.stain import density_table, mean_density, sample_pixels


def test_density_is_the_logarithm_of_the_light_that_is_lost():
    table = density_table()[0]

    assert table.shape == (256, 3)
    assert table[255].tolist() == [0, 0, 0]
    assert table[[0, 127]] == pytest.approx(np.log10([[256] * 3, [2] * 3]))


def test_density_is_counted_from_the_glass_of_each_colour():
    table = density_table((203, 235, 255))[0]

    assert [table[203, 0], table[235, 1], table[255, 2]] == [0, 0, 0]
    assert table[101, 0] == pytest.approx(math.log10(2))


def test_only_tissue_counts():
    pixels = np.full((3, 5, 3), 250, np.uint8)
    pixels[1, 2:4] = (127, 63, 127)

    assert mean_density(pixels) == pytest.approx(np.log10([2, 4, 2]))
    assert all(map(math.isnan, mean_density(pixels[:1])))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (31, 700), (1500, 32), (2049, 1031)])
def test_samples_reach_every_corner_of_any_image(height, width):
    pixels = np.zeros((height, width, 3), np.uint8)
    for row in (0, -1):
        for column in (0, -1):
            pixels[row, column] += 1

    samples = sample_pixels(Photo(pixels))

    assert 1 <= len(samples) <= 256
    assert {sample.shape for sample in samples} == {(min(32, height), min(32, width), 3)}
    assert sum((sample > 0).sum() for sample in samples) >= (pixels > 0).sum()

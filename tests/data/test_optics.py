import numpy as np
import pytest

from cervseg.data.optics import add_noise, blur, compress, fall_off, sharpen

NOISE = np.random.default_rng(0).integers(0, 256, (51, 41, 3), np.uint8)
GREY = np.full((75, 101, 3), 128, np.uint8)


def test_nothing_is_no_change():
    np.testing.assert_array_equal(blur(NOISE, 0.0), NOISE)
    np.testing.assert_array_equal(sharpen(NOISE, 0.0), NOISE)
    np.testing.assert_array_equal(fall_off(NOISE, 0.0, (0.5, 0.5)), NOISE)
    np.testing.assert_array_equal(add_noise(NOISE, 0.0, np.random.default_rng(0)), NOISE)


def test_blur_spreads_an_edge_by_its_sigma():
    image = np.zeros((41, 51, 3), np.uint8)
    image[:, 25:] = 250

    slope = np.diff(blur(image, 2.0)[20, :, 0].astype(float))

    places = np.arange(50) - 24
    assert slope.sum() == 250 and (slope * places).sum() == pytest.approx(0)
    assert np.sqrt((slope * places**2).sum() / 250) == pytest.approx(2.0, rel=0.05)


def test_sharpening_adds_the_differences_from_eight_neighbours():
    image = np.full((5, 7, 3), 100, np.uint8)
    image[2, 3] = 110

    sharp = sharpen(image, 0.5)[..., 1]

    assert (sharp[2, 3], sharp[1, 2], sharp[2, 2], sharp[0, 0]) == (150, 95, 95, 100)


def test_compression_is_near_and_keeps_the_order_of_colours():
    image = np.broadcast_to(np.array((200, 60, 20), np.uint8), (33, 45, 3))

    assert np.abs(compress(image, 90).astype(int) - image).max() < 8
    smooth = blur(NOISE, 2.0)
    rough, fine = (np.abs(compress(smooth, q).astype(int) - smooth).mean() for q in (10, 95))
    assert 0 < fine < rough


def test_noise_is_as_strong_as_its_sigma_without_bias_and_differs_by_channel():
    noise = add_noise(GREY, 6.0, np.random.default_rng(1)).astype(float) - 128

    assert noise.std() == pytest.approx(6, rel=0.05) and abs(noise.mean()) < 0.2
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.05


def test_noise_stops_at_black_and_white():
    both = np.array([0, 255], np.uint8).reshape(1, 2, 1).repeat(3, -1).repeat(20, 0)

    noisy = add_noise(both, 20.0, np.random.default_rng(1)).astype(int)

    assert noisy[:, 0].max() < 100 and noisy[:, 1].min() > 155


def test_light_falls_off_with_the_squared_distance_from_the_bright_place():
    picture = fall_off(GREY, 0.5, (0.0, 0.0))[..., 0]

    assert picture[0, 0] == 128 and picture[-1, -1] == 64
    assert picture[37, 50] == pytest.approx(128 * (1 - 0.5 / 4), abs=1)


def test_light_falls_off_rows_and_columns_each_by_its_own_place():
    picture = fall_off(GREY, 0.6, (1.0, 0.0))[..., 0].astype(int)

    assert picture[-1, 0] == 128 and picture.argmin() == 100

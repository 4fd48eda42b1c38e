"""What an image will cost: the parts of its time, from given seconds a tile."""

import numpy as np
import pytest

from cervseg.classes import Classes
from cervseg.contract import Contract
from cervseg.images.photo import Photo
from cervseg.inference.budget import Costs, forecast, slowness
from cervseg.inference.prediction import plan_tiles

CONTRACT = Contract(
    architecture="unet", classes=Classes.of({"cell": "#00ff00"}), activation="sigmoid",
    tile_size=64, align=4, receptive_field=16, margin=16, options={},
)  # fmt: skip
FREE = Costs(0, 0, 0, 0.0)


@pytest.fixture
def seconds():
    """Forecasts the seconds of an image of 211 x 173, by default with a network that costs none."""

    def seconds(height=211, width=173, *, costs=FREE, **how):
        view = Photo(np.broadcast_to(np.uint8(0), (height, width, 3)))
        given = {"large": False, "written": False, "checked": 0.0, "target": (height, width), **how}
        return forecast(view, plan_tiles(CONTRACT), costs=costs, **given).seconds

    return seconds


def test_the_time_is_that_of_the_tiles_and_of_the_self_check(seconds):
    a_second_each = Costs(0, 0, 0, 1.0)

    assert seconds(costs=a_second_each) - seconds() == pytest.approx(30)
    assert seconds(costs=a_second_each, checked=8.5) - seconds() == pytest.approx(38.5)


def test_a_slow_machine_draws_and_writes_slowly_tiles_are_timed_on_it_anyway(seconds):
    tiles = seconds(costs=Costs(0, 0, 0, 1.0)) - seconds()

    assert seconds(costs=Costs(0, 0, 0, 1.0, slowness=3.0)) == pytest.approx(tiles + 3 * seconds())
    assert slowness() > 0


def test_many_small_images_take_longer_than_one_of_as_many_pixels(seconds):
    assert 100 * seconds(70, 70) > 1.5 * seconds(700, 700)


def test_probabilities_take_time_of_their_own(seconds):
    assert seconds(written=True) > seconds()


def test_the_overlay_of_a_large_image_takes_the_same_time_however_large_it_is(seconds):
    """As it is reduced, while that of a small one is as large as the image."""
    more_if_small = seconds(9000, 9000) - seconds(6000, 6000)

    more_if_large = seconds(9000, 9000, large=True) - seconds(6000, 6000, large=True)

    assert 0 < more_if_large < 0.6 * more_if_small

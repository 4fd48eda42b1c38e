from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from time import sleep

import numpy as np
import pytest

from cervseg.errors import DataError
from cervseg.grid import Window
from cervseg.images import segments
from cervseg.images.segments import Segmented, keep_less

PATH = Path("a.tif")


def image(load, *, height=60, width=90, segment=(20, 30)):
    return Segmented(PATH, height, width, segment=segment, load=load)


def blank(row, column):
    return np.full((20, 30, 3), (10 * row + column) % 251, np.uint8)


def test_threads_that_want_one_segment_decode_it_once():
    decoded, barrier = [], Barrier(4)

    def slow(row, column):
        decoded.append((row, column))
        sleep(0.02)
        return blank(row, column)

    whole = image(slow)

    def read(_):
        barrier.wait()
        return whole.read(Window(5, 5, 40, 70))

    with ThreadPoolExecutor(4) as pool:
        pictures = list(pool.map(read, range(4)))

    assert len(decoded) == len({*decoded}) == 9
    assert all((picture == pictures[0]).all() for picture in pictures)


def test_a_segment_that_could_not_be_read_is_tried_again_and_each_reader_hears_why():
    fails = [True]

    def load(row, column):
        sleep(0.01)
        if fails[0]:
            raise ValueError("broken tile")
        return blank(row, column)

    broken = image(load)
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(broken.read, Window(0, 0, 5, 5)) for _ in range(3)]
    for future in futures:
        with pytest.raises(DataError, match="a.tif: can't be decoded: broken tile"):
            future.result()

    fails[0] = False
    assert broken.read(Window(20, 30, 1, 1)).tolist() == [[[11, 11, 11]]]


def test_no_more_is_kept_than_was_said():
    tall = keep_less(image(blank, height=60_000, segment=(20, 30)), 0)

    for top in range(0, 2000, 37):
        for left in (0, 20, 40):
            tall.read(Window(top, left, 41, 50))
        kept = sum(future.result().nbytes for future in tall.cache._futures.values())
        assert kept <= tall.working_set(41) == 3 * 3 * 20 * 30 * 3
    tall.read(Window(0, 0, 4000, 90))  # of full width: has no neighbour that needs the rest again
    assert len(tall.cache._futures) == 3


def test_a_little_is_kept_in_any_case_but_never_more_than_there_is():
    assert image(blank).working_set(1) == 60 * 90 * 3
    assert image(blank, height=10**6).working_set(1) == segments.KEPT // 1800 * 1800


def test_less_is_kept_of_an_image_and_its_levels_but_the_same_is_read():
    full = replace(image(blank, height=6000), levels=(image(blank, height=3000),))

    less = keep_less(full, 20_000)

    assert less.working_set(1) == 20_000 // 1800 * 1800 < full.working_set(1)
    assert less.levels[0].working_set(1) == less.working_set(1)
    window = Window(115, 7, 50, 61)
    np.testing.assert_array_equal(less.read(window), full.read(window))

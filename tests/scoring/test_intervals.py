import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cervseg.scoring.intervals import bootstrap_interval

SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=30)


@given(SCORES, st.integers(0, 2**31))
def test_the_interval_lies_within_the_scores(values, seed):
    lower, upper = bootstrap_interval(values, seed=seed, resamples=100)

    assert min(values) - 1e-12 <= lower <= upper <= max(values) + 1e-12


def test_one_seed_gives_one_interval():
    values = np.random.default_rng(0).random(20).tolist()

    first = bootstrap_interval(values, seed=7)

    assert first == bootstrap_interval(values, seed=7)
    assert first != bootstrap_interval(values, seed=8)


def test_it_is_as_wide_as_the_standard_error_says():
    values = np.random.default_rng(0).normal(0.5, 0.1, 400)

    lower, upper = bootstrap_interval(values.tolist(), seed=0)

    error = values.std() / 20
    assert lower == pytest.approx(values.mean() - 1.96 * error, abs=0.1 * error)
    assert upper == pytest.approx(values.mean() + 1.96 * error, abs=0.1 * error)


def test_two_images_have_an_interval_from_one_to_the_other():
    assert bootstrap_interval([0.2, 0.6], seed=0) == (0.2, 0.6)


def test_a_lower_level_is_narrower():
    values = [0.1, 0.3, 0.4, 0.8, 0.9]

    wide, narrow = (bootstrap_interval(values, seed=0, level=level) for level in (0.95, 0.5))

    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_an_image_with_nothing_to_score_is_left_out():
    with_gap = bootstrap_interval([0.2, math.nan, 0.6], seed=0)

    assert with_gap == bootstrap_interval([0.2, 0.6], seed=0)


def test_no_images_have_no_interval():
    assert all(math.isnan(end) for end in bootstrap_interval([math.nan], seed=0))
    assert all(math.isnan(end) for end in bootstrap_interval([], seed=0))


def test_as_many_means_are_drawn_as_asked_however_many_images_there_are():
    values = np.random.default_rng(1).random(300_000).tolist()  # three draws a part

    lower, upper = bootstrap_interval(values, seed=0, resamples=1)
    assert lower == upper

    lower, upper = bootstrap_interval(values, seed=0, resamples=10)
    assert lower < np.mean(values) < upper

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cervseg.data.sampling import TileSampler, sample_rng

SAMPLERS = st.builds(
    TileSampler,
    foreground=st.lists(st.booleans(), min_size=1, max_size=30).map(tuple),
    batch_size=st.integers(1, 7),
    steps=st.none() | st.integers(1, 9),
    foreground_fraction=st.floats(0, 1),
    seed=st.integers(0, 2**31),
)


def drawn(sampler, epochs):
    return [sampler.draw(e, s) for e in epochs for s in range(len(sampler))]


@given(SAMPLERS, st.integers(0, 50), st.integers(0, 50))
def test_a_batch_depends_on_nothing_but_seed_epoch_and_step(sampler, epoch, step):
    first = sampler.draw(epoch, step)
    sampler.draw(epoch + 1, 0)

    assert sampler.draw(epoch, step) == first
    assert all(type(index) is int and 0 <= index < len(sampler.foreground) for index in first)


@given(SAMPLERS, st.integers(0, 50))
def test_batches_are_full_and_hold_the_share_of_foreground_asked_for(sampler, step):
    batches = [sampler.draw(0, earlier) for earlier in range(step + 1)]

    assert {len(batch) for batch in batches} == {sampler.batch_size}
    if any(sampler.foreground):
        samples = (step + 1) * sampler.batch_size
        rich = sum(sampler.foreground[i] for batch in batches for i in batch)
        assert rich >= math.floor(samples * sampler.foreground_fraction)


@pytest.mark.parametrize(("batch_size", "share"), [(1, 0.5), (1, 0.67), (2, 0.8), (4, 0.95)])
def test_no_share_is_lost_to_the_size_of_a_batch(batch_size, share):
    sampler = TileSampler((True,) + (False,) * 9999, batch_size, 2, foreground_fraction=share)

    batches = [sampler.draw(0, step) for step in range(400 // batch_size)]

    rich = sum(batch.count(0) for batch in batches)
    assert abs(rich - 400 * share) <= 1.5  # the walk through all tiles meets it, too


@given(st.lists(st.booleans(), min_size=1, max_size=30).map(tuple), st.integers(1, 7))
def test_one_epoch_without_a_wish_is_one_pass_over_the_tiles(foreground, batch_size):
    sampler = TileSampler(foreground, batch_size, seed=3)

    indices = sum(drawn(sampler, [0]), [])

    assert set(indices) == set(range(len(foreground)))
    assert len(indices) - len(foreground) < batch_size


@given(SAMPLERS)
def test_every_tile_is_drawn_as_often_as_any_other_of_its_kind(sampler):
    batches = drawn(sampler, range(40))
    counts = Counter(index for batch in batches for index in batch)

    for kind in (True, False):
        ours = [counts[i] for i, has in enumerate(sampler.foreground) if has is kind]
        assert not ours or max(ours) - min(ours) <= 2


def test_passes_differ_in_order_and_seeds_in_all():
    passes = [
        tuple(TileSampler((False,) * 20, 20, seed=s).draw(e, 0)) for s in (0, 1) for e in (0, 1)
    ]

    assert len(set(passes)) == 4
    assert all(sorted(order) == list(range(20)) for order in passes)


def test_nothing_but_foreground_where_it_is_asked_for():
    sampler = TileSampler((False, True, False, True, True), 4, foreground_fraction=1.0)

    assert set(sum(drawn(sampler, range(9)), [])) == {1, 3, 4}


def test_no_foreground_anywhere_still_gives_full_batches():
    sampler = TileSampler((False, False, False), 2, foreground_fraction=0.5)

    assert [len(batch) for batch in drawn(sampler, [0, 1])] == [2, 2, 2, 2]


@pytest.mark.parametrize(("steps", "expected"), [(None, 3), (5, 5)])
def test_an_epoch_is_one_pass_or_as_many_steps_as_asked_for(steps, expected):
    assert len(TileSampler((True,) * 7, 3, steps)) == expected


def test_the_random_numbers_of_a_sample_are_its_own():
    keys = [(seed, epoch, step, place) for seed in (0, 1) for epoch in (0, 1) for step in (0, 1)
            for place in (0, 1)]  # fmt: skip

    def first(key):
        seed, epoch, step, place = key
        return sample_rng(seed, epoch, step=step, place=place).random()

    assert len({first(key) for key in keys}) == len(keys)
    assert [first(key) for key in keys] == [first(key) for key in keys]

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cervseg.data.sampling import BLOCK, FieldSampler, Pick

HOLDS = st.lists(st.sampled_from([(), (1,), (2,), (1, 2)]), min_size=1, max_size=8)


@st.composite
def samplers(draw):
    holds = tuple(draw(HOLDS))
    return FieldSampler(
        tiles=tuple(draw(st.integers(1, 5)) for _ in holds),
        holds=holds,
        batch_size=draw(st.integers(1, 7)),
        steps=draw(st.none() | st.integers(1, 9)),
        foreground_fraction=draw(st.floats(0, 1)),
        weights=draw(st.sampled_from([(1.0, 1.0), (2.0, 1.0), (0.0, 3.0)])),
        seed=draw(st.integers(0, 2**31)),
    )


def drawn(sampler, batches):
    """The samples of so many batches from the beginning."""
    epochs = (divmod(number, len(sampler)) for number in range(batches))
    return [pick for epoch, step in epochs for pick in sampler.draw(epoch, step)]


@given(samplers(), st.integers(0, 50), st.integers(0, 8))
def test_a_batch_is_full_and_depends_on_nothing_but_seed_epoch_and_step(sampler, epoch, step):
    picks = sampler.draw(epoch, step)
    sampler.draw(epoch + 1, 0)

    assert sampler.draw(epoch, step) == picks and len(picks) == sampler.batch_size
    for field, label in picks:
        assert type(field) is int and 0 <= field < len(sampler.tiles)
        assert label is None or label in sampler.holds[field]


@given(samplers(), st.integers(1, 30))
def test_the_share_of_samples_on_foreground_is_met_at_any_time(sampler, batches):
    picks = drawn(sampler, batches)

    on_class = sum(pick.label is not None for pick in picks)
    reachable = any(sampler.weights[c - 1] for held in sampler.holds for c in held)
    expected = sampler.foreground_fraction * len(picks) if reachable else 0
    assert abs(on_class - expected) <= 0.5


def test_half_of_batches_of_one_are_on_foreground():
    sampler = FieldSampler((3,), ((1,),), batch_size=1, foreground_fraction=0.5)

    assert [pick.label for pick in drawn(sampler, 4)].count(1) == 2


@given(samplers())
def test_fields_are_visited_by_their_area_whatever_the_pass(sampler):
    picks = drawn(sampler, 60)

    for wanted in (None, 1, 2):
        counts = Counter(pick.field for pick in picks if pick.label == wanted)
        fields = [f for f, held in enumerate(sampler.holds) if wanted is None or wanted in held]
        visits = [counts[f] / sampler.tiles[f] for f in fields]  # passes seen of each
        assert not counts or max(visits) - min(visits) <= 1


def test_classes_are_balanced_by_weight_exactly():
    sampler = FieldSampler(
        (1, 1, 2), ((1,), (1, 2), (2, 3)), 10, foreground_fraction=1.0, weights=(2.0, 1.0, 5.0),
    )  # fmt: skip

    counts = Counter(pick.label for pick in drawn(sampler, 2 * BLOCK // 10))

    assert counts == {1: BLOCK // 2, 2: BLOCK // 4, 3: BLOCK * 5 // 4}


def test_classes_of_equal_weight_share_every_block_and_walk_evenly_beyond_it():
    sampler = FieldSampler(
        (1,) * 5, ((1, 2, 3),) * 5, 10, foreground_fraction=1.0, weights=(1.0, 1.0, 1.0)
    )  # fmt: skip

    picks = drawn(sampler, 3 * BLOCK // 10)

    assert sorted(Counter(pick.label for pick in picks[:BLOCK]).values()) == [333, 333, 334]
    visits = Counter(picks)
    assert len(visits) == 15
    for label in (1, 2, 3):
        ours = [count for pick, count in visits.items() if pick.label == label]
        assert max(ours) - min(ours) <= 1


@pytest.mark.parametrize("holds", [((1,), ()), ((), (1, 3))])
def test_a_class_that_no_field_holds_leaves_its_places_to_the_others(holds):
    sampler = FieldSampler((1, 1), holds, 4, foreground_fraction=1.0, weights=(1.0, 8.0, 0.0))

    assert {pick.label for pick in drawn(sampler, 20)} == {1}


def test_no_foreground_anywhere_still_gives_full_batches():
    sampler = FieldSampler((1, 2), ((), ()), 4, foreground_fraction=1.0)

    assert not sampler.has_foreground
    assert {pick.label for pick in drawn(sampler, 6)} == {None}


@pytest.mark.parametrize(("steps", "expected"), [(None, 5), (7, 7)])
def test_an_epoch_covers_the_fields_once_or_is_as_long_as_asked_for(steps, expected):
    sampler = FieldSampler((12, 1, 5), ((), (1,), ()), 4, steps, foreground_fraction=0.5)

    assert len(sampler) == expected


def test_a_resumed_epoch_goes_on_where_the_walk_was():
    sampler = FieldSampler((4, 2), ((1,), (1,)), 3, foreground_fraction=0.4)

    fields = Counter(pick.field for pick in drawn(sampler, 20) if pick.label is None)

    assert fields == {0: 24, 1: 12}, "36 of 60 samples: six passes of six"


def test_seeds_differ():
    first, other = (
        FieldSampler((5, 5, 5), ((1,),) * 3, 15, foreground_fraction=0.5, seed=s) for s in (0, 1)
    )

    assert first.draw(0, 0) != other.draw(0, 0) != first.draw(1, 0)


def test_a_lender_holds_the_class_it_is_drawn_for():
    sampler = FieldSampler((1, 4, 1), ((1,), (), (2,)), 1, weights=(1.0, 3.0))
    rng = np.random.default_rng(0)

    counts = Counter(sampler.draw_rich(rng) for _ in range(400))

    assert set(counts) == {Pick(0, 1), Pick(2, 2)}
    assert 250 <= counts[Pick(2, 2)] <= 350

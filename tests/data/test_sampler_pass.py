from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cervseg.data.sampling import TileSampler

FOREGROUND = st.lists(st.booleans(), min_size=1, max_size=40).map(tuple)


def drawn(sampler, epochs):
    """How often each tile is drawn."""
    batches = (sampler.draw(e, s) for e in range(epochs) for s in range(len(sampler)))
    return Counter(index for batch in batches for index in batch)


@given(FOREGROUND, st.integers(1, 9), st.integers(0, 2**31))
def test_one_epoch_covers_every_tile_though_half_of_each_batch_is_foreground(
    foreground, batch_size, seed
):
    sampler = TileSampler(foreground, batch_size, foreground_fraction=0.5, seed=seed)

    assert set(drawn(sampler, 1)) == set(range(len(foreground)))


@given(
    st.builds(
        TileSampler,
        foreground=FOREGROUND,
        batch_size=st.integers(2, 9),
        foreground_fraction=st.floats(0, 0.74),
    ),
    st.integers(1, 5),
)
def test_in_so_many_epochs_every_tile_is_drawn_at_least_so_often(sampler, epochs):
    counts = drawn(sampler, epochs)

    assert min(counts[i] for i in range(len(sampler.foreground))) >= epochs


@given(FOREGROUND, st.integers(1, 9), st.floats(0, 1))
def test_an_epoch_is_no_longer_than_one_pass_needs(foreground, batch_size, fraction):
    sampler = TileSampler(foreground, batch_size, foreground_fraction=fraction)
    free = batch_size * (1 - fraction * any(foreground))
    free = free if free >= 0.5 else batch_size  # all are kept for foreground: as many as tiles
    tiles, rounding = len(foreground), 1e-6

    assert (len(sampler) - 1) * free < tiles + rounding
    assert tiles <= len(sampler) * free + rounding


@pytest.mark.parametrize(
    ("tiles", "batch_size", "fraction", "steps"),
    [
        (7, 4, 0.5, 4),
        (7, 1, 0.5, 14),
        (7, 4, 0.9, 2),
        (8, 4, 0.5, 4),
        (9, 4, 0.5, 5),
        (7, 4, 0.75, 7),
        (7, 4, 1.0, 2),
        (7, 4, 0, 2),
    ],
)
def test_the_length_is_that_of_one_pass_through_the_places_left(
    *, tiles, batch_size, fraction, steps
):
    foreground = (True,) + (False,) * (tiles - 1)

    assert len(TileSampler(foreground, batch_size, foreground_fraction=fraction)) == steps
    assert len(TileSampler(foreground, batch_size, 3, foreground_fraction=fraction)) == 3


def test_where_no_tile_holds_foreground_no_place_is_kept_for_it():
    assert len(TileSampler((False,) * 7, 4, foreground_fraction=0.5)) == 2

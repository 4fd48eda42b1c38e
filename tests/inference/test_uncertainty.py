import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cervseg.grid import Window
from cervseg.inference.uncertainty import Places, chance_of_error


def test_of_independent_classes_the_likeliest_other_answer_counts():
    mask = np.array([[0, 1, 2]], np.uint8)
    probabilities = np.array([[[0.1, 0.3], [0.8, 0.6], [0.2, 0.9]]], np.float32)

    wrong = chance_of_error(mask, probabilities, 0)

    np.testing.assert_allclose(wrong, [[0.3, 0.2, 0.1]], atol=1e-6)


def test_of_exclusive_classes_all_others_count_together():
    mask = np.array([[0, 2]], np.uint8)
    probabilities = np.array([[[0.7, 0.2, 0.1], [0.1, 0.4, 0.5]]], np.float32)

    np.testing.assert_allclose(chance_of_error(mask, probabilities, 1), [[0.3, 0.5]], atol=1e-6)


@pytest.mark.parametrize("first_channel", [0, 1])
def test_where_nothing_was_predicted_nothing_is_doubted(first_channel):
    nothing = np.zeros((2, 3, 2), np.float32)

    assert not chance_of_error(np.zeros((2, 3), np.uint8), nothing, first_channel).any()


@given(
    shape=st.tuples(st.integers(1, 70), st.integers(1, 90)),
    side=st.integers(1, 40),
    piece=st.integers(1, 33),
    seed=st.integers(0, 99),
)
def test_squares_do_not_depend_on_pieces_and_hold_every_pixel(*, shape, side, piece, seed):
    wrong = np.random.default_rng(seed).random(shape).astype(np.float32)
    places = Places(*shape, side)

    for top in range(0, shape[0], piece):
        places.add(top, wrong[top : top + piece])

    worst = places.worst(10**6)
    assert sum(p.window.height * p.window.width for p in worst) == wrong.size
    assert [p.wrong for p in worst] == sorted((p.wrong for p in worst), reverse=True)
    for place in worst:
        top, left, height, width = place.window
        inside = wrong[top : top + height, left : left + width]
        assert place.wrong == pytest.approx(inside.sum(dtype=np.float64))


def test_the_worst_come_first_and_squares_without_doubt_not_at_all():
    wrong = np.zeros((50, 70), np.float32)
    wrong[30:35, 41:50] = 0.5  # the squares behind 20 and 40
    wrong[2, 2] = 0.2

    places = Places(50, 70, 20)
    places.add(0, wrong)

    first, second = places.worst(9)
    assert first.window == Window(20, 40, 20, 20) and first.wrong == pytest.approx(22.5)
    assert second.window == Window(0, 0, 20, 20) and second.wrong == pytest.approx(0.2)
    assert len(places.worst(1)) == 1

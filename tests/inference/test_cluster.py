"""Steps on a cluster, which here is one thread of this process."""

from collections import Counter

import pytest

from cervseg.errors import DataError
from cervseg.inference.cluster import Step, run_steps

distributed = pytest.importorskip("distributed")

END, BEGIN, MIDDLE = 0, 1, 2
ROOM = 4
"""Steps on their way for one worker: what comes later can't overtake them."""


@pytest.fixture(scope="module")
def client():
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False,
                                 dashboard_address="127.0.0.1:0", silence_logs=50) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):  # fmt: skip
        yield client


def test_all_is_begun_before_the_middle_of_the_first_and_ends_before_that_of_the_last(client):
    order, middles = [], Counter()

    def after(step, result):
        order.append((step.rank, step.item))
        middles[step.item] += step.rank == MIDDLE
        if step.rank == BEGIN:
            return [Step(step.item, MIDDLE, abs, (number,)) for number in range(3)]
        return [Step(step.item, END, abs, (1,))] if step.rank and middles[step.item] == 3 else []

    done = list(run_steps(client, [Step(item, BEGIN, abs, (item,)) for item in range(9)], after))

    assert done == [(item, None) for item in range(9)]
    last = max(place for place, (rank, _) in enumerate(order) if rank == BEGIN)
    assert sum(rank == MIDDLE for rank, _ in order[:last]) <= ROOM
    for item in range(9):
        third = max(place for place, seen in enumerate(order) if seen == (MIDDLE, item))
        assert order.index((END, item)) - third <= ROOM


def fail(name):
    raise DataError(f"{name}: broken")


def test_what_goes_wrong_with_one_item_ends_it_alone(client):
    first = [Step(0, BEGIN, abs, (-1,)), Step(1, BEGIN, fail, ("b",)), Step(2, BEGIN, abs, (-3,))]
    results = []

    def after(step, result):
        results.append(result)
        return []

    done = dict(run_steps(client, first, after))

    assert sorted(results) == [1, 3]
    assert done[0] is None and done[2] is None and str(done[1]) == "b: broken"

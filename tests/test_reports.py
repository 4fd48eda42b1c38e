from contextlib import contextmanager

import pytest

from cervseg.reports import SILENT, Failure, Report, track


class Recorder:
    """Writes down what a bar is told."""

    def __init__(self):
        self.seen = []

    @contextmanager
    def bar(self, description, total):
        self.seen.append((description, total))
        yield self
        self.seen.append("closed")

    def advance(self, steps=1, *, note=None):
        self.seen.append(steps)


def test_a_report_without_failures_ends_well():
    assert Report("infer").exit_code == 0


def test_one_bad_item_of_many_makes_the_exit_code_3():
    report = Report("infer", results=({"image": "a"},), failures=(Failure("b", "is broken"),))

    assert report.exit_code == 3


def test_the_larger_exit_code_of_failures_wins():
    leak, bad = Failure("a", "leak", exit_code=4), Failure("b", "is broken")

    assert Report("dataset-check", failures=(leak, bad)).exit_code == 4
    assert Report("dataset-check", failures=(bad, leak)).exit_code == 4
    assert bad.exit_code == 3


def test_tracked_items_come_in_order_and_move_the_bar_after_each():
    progress = Recorder()

    for item in track("ab", "letters", total=2, progress=progress):
        progress.seen.append(item)

    assert progress.seen == [("letters", 2), "a", 1, "b", 1, "closed"]


def test_an_item_that_fails_does_not_move_the_bar():
    progress = Recorder()

    with pytest.raises(ZeroDivisionError):
        for _ in track([0], "divisions", total=1, progress=progress):
            1 / 0  # noqa: B018

    assert 1 not in progress.seen


def test_silent_progress_says_nothing(capfd):
    assert list(track([3, 1], "numbers", total=2, progress=SILENT)) == [3, 1]
    with SILENT.bar("steps", 2) as bar:
        bar.advance(2, note="loss 0.1")

    assert capfd.readouterr() == ("", "")

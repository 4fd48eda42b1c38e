"""Bars on a terminal, now and then a line elsewhere."""

import io

import pytest
from rich.console import Console

from cervseg.progress import RichProgress
from cervseg.reports import track


class Clock:
    """Stands still until it is moved."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def paper():
    """Is no terminal."""
    return Console(file=io.StringIO(), width=40)


@pytest.fixture
def terminal():
    return Console(
        file=io.StringIO(),
        force_terminal=True,
        force_interactive=True,
        width=100,
        color_system=None,
        _environ={},
    )


def lines(console):
    return console.file.getvalue().splitlines()


def test_lines_come_at_the_start_every_ten_seconds_and_at_the_end(paper, clock):
    with RichProgress(paper, clock=clock).bar("tiles of [a]", 100) as bar:
        for _ in range(100):
            clock.now += 0.25
            bar.advance(note="loss 0.3")

    assert lines(paper) == [
        "tiles of [a]: 0/100",
        "tiles of [a]: 40/100, 4.0/s, 15 s left, loss 0.3",
        "tiles of [a]: 80/100, 4.0/s, 5 s left, loss 0.3",
        "tiles of [a]: 100/100, in 25 s, loss 0.3",
    ]


def test_an_inner_bar_writes_only_now_and_then(paper, clock):
    progress = RichProgress(paper, clock=clock)

    with progress.bar("images", 3) as images:
        for _ in range(3):
            with progress.bar("tiles", 4) as tiles:
                for _ in range(4):
                    clock.now += 2
                    tiles.advance()
            images.advance()

    assert lines(paper) == [
        "images: 0/3",
        "tiles: 1/4, 2.0 s each, 6 s left",
        "tiles: 2/4, 2.0 s each, 4 s left",
        "images: 3/3, in 24 s",
    ]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (40, "40.0 s each, 40 s left"),
        (200, "3 min 20 s each, 3 min 20 s left"),
        (4000, "1 h 06 min left"),
    ],
)
def test_slow_steps_are_told_in_seconds_minutes_hours(paper, clock, *, seconds, expected):
    with RichProgress(paper, clock=clock).bar("epochs", 2) as bar:
        clock.now += seconds
        bar.advance()

        assert lines(paper)[-1].endswith(expected)


def test_what_a_resumed_run_had_behind_it_does_not_count_for_the_speed(paper, clock):
    with RichProgress(paper, clock=clock).bar("epochs", 100) as bar:
        bar.advance(40)
        clock.now += 10
        bar.advance()

    assert "epochs: 41/100, 10.0 s each, 9 min 50 s left" in lines(paper)


def test_a_bar_grows_and_what_was_done_before_does_not_count_for_the_speed(paper, clock):
    with RichProgress(paper, clock=clock).bar("bands", 2) as bar:
        clock.now += 100  # the cluster starts
        bar.grow(39, done=20)
        clock.now += 10
        bar.advance()
        clock.now += 10
        bar.grow(9, done=5)
        bar.advance()

    assert "bands: 21/41, 10.0 s each, 3 min 20 s left" in lines(paper)
    assert "bands: 27/50, 10.0 s each, 3 min 50 s left" in lines(paper)


def test_a_bar_on_a_terminal_grows(terminal, clock):
    with RichProgress(terminal, clock=clock).bar("bands", 2) as bar:
        bar.grow(5, done=3)
        bar.advance()

    *_, final = terminal.file.getvalue().split("\x1b[2K")
    assert "4/7" in final


def test_a_bar_that_an_error_ends_does_not_claim_an_end(paper, clock):
    progress = RichProgress(paper, clock=clock)

    with pytest.raises(ValueError, match="bad"), progress.bar("tiles", 3):
        raise ValueError("bad")

    assert lines(paper) == ["tiles: 0/3"]
    with progress.bar("tiles", 1) as bar:  # and the next is outermost again
        bar.advance()
    assert lines(paper)[-1] == "tiles: 1/1, in 0 s"


def test_quiet_writes_nothing(paper):
    with RichProgress(paper, quiet=True).bar("tiles", 3) as bar:
        bar.advance(3, note="x")

    assert lines(paper) == []


def test_on_a_terminal_the_outer_bar_stays_and_the_inner_goes(terminal, clock):
    progress = RichProgress(terminal, clock=clock)

    with progress.bar("images", 2) as images:
        clock.now += 2
        images.advance(note="field [1].png")
        with progress.bar("tiles", 4) as tiles:
            tiles.advance()
            seen = len(terminal.file.getvalue())
        images.advance()

    drawn = terminal.file.getvalue()
    assert "  tiles" in drawn[:seen]
    *_, final = drawn.split("\x1b[2K")
    assert final.startswith("images")
    assert "2/2 in 2 s field [1].png" in final
    assert "tiles" not in final


def test_on_a_terminal_bars_follow_each_other(terminal):
    progress = RichProgress(terminal)

    for name in ("first", "second"):
        with progress.bar(name, 1) as bar:
            bar.advance()

    drawn = terminal.file.getvalue()
    assert 0 < drawn.rindex("first") < drawn.rindex("second")


def test_a_terminal_gets_its_cursor_back_after_an_error(terminal):
    with pytest.raises(KeyboardInterrupt), RichProgress(terminal).bar("tiles", 3):
        raise KeyboardInterrupt

    hide, show = "\x1b[?25l", "\x1b[?25h"
    drawn = terminal.file.getvalue()
    assert 0 <= drawn.rindex(hide) < drawn.rindex(show)


def test_the_terminal_is_cleared_of_a_bar_that_nobody_closed(terminal):
    with pytest.raises(ValueError, match="bad"), RichProgress(terminal) as progress:
        for _ in track(range(3), "tiles", total=3, progress=progress):
            raise ValueError("bad")

    assert terminal.file.getvalue().endswith("\x1b[?25h")

"""Progress bars on a terminal, now and then a line elsewhere."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from cervseg.console import stderr_console
from cervseg.reports import SILENT, Bar

SECONDS_BETWEEN_LINES = 10.0
"""How often bars may write a line where stderr is no terminal."""


@dataclass
class _Pace:
    """Counts steps against the clock."""

    total: int
    clock: Callable[[], float]
    done: int = 0
    before: int = 0

    def __post_init__(self) -> None:
        self.opened = self.started = self.clock()

    def advance(self, steps: int) -> None:
        now = self.clock()
        if self.done == 0 and (steps > 1 or now - self.opened < 0.1):
            # What a resumed run had behind it comes at once and says nothing of the speed.
            self.before, self.started = steps, now
        self.done += steps

    def grow(self, steps: int, done: int) -> None:
        if self.done == self.before:  # nothing of its own yet: the speed begins here
            self.started = self.clock()
        self.total += steps
        self.before += done
        self.done += done

    def __str__(self) -> str:
        now = self.clock()
        if self.done >= self.total:
            return f"in {_duration(now - self.opened)}"
        seconds, steps = now - self.started, self.done - self.before
        if steps < 1 or seconds <= 0:
            return ""
        rate = steps / seconds
        each = f"{1 / rate:.1f} s" if rate > 1 / 60 else _duration(1 / rate)
        speed = f"{rate:.1f}/s" if rate >= 1 else f"{each} each"
        return f"{speed}, {_duration((self.total - self.done) / rate)} left"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


class _PaceColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(str(task.fields["pace"]), style="cyan", no_wrap=True)


@dataclass
class _DrawnBar:
    display: Progress
    task: TaskID
    pace: _Pace

    def advance(self, steps: int = 1, *, note: str | None = None) -> None:
        self.pace.advance(steps)
        if note is not None:
            self.display.update(self.task, note=note)
        self.display.advance(self.task, steps)

    def grow(self, steps: int, *, done: int = 0) -> None:
        self.pace.grow(steps, done)
        self.display.update(self.task, total=self.pace.total, completed=self.pace.done)


@dataclass
class _WrittenBar:
    description: str
    pace: _Pace
    write: Callable[["_WrittenBar", bool], None]
    note: str = ""

    def advance(self, steps: int = 1, *, note: str | None = None) -> None:
        self.pace.advance(steps)
        self.note = self.note if note is None else note
        self.write(self, False)

    def grow(self, steps: int, *, done: int = 0) -> None:
        self.pace.grow(steps, done)

    def __str__(self) -> str:
        count = f"{self.description}: {self.pace.done}/{self.pace.total}"
        return ", ".join(part for part in (count, str(self.pace), self.note) if part)


class RichProgress:
    """Progress on stderr: bars on a terminal, now and then a line elsewhere.

    A bar that is opened while another is open stands below it and goes when it is done. As a
    context it takes away, at its end, what an error left on the terminal.

    Args:
        console: Where to; default: stderr.
        quiet: Nothing at all.
        clock: Seconds, for the speed and the time left.
    """

    def __init__(
        self,
        console: Console | None = None,
        *,
        quiet: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console or stderr_console()
        self._quiet = quiet
        self._clock = clock
        self._depth = 0
        self._display: Progress | None = None
        self._last_line = -math.inf

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        # An error that passes through `track` may leave its bar open: a generator ends late.
        if self._display:
            self._display.stop()

    def bar(self, description: str, total: int) -> AbstractContextManager[Bar]:
        """Open a bar of `total` steps that closes with the block."""
        if self._quiet:
            return SILENT.bar(description, total)
        pace = _Pace(total, self._clock)
        if self._console.is_interactive:
            return self._drawn(description, pace)
        return self._written(_WrittenBar(description, pace, self._write_line))

    @contextmanager
    def _drawn(self, description: str, pace: _Pace) -> Iterator[Bar]:
        display = self._display or _start_display(self._console)
        self._display = display
        indented = "  " * self._depth + description
        task = display.add_task(indented, total=pace.total, pace=pace, note="")
        self._depth += 1
        try:
            yield _DrawnBar(display, task, pace)
        finally:
            self._depth -= 1
            if self._depth:
                display.remove_task(task)
            else:
                display.stop()
                self._display = None

    @contextmanager
    def _written(self, bar: _WrittenBar) -> Iterator[Bar]:
        is_outermost = self._depth == 0
        if is_outermost:
            self._write_line(bar, True)
        self._depth += 1
        try:
            yield bar
        finally:
            self._depth -= 1
        if is_outermost:
            self._write_line(bar, True)

    def _write_line(self, bar: _WrittenBar, at_once: bool) -> None:
        now = self._clock()
        if at_once or now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            self._console.print(Text(str(bar)), soft_wrap=True)


def _start_display(console: Console) -> Progress:
    display = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TextColumn("{task.completed:.0f}/{task.total:.0f}", markup=False),
        _PaceColumn(),
        TextColumn(
            "{task.fields[note]}",
            markup=False,
            # Of all columns this one gives way on a narrow terminal.
            table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"),
        ),
        expand=True,
        console=console,
        redirect_stdout=False,  # stdout is data
    )
    display.start()
    return display

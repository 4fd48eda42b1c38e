"""Ctrl-C and SIGTERM, raised where commands can save their state."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from cervseg.errors import CervsegError
from cervseg.reports import Bar, Progress


class TerminationSignal(KeyboardInterrupt):
    """SIGTERM: the same as Ctrl-C to all who save their state on it."""


class Listener:
    """Raises at Ctrl-C and SIGTERM.

    A signal is raised wherever Python happens to be, also inside of libraries that swallow every
    error (TensorFlow does now and then). So it is raised again at the next step of a progress
    bar, which nobody reaches who is on the way out.
    """

    def __init__(self) -> None:
        self._heard: type[KeyboardInterrupt] | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen in a block; only the main thread can."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        wanted = [signal.SIGTERM]
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not sent by a shell's &
            wanted.append(signal.SIGINT)
        before = {number: signal.signal(number, self._hear) for number in wanted}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGTERM:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: let it save in peace
        self._heard = TerminationSignal if number == signal.SIGTERM else KeyboardInterrupt
        raise self._heard

    def cause_of(self, error: BaseException) -> BaseException:
        """What was heard, where a library made another error of it; else the error itself."""
        if self._heard is None or isinstance(error, CervsegError | KeyboardInterrupt):
            return error
        return self._heard()

    def check(self) -> None:
        """Raise what was heard, in the main thread."""
        if self._heard and threading.current_thread() is threading.main_thread():
            raise self._heard

    def on(self, progress: Progress) -> Progress:
        """The same progress, whose bars check at each step."""
        return _Checked(progress, self)


@dataclass(frozen=True)
class _Checked:
    progress: Progress
    listener: Listener

    @contextmanager
    def bar(self, description: str, total: int) -> Iterator[Bar]:
        with self.progress.bar(description, total) as bar:
            yield _CheckedBar(bar, self.listener)


@dataclass(frozen=True)
class _CheckedBar:
    bar: Bar
    listener: Listener

    def advance(self, steps: int = 1, *, note: str | None = None) -> None:
        self.listener.check()
        self.bar.advance(steps, note=note)

    def grow(self, steps: int, *, done: int = 0) -> None:
        self.bar.grow(steps, done=done)

"""What every command returns: results, notices, failures; and how its progress is told."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, Self, TypeVar

from cervseg.errors import CervsegError

T = TypeVar("T")
JSON = None | bool | int | float | str | Sequence["JSON"] | Mapping[str, "JSON"]


class Failure(NamedTuple):
    """One bad item of many; the rest went on.

    Attributes:
        item: Its name.
        message: What is wrong with it.
        hint: What to try next.
        exit_code: 3, 4 for a leak, 5 for too little memory or disk, 6 for a failed check.
    """

    item: str
    message: str
    hint: str | None = None
    exit_code: int = 3

    @classmethod
    def of(cls, item: str, error: CervsegError) -> Self:
        """Keep an error as the failure of an item, whose name is not told twice."""
        message = str(error).removeprefix(f"{item}: ")
        return cls(item, message, error.hint, max(3, error.exit_code))


@dataclass(frozen=True)
class Table:
    """Rows for the eye, on stderr."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def text(self, widest: int = 50) -> str:
        """The rows in columns two spaces apart, so that `| grep` works."""
        widths = [min(widest, max(map(len, column))) for column in zip(*self.rows, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(n) for cell, n in zip(row, widths, strict=True)).rstrip()
            for row in self.rows
        )


@dataclass(frozen=True)
class Report:
    """What a command did.

    Args:
        command: Its name, `tiled-infer`.
        output: The folder written to.
        results: One record an item, in input order; becomes `results` of `--json`.
        paths: What stdout lists without `--json`.
        failures: Bad items; the largest of their exit codes is that of the command.
        notices: Sentences worth reading, not errors.
        tables: What stderr shows.
        next_command: The command to type now.
    """

    command: str
    output: Path | None = None
    results: tuple[Mapping[str, JSON], ...] = ()
    paths: tuple[Path, ...] = ()
    failures: tuple[Failure, ...] = ()
    notices: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    next_command: str | None = None

    @property
    def exit_code(self) -> int:
        """0, or the largest of the failures'."""
        return max((failure.exit_code for failure in self.failures), default=0)


class Bar(Protocol):
    """A running progress bar."""

    def advance(self, steps: int = 1, *, note: str | None = None) -> None:
        """Move on by `steps`; `note` replaces the text beside the bar."""
        ...

    def grow(self, steps: int, *, done: int = 0) -> None:
        """Find that there are `steps` more to do, and `done` of all done before this run."""
        ...


class Progress(Protocol):
    """Opens progress bars; `console.py` draws them, `SILENT` doesn't."""

    def bar(self, description: str, total: int) -> AbstractContextManager[Bar]:
        """Open a bar of `total` steps that closes with the block."""
        ...


class _SilentBar:
    def advance(self, steps: int = 1, *, note: str | None = None) -> None:
        pass

    def grow(self, steps: int, *, done: int = 0) -> None:
        pass


class _Silent:
    def bar(self, description: str, total: int) -> AbstractContextManager[Bar]:
        return nullcontext(_SilentBar())


SILENT: Progress = _Silent()


def track(
    items: Iterable[T], description: str, *, total: int, progress: Progress = SILENT
) -> Iterator[T]:
    """Yield the items and move a bar by one after each."""
    with progress.bar(description, total) as bar:
        for item in items:
            yield item
            bar.advance()

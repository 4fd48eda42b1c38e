"""stdout for data, stderr for talk; nothing else in the package prints."""

import io
import json
import logging
import math
import os
import re
import sys
import traceback
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TextIO

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text

from cervseg import __version__
from cervseg.errors import CervsegError, tells_full_disk
from cervseg.reports import JSON, Report, Table

_VISIBLE = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), *range(127, 160))}
"""Control characters of file names, shown instead of obeyed; newline and tab stay."""


class _StderrConsole(Console):
    """Goes on unheard when nobody reads stderr any more, or the disk behind it is full."""

    def __exit__(self, *error: object) -> None:
        """Write what was printed."""
        try:
            super().__exit__(*error)
        except OSError as exc:
            if not tells_full_disk(exc):
                raise
            self.on_broken_pipe()

    def on_broken_pipe(self) -> None:
        """Be quiet from now on (`cervseg … |& head`)."""
        self.quiet = True
        _send_to_nowhere(sys.stderr)


@cache
def stderr_console() -> Console:
    """The one console for talk; it looks up `sys.stderr` anew at every print."""
    return _StderrConsole(stderr=True, markup=False, emoji=False, highlight=False)


def _send_to_nowhere(stream: TextIO) -> None:
    """Let the rest of a stream vanish, so that Python's last flush does not fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def write_out(text: str) -> None:
    """Write a text and a newline to stdout.

    A reader that went away (`cervseg … | head`) is no error. File names go out as the bytes
    they are, whatever the terminal's encoding.

    Raises:
        OSError: The disk behind stdout is full, say.
    """
    try:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.flush()
            sys.stdout.buffer.write(os.fsencode(f"{text}\n"))
            sys.stdout.flush()
        else:
            print(text, flush=True)  # noqa: T201 - the one print
    except OSError as exc:
        _send_to_nowhere(sys.stdout)
        if not isinstance(exc, BrokenPipeError):
            raise


def say(label: str, message: str, *, style: str = "bold") -> None:
    """Write `label: message` to stderr, unwrapped, so that paths stay whole."""
    # Text, not markup: a path may hold square brackets.
    text = Text.assemble((f"{label}:", style), " ", message.translate(_VISIBLE))
    stderr_console().print(text, soft_wrap=True)


def report_error(error: CervsegError | str, *, hint: str | None = None) -> None:
    """Write an error and what mends it to stderr."""
    say("error", str(error), style="bold red")
    if isinstance(error, CervsegError):
        hint = hint or error.hint
    if hint:
        say("hint", hint, style="bold cyan")


def show_traceback(error: BaseException) -> None:
    """Write Python's traceback to stderr, with the causes."""
    lines = "".join(traceback.format_exception(error)).rstrip()
    stderr_console().print(Text(lines), soft_wrap=True)


def show_report(
    report: Report, *, as_json: bool = False, quiet: bool = False, told: Collection[str] = ()
) -> None:
    """Show how a command ended: talk on stderr, paths or one JSON document on stdout.

    Args:
        report: What it returned.
        as_json: The document instead of the paths.
        quiet: Of the talk, only what failed.
        told: Notices that were shown while it ran; they are not repeated.
    """
    if not quiet:
        for table in report.tables:
            _show_table(table)
        for notice in report.notices:
            if notice not in told:
                say("notice", notice, style="bold cyan")
    for failure in report.failures:
        say("failed", f"{failure.item}: {failure.message}", style="bold red")
        if failure.hint:
            say("hint", failure.hint, style="bold cyan")
    if as_json:
        write_document(report_document(report, told=told))
    elif report.paths:
        write_out("\n".join(map(str, report.paths)))
    if report.next_command and not quiet:
        say("next", report.next_command, style="bold green")


def _show_table(table: Table) -> None:
    """Numbers to the right; on a terminal it folds, elsewhere it is as wide as it needs."""
    shown = RichTable(box=box.SIMPLE_HEAD)
    for i, name in enumerate(table.columns):
        is_number = all(re.match(r"[-+]?\d|[-–—]?$", row[i]) for row in table.rows)
        shown.add_column(Text(name), justify="right" if is_number else "left", overflow="fold")
    for row in table.rows:
        shown.add_row(*(Text(cell.translate(_VISIBLE)) for cell in row))
    console = stderr_console()
    if not console.is_terminal:
        unbounded = console.options.update(max_width=10_000)
        shown.width = Measurement.get(console, unbounded, shown).maximum
    console.print(Text(table.title, style="bold"), soft_wrap=True)  # its own would be folded
    console.print(shown, crop=False)


def report_document(report: Report, *, told: Collection[str] = ()) -> dict[str, JSON]:
    """The `--json` document of a command that came to its end."""
    return {
        "cervseg": __version__,
        "command": report.command,
        "exit_code": report.exit_code,
        "output": None if report.output is None else str(report.output),
        "results": report.results,
        "failures": [
            {"item": f.item, "message": f.message, "hint": f.hint} for f in report.failures
        ],
        "notices": list(dict.fromkeys((*report.notices, *told))),
        "error": None,
    }


def error_document(
    error: CervsegError, *, command: str | None, exit_code: int, told: Collection[str] = ()
) -> dict[str, JSON]:
    """The `--json` document of a command that did not."""
    return {
        "cervseg": __version__,
        "command": command,
        "exit_code": exit_code,
        "output": None,
        "results": [],
        "failures": [],
        "notices": list(told),
        "error": {"message": str(error), "hint": error.hint},
    }


def write_document(document: Mapping[str, JSON]) -> None:
    """Write JSON to stdout; a number that JSON can't say (NaN) becomes null."""
    write_out(json.dumps(_finite(document), indent=1, allow_nan=False))


def _finite(value: JSON) -> JSON:
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class NoticeHandler(logging.Handler):
    """Tells each notice and warning of the package once, on stderr.

    Attributes:
        told: What was told, in order; with `quiet` also the notices that were kept back.
    """

    def __init__(self, *, quiet: bool = False, debug: bool = False) -> None:
        super().__init__(logging.DEBUG if debug else logging.INFO)
        self.quiet = quiet
        self.told: dict[str, None] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Tell one record."""
        message = record.getMessage()
        if message in self.told:
            return
        if record.levelno < logging.INFO:
            say("debug", message, style="dim")
            return
        self.told[message] = None
        if record.levelno >= logging.WARNING:
            say("warning", message, style="bold yellow")
        elif not self.quiet:
            say("notice", message, style="bold cyan")


@contextmanager
def telling_notices(*, quiet: bool = False, debug: bool = False) -> Iterator[NoticeHandler]:
    """Tell what the package logs while the block runs."""
    logger, handler = logging.getLogger("cervseg"), NoticeHandler(quiet=quiet, debug=debug)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(handler.level)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)

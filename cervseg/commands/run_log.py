"""The log file of a run."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from cervseg.runs import Run

log = logging.getLogger("cervseg")


class LogFile(logging.FileHandler):
    """On a full disk its lines are lost: no reason to stop, and none for a traceback."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Say nothing of it."""
        if not isinstance(sys.exception(), OSError):
            super().handleError(record)

    def close(self) -> None:
        """Close the file, whatever of it is on the disk."""
        with suppress(OSError):  # it tries to write once more
            super().close()


@contextmanager
def logged(run: Run) -> Iterator[None]:
    """Keep what is said during the training in `log.txt`."""
    handler = LogFile(run.log, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        handler.close()

"""The exceptions that people see, and the one table of exit codes."""

import errno
import os
from typing import ClassVar

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
"""What the system says of a full disk, or of a full share of it."""

EXIT_CODES: dict[int, str] = {
    0: "done",
    1: "a bug of ours (traceback)",
    2: "usage or config; a missing extra; an occupied or locked output",
    3: "missing or bad data, a model that does not fit; some items failed, the rest is done",
    4: "a leak refused",
    5: "over a budget, stated or the machine's: out of memory, disk full",
    6: "a check failed",
    7: "another process of the training was lost: finished epochs are saved, as after Ctrl-C",
    130: "Ctrl-C: state saved, the command that resumes printed",
    143: "SIGTERM: state saved, the command that resumes printed",
}


class CervsegError(Exception):
    """A problem the user can fix, told in one line.

    Args:
        message: What is wrong, naming the file, key or value at fault.
        hint: What to try next; printed on a line of its own.
    """

    exit_code: ClassVar[int]  # every kind sets its own; 1 is left to bugs

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(CervsegError):
    """The YAML, a key of it or a flag is wrong."""

    exit_code = 2


class OutputError(CervsegError):
    """The output is occupied, locked by another process or can't be written."""

    exit_code = 2


class DataError(CervsegError):
    """An image, a mask or a folder is missing or broken."""

    exit_code = 3


class ModelError(CervsegError):
    """A model is missing, broken, or does not fit the images."""

    exit_code = 3


class LeakError(CervsegError):
    """What is scored was also trained on."""

    exit_code = 4


class BudgetError(CervsegError):
    """Memory or disk does not suffice."""

    exit_code = 5


class FullDiskError(BudgetError):
    """The disk is full, or one's share of it; what was finished stays valid."""


class CheckError(CervsegError):
    """A check failed: the exported model or the tiles answer otherwise than they should."""

    exit_code = 6


class Interrupted(CervsegError):
    """Ctrl-C stopped the work; what was finished is saved."""

    exit_code = 130


class LostProcess(Interrupted):  # noqa: N818 - like its base: nobody made an error
    """Another process of the same training ended; finished epochs are saved."""

    exit_code = 7


class Terminated(Interrupted):
    """SIGTERM stopped the work, as a cluster's scheduler sends it; what was finished is saved."""

    exit_code = 143


def tells_full_disk(error: BaseException | str) -> bool:
    """Whether an error means a full disk, by its number or, as TensorFlow has none, its words."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in NO_ROOM
    return any(os.strerror(number) in str(error) for number in NO_ROOM)

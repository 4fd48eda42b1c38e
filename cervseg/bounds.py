"""Where files of strangers end: names and links that lead elsewhere, and what is no file."""

import os
import stat
from pathlib import Path

from cervseg.errors import DataError

LARGEST = 512 * 2**20
"""Bytes of a table or a JSON file; parsed they take some ten times as much memory."""


LONGEST = 500
"""Characters of a line that quotes a file."""


def refuse_special(path: Path, *, what: str | None = None) -> None:
    """Check that reading a path comes to an end; what can't be looked at, its opening will tell.

    Args:
        path: To be opened.
        what: What it should be, if it is also refused for being over 512 MB: `manifest`.

    Raises:
        DataError: It is a pipe or a device, or too large.
    """
    try:
        found = path.stat()
    except OSError:
        return
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        raise DataError(f"{path}: a pipe or a device, not a file")
    if what is not None and found.st_size > LARGEST:
        raise DataError(f"{path}: over {LARGEST // 2**20} MB, too large for a {what}")


def refuse_ways_out(folder: Path) -> None:
    """Check that all that seems to lie in a folder does, so that nothing else is read or written.

    Raises:
        DataError: A link in it leads out of it, or something in it is no file.
    """
    root = folder.resolve()
    left = [root]
    while left:
        try:
            with os.scandir(left.pop()) as entries:
                for entry in entries:
                    if entry.is_symlink():
                        refuse_way_out(folder / Path(entry.path).relative_to(root), root)
                    elif entry.is_dir():
                        left.append(Path(entry.path))
                    elif not entry.is_file():
                        refuse_special(folder / Path(entry.path).relative_to(root))
        except OSError:  # whoever reads it says why
            continue


def refuse_way_out(path: Path, folder: Path) -> None:
    """Check that a path that begins with a folder does not leave it by a link.

    Raises:
        DataError: It does.
    """
    try:
        end = path.resolve()
        inside = end.is_relative_to(folder.resolve()) and not end.is_symlink()
    except (OSError, RuntimeError):
        inside = False  # it leads to itself; from Python 3.13 on it is its own end
    if not inside:
        raise DataError(
            f"{path}: a link that leads out of its folder",
            hint="put there what it leads to, if you trust it",
        )


def is_plain_name(name: str) -> bool:
    """Whether a name from a table can stand in the name of a file without leading elsewhere."""
    return name not in ("", ".", "..") and not {"/", "\0"} & {*name}


def stays_below(name: str) -> bool:
    """The same for a relative path: `slide/a`."""
    return all(map(is_plain_name, name.split("/")))


def printable(text: str) -> str:
    """A text with its control characters shown instead of obeyed."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def shortened(text: str) -> str:
    """A text of at most 500 characters."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def one_line(reason: object) -> str:
    """What a library says is wrong, as part of our line: files get their words into its errors."""
    return shortened(printable(" ".join(str(reason).split())))

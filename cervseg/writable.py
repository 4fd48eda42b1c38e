"""Whether an output can be written, asked before the work rather than after it."""

import tempfile
from pathlib import Path

from cervseg.files import output_error


def refuse_unwritable(output: Path, *, beside: bool = False) -> None:
    """Check that an output can be written: a file without a name is made in the nearest folder.

    Args:
        output: A file or folder, there already or not.
        beside: Whether it is written beside its place first and renamed.

    Raises:
        OutputError: The folder can't be written.
    """
    place = output.resolve() if beside else output.absolute()  # `.` gets a name
    try:
        within = place.is_dir() and not beside
        folders = [place, *place.parents] if within else place.parents
        with tempfile.TemporaryFile(dir=next(folder for folder in folders if folder.exists())):
            pass
    except OSError as exc:
        raise output_error(exc, output) from exc

"""Writing that never leaves half a file, folders that are claimed before they are filled."""

import csv
import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Literal, TextIO

from cervseg.bounds import one_line, refuse_special, refuse_ways_out
from cervseg.errors import DataError, FullDiskError, OutputError, tells_full_disk
from cervseg.machine import is_disk_full
from cervseg.reports import JSON

FORMAT = 1
"""Of every file that another command reads."""


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` and rename it when the block ends well.

    The temporary name is `NAME.partial` with the suffix kept last (`mask.partial.png`), since
    encoders choose their format by it. On an error it is removed and `path` is untouched.

    Raises:
        FullDiskError: The disk is full.
        OutputError: The folder can't be written.
    """
    suffix = ".weights.h5" if path.name.endswith(".weights.h5") else path.suffix
    partial = path.with_name(f"{path.name.removesuffix(suffix)}.partial{suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)
    except OSError as exc:
        raise output_error(exc, path) from exc
    finally:
        with suppress(OSError):  # mostly it is renamed by now, or its folder never was there
            partial.unlink()


def full_disk(path: Path) -> FullDiskError:
    """Tell what could not be written."""
    return FullDiskError(f"{path}: the disk is full", hint="make room or choose another output")


def output_error(exc: OSError, path: Path) -> OutputError | FullDiskError:
    """Tell a failed write in one line; without a number, as numpy and Pillow do, ask the disk."""
    if tells_full_disk(exc) or (exc.errno is None and is_disk_full(path.parent)):
        return full_disk(path)
    reason = (exc.strerror or str(exc)).lower()
    return OutputError(f"{path}: can't be written: {reason}", hint="choose another output folder")


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text as a whole or not at all."""
    with writing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes as a whole or not at all."""
    with writing(path) as partial:
        partial.write_bytes(content)


def write_json(path: Path, document: Mapping[str, JSON]) -> None:
    """Write a document with the format number in front."""
    write_text(path, json.dumps({"format": FORMAT, **document}, indent=1) + "\n")


def read_json(path: Path, *, what: str) -> dict[str, JSON]:
    """Read a document of our format.

    Args:
        path: The file.
        what: What it should be, for the error: `dataset`, `contract`.

    Raises:
        DataError: The file is missing, over 512 MB, no JSON object, or of another format.
    """
    refuse_special(path, what=what)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise DataError(f"{path}: no such {what}") from exc
    except (OSError, ValueError, RecursionError) as exc:
        raise DataError(f"{path}: not a readable {what}: {one_line(exc)}") from exc
    if not isinstance(document, dict) or "format" not in document:
        raise DataError(f"{path}: not a {what} of cervseg")
    if document["format"] != FORMAT:
        writer = document.get("versions", {})
        version = writer.get("cervseg", "unknown") if isinstance(writer, dict) else "unknown"
        found, by = one_line(repr(document["format"])), one_line(version)
        raise DataError(
            f"{path}: format {found}, written by cervseg {by}; this version reads format {FORMAT}"
        )
    return document


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table with a header line."""
    with writing(path) as partial, _open_text(partial, "w") as file:
        writer = csv.writer(file, lineterminator="\n")
        quoting = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writerow(columns)
        for row in rows:  # a carriage return would end a line if it were not quoted
            (quoting if "\r" in "".join(map(str, row)) else writer).writerow(row)


def read_csv(path: Path, columns: Sequence[str], *, what: str) -> list[dict[str, str]]:
    """Read a table written by `write_csv`.

    Raises:
        DataError: The file is missing, over 512 MB, broken, or lacks a column.
    """
    refuse_special(path, what=what)
    try:
        with _open_text(path, "r") as file:
            reader = csv.DictReader(file, strict=True)
            rows = list(reader)
            found = reader.fieldnames or ()
    except FileNotFoundError as exc:
        raise DataError(f"{path}: no such {what}") from exc
    except (OSError, ValueError, csv.Error) as exc:
        raise DataError(f"{path}: not a readable {what}: {one_line(exc)}") from exc
    missing = [name for name in columns if name not in found]
    if missing:
        raise DataError(f"{path}: column {missing[0]!r} is missing")
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise DataError(f"{path}:{number}: {len(columns)} columns expected")
    return rows


def _open_text(path: Path, mode: Literal["r", "w"]) -> TextIO:
    """File names are bytes to the system: those that are no UTF-8 pass through."""
    return path.open(mode, newline="", encoding="utf-8", errors="surrogateescape")


def is_config(path: Path) -> bool:
    """Whether a path is called like a config rather than like a folder, a model or an image."""
    return path.suffix.lower() in (".yaml", ".yml")


def is_occupied(folder: Path) -> bool:
    """Whether there is something in the way: a file, or a folder with more than our lock in it."""
    if not folder.is_dir():
        return folder.exists()
    return any(not child.name.startswith(LOCK) for child in folder.iterdir())


def refuse_occupied(folder: Path, *, overwrite: bool, needed: Iterable[Path | None] = ()) -> None:
    """Check that an output folder may be written, and moved aside if it is occupied.

    Raises:
        OutputError: It is occupied, and `overwrite` is not set or something needed lies in it.
    """
    if not is_occupied(folder):
        return
    problem, place = f"{folder}: the output folder is not empty", folder.resolve()
    for path in (Path.cwd(), *needed):
        places = [path.resolve(), path.parent.resolve() / path.name] if path else []
        if any(here.is_relative_to(place) for here in places):
            what = "the folder you are in" if path == Path.cwd() else f"{path}, which is needed"
            raise OutputError(f"{problem}, and holds {what}", hint="choose another output folder")
    if not overwrite:
        hint = "add --overwrite (the old one is kept as a _bak) or choose another folder"
        raise OutputError(problem, hint=hint)


LOCK = ".lock"


@contextmanager
def claim(
    folder: Path,
    *,
    overwrite: bool = False,
    resume: bool = False,
    needed: Iterable[Path | None] = (),
) -> Iterator[Path]:
    """Hold an output folder for one process; refuse one that is occupied.

    Args:
        folder: Made if missing.
        overwrite: Move an occupied folder to `NAME_<time>_bak` first.
        resume: Go on in an occupied folder.
        needed: What is read, so must stay where it is.

    Raises:
        DataError: A link leads out of a folder to be resumed.
        OutputError: Occupied without `overwrite` or `resume`, held by another process,
            or not writable.
    """
    if resume:
        refuse_ways_out(folder)
    else:
        refuse_occupied(folder, overwrite=overwrite, needed=needed)
        if folder.is_symlink():  # which would lead nowhere once the folder is aside
            folder = folder.resolve()
        if is_occupied(folder):
            with _locked(folder):  # nobody may be writing to it
                backup = set_aside(folder)
            if backup.is_dir():
                (backup / LOCK).unlink(missing_ok=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise output_error(exc, folder) from exc
    with _locked(folder):
        if not resume and is_occupied(folder):  # by one who was faster
            refuse_occupied(folder, overwrite=False)
        yield folder


@contextmanager
def claim_share(folder: Path, share: str) -> Iterator[Path]:
    """Hold one of several shares of an output folder for one process.

    Args:
        folder: Made if missing.
        share: Its name, part of the lock's.

    Raises:
        DataError: A link leads out of the folder.
        OutputError: Another process holds this share, or the folder is not writable.
    """
    refuse_ways_out(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise output_error(exc, folder) from exc
    with _locked(folder, f"{LOCK}_{share}"):
        yield folder


@contextmanager
def _locked(folder: Path, name: str = LOCK) -> Iterator[None]:
    if not folder.is_dir():
        yield
        return
    try:
        file = (folder / name).open("a")
    except OSError as exc:
        raise output_error(exc, folder) from exc
    with file:
        try:
            # The kernel drops the lock with the process, so a killed run leaves no stale one.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = _is_at(folder / name, file)  # not removed by its last holder meanwhile
        except OSError:
            held = False
        if not held:
            raise OutputError(
                f"{folder}: another cervseg is writing here",
                hint="wait for it or choose another output folder",
            )
        try:
            yield
        finally:
            if _is_at(folder / name, file):  # else the folder was renamed under us
                (folder / name).unlink(missing_ok=True)


def _is_at(path: Path, file: TextIO) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def clear(folder: Path) -> None:
    """Remove what a killed process left in a folder that we have claimed."""
    for child in folder.iterdir():
        if child.is_dir():
            shutil.rmtree(child)
        elif child.name != LOCK:
            child.unlink()


def set_aside(folder: Path) -> Path:
    """Rename an old output to `NAME_<time>_bak` and return the new path."""
    folder = folder.resolve()  # follows a link, and gives `.` a name
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    backup = folder.with_name(f"{folder.name}_{stamp}_bak")
    number = 1
    while backup.exists():
        number += 1
        backup = folder.with_name(f"{folder.name}_{stamp}-{number}_bak")
    try:
        folder.rename(backup)
    except OSError as exc:
        raise output_error(exc, folder) from exc
    return backup

"""Decoded fields at the model's scale, kept on disk and mapped into memory."""

import fcntl
import hashlib
import logging
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cervseg.arrays import RGB, Mask
from cervseg.digests import text_digest
from cervseg.errors import BudgetError, OutputError
from cervseg.files import output_error, writing

log = logging.getLogger("cervseg")

LAYOUT = 1
"""Goes into each key: entries of another layout are never found."""

DIGEST = 32
"""Bytes at the end of an entry: SHA-256 of what stands before."""

_ENTRY = re.compile(r"[0-9a-f]{64}(\.partial)?\.field")


class Entry(NamedTuple):
    """A field as the cache knows it.

    Args:
        name: Of its file: a digest of all that its pixels depend on.
        height: At the model's scale, pixels.
        width: Likewise.
    """

    name: str
    height: int
    width: int

    @property
    def size(self) -> int:
        """Bytes on disk: three of the image and one of the mask a pixel, and the digest."""
        return 4 * self.height * self.width + DIGEST


def make_entry(sources: Sequence[str], height: int, width: int) -> Entry:
    """Name a field by digests of all it is made from, and its size at the model's scale."""
    return Entry(text_digest(repr((LAYOUT, *sources, height, width))), height, width)


class FieldCache:
    """Fields of one run in a folder that several runs share.

    An entry is one file: the image's bytes, the mask's, and a digest of both. It is written as a
    whole or not at all, and mapped for reading, so that all processes share one copy in memory.
    Where a new entry needs room, those longest unused go, but none of this run.

    Args:
        folder: Of entries and nothing else.
        limit: Bytes that all entries may take; 0: the folder is left alone.
        wanted: What this run reads, in order; what does not fit under the limit is not kept.
    """

    def __init__(self, folder: Path, limit: int, wanted: Sequence[Entry]) -> None:
        self.folder = folder
        self.limit = limit
        self.kept: set[Entry] = set()
        room = limit
        for entry in dict.fromkeys(wanted):
            if entry.size <= room:
                self.kept.add(entry)
                room -= entry.size
        self._broken = False

    def load(self, entry: Entry, *, check: bool = False) -> tuple[RGB, Mask] | None:
        """Map an entry.

        Args:
            entry: Which.
            check: Compare its digest, and note that it is in use.

        Returns:
            Pixels (height, width, 3) and classes (height, width), both read-only; None where it
            is not there or broken.
        """
        if entry not in self.kept:
            return None
        path = self._path(entry)
        try:
            content = np.asarray(np.memmap(path, np.uint8, mode="r"))
            if content.size != entry.size or (check and not _is_whole(content)):
                return None
            if check:
                os.utime(path)
        except (OSError, ValueError):  # not there, or empty
            return None
        pixels = entry.height * entry.width
        image = content[: 3 * pixels].reshape(entry.height, entry.width, 3)
        return image, content[3 * pixels : 4 * pixels].reshape(entry.height, entry.width)

    def store(self, entry: Entry, image: RGB, mask: Mask) -> None:
        """Write an entry, where it is to be kept; a folder that fails is told once and left."""
        if entry not in self.kept or self._broken:
            return
        path = self._path(entry)
        try:
            with _alone(self.folder):
                self._make_room(entry.size)
                with writing(path) as partial, partial.open("wb") as file:
                    digest = hashlib.sha256()
                    for part in (image, mask):
                        block = np.ascontiguousarray(part).data
                        digest.update(block)
                        file.write(block)
                    file.write(digest.digest())
        except (OSError, OutputError, BudgetError) as exc:
            self._broken = True
            told = output_error(exc, self.folder) if isinstance(exc, OSError) else exc
            log.warning("no more fields are cached: %s", told)

    def _path(self, entry: Entry) -> Path:
        return self.folder / f"{entry.name}.field"

    def _make_room(self, size: int) -> None:
        """Remove the entries longest unused until one more fits; only while we are alone."""
        ours = {self._path(entry) for entry in self.kept}
        found = []
        for path in self.folder.iterdir():
            if not _ENTRY.fullmatch(path.name):
                continue
            with suppress(FileNotFoundError):
                status = path.stat()
                found.append((status.st_mtime_ns, status.st_size, path))
        total = sum(length for _, length, _ in found)
        for _, length, path in sorted(found):
            is_leftover = path.name.endswith(".partial.field")  # its writer was killed
            if is_leftover or (total + size > self.limit and path not in ours):
                path.unlink(missing_ok=True)
                total -= length


def _is_whole(content: RGB) -> bool:
    return hashlib.sha256(content[:-DIGEST].data).digest() == content[-DIGEST:].tobytes()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other thread or process writes into the folder."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

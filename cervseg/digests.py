"""By what pixels, texts and files are known again."""

import hashlib
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cervseg.errors import DataError

SAMPLE = 1 << 22
"""Bytes at each end of a file that `sample_digest` looks at."""


def pixel_digest(pixels: NDArray[np.uint8]) -> str:
    """SHA-256 of decoded pixels and their shape, so that a re-encoded copy is still the same.

    Empty for a picture of one colour: blank ground is alike everywhere and identifies nothing.
    """
    if (pixels == pixels[:1, :1]).all():
        return ""
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def text_digest(text: str) -> str:
    """SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def content_digest(path: Path) -> str:
    """BLAKE2b of a file's bytes, or of the names and bytes of all files below a folder.

    Raises:
        DataError: It can't be read.
    """
    digest = hashlib.blake2b(digest_size=32)
    try:
        for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
            digest.update(os.fsencode(file.relative_to(path)) + b"\0")
            with file.open("rb") as stream:
                while block := stream.read(1 << 22):
                    digest.update(block)
    except OSError as exc:
        raise DataError(f"{path}: can't be read: {(exc.strerror or str(exc)).lower()}") from exc
    return digest.hexdigest()


def sample_digest(path: Path) -> str:
    """BLAKE2b by which a file is told from another of its name, without reading all of a slide.

    Of its size and its bytes, of a large one the first and the last 4 MB; of a folder the names
    and sizes of all files below.

    Raises:
        DataError: It can't be read.
    """
    digest = hashlib.blake2b(digest_size=32)
    try:
        for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
            size = file.stat().st_size
            digest.update(os.fsencode(file.relative_to(path)) + b"\0" + str(size).encode() + b"\0")
            if file != path:
                continue
            with file.open("rb") as stream:
                digest.update(stream.read(SAMPLE))
                stream.seek(max(SAMPLE, size - SAMPLE))
                digest.update(stream.read(SAMPLE))
    except OSError as exc:
        raise DataError(f"{path}: can't be read: {(exc.strerror or str(exc)).lower()}") from exc
    return digest.hexdigest()

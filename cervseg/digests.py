"""By what pixels, texts and files are known again."""

import hashlib
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cervseg.errors import DataError


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

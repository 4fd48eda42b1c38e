"""The files of a Zarr, refused where reading or unpacking one would not end or fill the memory."""

import bz2
import lzma
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cervseg.bounds import refuse_special
from cervseg.errors import DataError
from cervseg.images.segments import MAX_SEGMENT

if TYPE_CHECKING:
    from zarr.storage import LocalStore

LARGEST = 6 * MAX_SEGMENT
"""Bytes that a chunk unpacks to: three channels of 16 bits."""

_DEFLATE = 1032
"""Times that zlib makes its input larger at most."""

_BLOSC, _ZSTD = (b"\x01", b"\x02"), b"\x28\xb5\x2f\xfd"


class _Decompressor(Protocol):
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def open_store(folder: Path) -> "LocalStore":
    """The files of a Zarr, each looked at before it is read and before it is unpacked."""
    from zarr.storage import LocalStore

    class Files(LocalStore):
        """Raises DataError for what would not end."""

        async def get(self, key: str, *how: Any, **more: Any) -> Any:  # noqa: ANN401 (zarr's)
            refuse_special(self.root / key)
            found = await super().get(key, *how, **more)
            if found is not None and unpacks_to_more(found.to_bytes(), LARGEST):
                name = Path(key)
                raise DataError(f"{folder}: damaged, as {name} unpacks to over {LARGEST >> 20} MB")
            return found

    return Files(folder, read_only=True)


def unpacks_to_more(data: bytes, most: int) -> bool:
    """Whether compressed bytes say, or show when they are unpacked so far, that they are a bomb."""
    if data.startswith(_ZSTD):
        return (_zstd_size(data) or 0) > most
    if data[:1] in _BLOSC and len(data) >= 16:
        claimed, packed = (int.from_bytes(data[i : i + 4], "little") for i in (4, 12))
        return packed == len(data) and claimed > most
    trial: _Decompressor
    if data.startswith((b"\x1f\x8b", b"\x78")) and len(data) * _DEFLATE > most:
        trial = zlib.decompressobj(32 + zlib.MAX_WBITS)
    elif data.startswith(b"BZh"):
        trial = bz2.BZ2Decompressor()
    elif data.startswith(b"\xfd7zXZ"):
        trial = lzma.LZMADecompressor()
    else:
        return False
    try:
        return len(trial.decompress(data, most + 1)) > most
    except (zlib.error, OSError, lzma.LZMAError, EOFError):  # whoever unpacks it says so
        return False


def _zstd_size(data: bytes) -> int | None:
    """What a frame of Zstandard says that it holds; RFC 8878, section 3.1.1.1."""
    descriptor = data[4] if len(data) > 4 else 0
    is_single, flag = bool(descriptor & 32), descriptor >> 6
    length = (1 if is_single else 0, 2, 4, 8)[flag]
    place = 5 + (not is_single) + (0, 1, 2, 4)[descriptor & 3]
    if not length or len(data) < place + length:
        return None
    return int.from_bytes(data[place : place + length], "little") + (256 if flag == 1 else 0)

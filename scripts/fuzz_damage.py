"""Ways to spoil a file: bytes, lines, JSON, tags of TIFF, HDF5, archives of arrays, whole files."""

import copy
import io
import json
import os
import pickle
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tifffile

Rng = np.random.Generator

EXTREMES = (0, 1, 2, 3, 7, 8, 255, 65535, 2**31 - 1, 2**32 - 1)

VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 3, 2.5, 1e308, -1e308, 1e-308, 2**31, 2**63, 10**300, float("nan"),
    float("inf"), "", "cell", "1", "\ud800", "é" * 5, "a\nb", "o" * 5000, "../../../x", "/dev/zero",
    "\x1b[2J", "<script>", "#00ff00", [], {}, [[]], [[[[[]]]]], [0], [[0, 0]] * 3, [1e999],
    [[1, 2], [3]], {"type": "Polygon"}, [{}], ["a"] * 3000,
)  # fmt: skip
"""Of a JSON document."""

WORDS = (
    "", ",", "nan", "inf", "-inf", "1e9", "-5", "1e308", "x", "\0", "1_0", "9" * 400, "9" * 5000,
    "٣", "null", "true", "~", "[", "]", "{", "}", "*a", "&a",
    "!!python/object/apply:os.system [ls]",
    "!!binary aGk=", "<<: *a", "? ", "- ", "|", ">", "%YAML 1.1", "---", "\t", '"', "'", "(1, 2)",
    "__import__('os')", "[" * 300, "../../../x", "/dev/zero", "\x1b[2J", "\ud800", "a\rb", "é", "=",
    "[train]", "0x10", "0b1", "1.5", "0", "1e-400",
)  # fmt: skip
"""In a line of text."""


def spoil(data: bytes, suffix: str, rng: Rng) -> bytes:
    """Change the content of a file by what its suffix says it is."""
    known: dict[str, Callable[[bytes, Rng], bytes]] = {
        ".json": spoil_json, ".geojson": spoil_json, ".zgroup": spoil_json, ".zarray": spoil_json,
        ".zattrs": spoil_json, ".png": spoil_png, ".csv": spoil_lines, ".yaml": spoil_lines,
        ".config": spoil_lines, ".dat": spoil_lines, ".txt": spoil_lines, ".tif": spoil_tag,
        ".btf": spoil_tag, ".svs": spoil_tag, ".npz": spoil_archive, ".h5": spoil_hdf5,
    }  # fmt: skip
    way = known.get(suffix, spoil_bytes)
    return (way if rng.random() < 0.65 else spoil_bytes)(data, rng)


def spoil_bytes(data: bytes, rng: Rng) -> bytes:
    """Flip some bytes, set some to 0, repeat a part, or cut the file short."""
    values = np.frombuffer(data, np.uint8).copy()
    way = str(rng.choice(("flip", "zero", "repeat", "cut"), p=(0.5, 0.2, 0.1, 0.2)))
    if way == "cut" or not len(values):
        return data[: int(len(data) * rng.random())]
    # Half of the changes are near the ends, where the tables are.
    end = len(values) if rng.random() < 0.5 else min(len(values), 1000)
    places = rng.integers(0, end, 2 ** rng.integers(0, 8))
    places = len(values) - 1 - places if rng.random() < 0.5 else places
    if way == "repeat":
        first, last = sorted(int(n) for n in rng.integers(0, len(values) + 1, 2))
        return data[:last] + data[first:last] * int(rng.integers(1, 9)) + data[last:]
    if way == "zero":
        values[places[0] : places[0] + len(places)] = 0
    else:
        values[places] ^= rng.integers(1, 256, len(places), np.uint8)
    return values.tobytes()


def spoil_lines(data: bytes, rng: Rng) -> bytes:
    """Delete, repeat, move, indent or cut lines, and put other words into them."""
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    for _ in range(rng.integers(1, 4)):
        at, other = (int(n) for n in rng.integers(0, len(lines), 2))
        word = WORDS[rng.integers(len(WORDS))]
        cut = int(rng.integers(0, len(lines[at]) + 1))
        way = int(rng.integers(8))
        if way == 0 and len(lines) > 1:
            del lines[at]
        elif way == 1:
            lines[at:at] = [lines[other]] * int(rng.choice((1, 1, 2, 300)))
        elif way == 2:
            lines[at] = " " * int(rng.integers(1, 9)) + lines[at]
        elif way == 3:
            lines[at], lines[other] = lines[other], lines[at]
        elif way == 4:
            lines.insert(at, word)
        elif way == 5:
            lines[at] = lines[at][:cut] + word + lines[at][cut:]
        else:
            parts = _split(lines[at])
            parts[rng.integers(len(parts))] = word
            lines[at] = "".join(parts)
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _split(line: str) -> list[str]:
    """Words, and what stands between them."""
    parts, word = [""], None
    for character in line:
        is_word = character.isalnum() or character in "._-"
        if is_word is not word:
            parts.append("")
        parts[-1] += character
        word = is_word
    return parts


def spoil_json(data: bytes, rng: Rng) -> bytes:
    """Delete, repeat, exchange, rename or replace values of a document."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return spoil_bytes(data, rng)
    for _ in range(rng.integers(1, 4)):
        places = list(_nodes(document)) if isinstance(document, dict | list) else []
        if not places:
            break
        holder, key = places[rng.integers(len(places))]
        way = rng.integers(6)
        if way == 0:
            del holder[key]
        elif way == 1 and isinstance(holder, list):
            holder.extend(holder[key:] * int(rng.integers(1, 12)))
        elif way == 2:
            other, place = places[rng.integers(len(places))]
            holder[key] = json.loads(json.dumps(other[place]))
        elif way == 3 and isinstance(holder, dict):
            holder[str(VALUES[rng.integers(len(VALUES))])] = holder.pop(key)
        else:
            holder[key] = copy.deepcopy(VALUES[rng.integers(len(VALUES))])
    return json.dumps(document).encode()


def _nodes(value: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401 (JSON)
    """Every place in a document: its holder and key."""
    for key in value if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _nodes(value[key])


def spoil_png(data: bytes, rng: Rng) -> bytes:
    """Give a PNG another header, with the checksum that belongs to it."""
    header = bytearray(data[12:29])
    for _ in range(rng.integers(1, 3)):
        header[rng.integers(4, len(header))] = int(rng.choice((0, 1, 3, 8, 16, 255, 127)))
    return data[:12] + bytes(header) + zlib.crc32(header).to_bytes(4, "big") + data[33:]


def spoil_tag(data: bytes, rng: Rng) -> bytes:
    """Give a tag of a TIFF another type, count or value, or change where data are said to lie."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        pages = [q for page in file.pages for q in (page, *(page.pages or ()))]
        wanted = {273, 279, 324, 325, 330} if rng.random() < 0.4 else {*range(65536)}
        tags = [t for page in pages for t in page.tags if t.code in wanted]
        order, wide = ("little" if file.byteorder == "<" else "big"), file.is_bigtiff
        tag = tags[rng.integers(len(tags))]
        size = tag.valuebytecount
    value = int(rng.choice(EXTREMES)) if rng.random() < 0.7 else int(rng.integers(2**32))
    word = value.to_bytes(8 if wide else 4, order)  # type: ignore[arg-type]
    place = {0: tag.offset + 2, 1: tag.offset + 4, 2: tag.valueoffset}[int(rng.integers(3))]
    if place == tag.offset + 2:
        word = int(rng.integers(1, 19)).to_bytes(2, order)  # type: ignore[arg-type]
    elif place == tag.valueoffset:
        place += 4 * int(rng.integers(max(1, size // 4)))
    return data[:place] + word + data[place + len(word) :]


UNPICKLED = "unpickled-by-cervseg"
"""A folder that is there once a pickle of ours was opened."""


class Evil:
    """Makes that folder, if anybody unpickles it."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (UNPICKLED,)


def spoil_archive(data: bytes, rng: Rng) -> bytes:
    """Put pickles, claims to be huge, bombs and other names into an archive of arrays."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        entries = {name: file.read(name) for name in file.namelist()}
    name = str(rng.choice(sorted(entries)))
    way, method = int(rng.integers(7)), zipfile.ZIP_STORED
    if way == 0:
        buffer = io.BytesIO()
        np.save(buffer, np.array([Evil()], dtype=object), allow_pickle=True)
        entries[name] = buffer.getvalue()
    elif way == 1:
        entries[name] = pickle.dumps(Evil())
    elif way == 2:
        entries[name] = _header(tuple(int(n) for n in rng.choice((1, 10**4, 10**6, 2**40), 2)))
    elif way == 3:  # 3 GB of zeros in 3 MB
        method = zipfile.ZIP_DEFLATED
        entries[name] = _header((750, 10**6)) + bytes(3 * 10**9 if rng.random() < 0.2 else 10**8)
    elif way == 4:
        entries[f"../../{name}"] = entries.pop(name)
    elif way == 5:
        del entries[name]
    else:
        entries[name] = spoil_bytes(entries[name], rng)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for key, content in entries.items():
            file.writestr(key, content)
    return buffer.getvalue()


def _header(shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    about = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, about)
    return buffer.getvalue()


def spoil_hdf5(data: bytes, rng: Rng) -> bytes:
    """Replace an array by one that claims to be huge, a link, text or a group; spoil attributes."""
    buffer = io.BytesIO(data)
    with h5py.File(buffer, "r+") as file:
        names: list[str] = []
        file.visit(names.append)
        name = names[rng.integers(len(names))]
        way, found = int(rng.integers(9)), file[name]
        group = found if isinstance(found, h5py.Group) else file
        if way == 0 and len(group.attrs):
            key = str(rng.choice(sorted(group.attrs)))
            huge = way == 0 and rng.random() < 0.3
            group.attrs[key] = np.zeros(3000) if huge else rng.choice([b"x", b"../..", b"a/b/c"], 3)
            return _closed(file, buffer)
        shape = found.shape if isinstance(found, h5py.Dataset) else (3,)
        del file[name]
        if way == 1:
            huge_shape = tuple(max(n, 2**15) for n in shape)
            file.create_dataset(name, huge_shape, "f4", chunks=tuple(min(n, 8) for n in huge_shape))
        elif way == 2:
            file.create_dataset(name, shape, "f4", chunks=True if shape else None)
        elif way == 3:
            file[name] = h5py.SoftLink("/")
        elif way == 4:
            file[name] = h5py.ExternalLink("/etc/hostname", "/")
        elif way == 5:
            file.create_dataset(name, data="text")
        elif way == 6:
            file.create_group(name)[name] = h5py.SoftLink("/")
        elif way == 7:
            file.create_dataset(name, shape, "f4", external=[("/dev/zero", 0, h5py.h5f.UNLIMITED)])
        return _closed(file, buffer)


def _closed(file: h5py.File, buffer: io.BytesIO) -> bytes:
    file.close()
    return buffer.getvalue()


def spoil_file(path: Path, rng: Rng) -> str:
    """Let a file be gone, empty, a folder, a pipe that nobody writes to, or a link to itself."""
    way = str(rng.choice(("gone", "empty", "folder", "pipe", "link")))
    if path.suffix in (".yaml", ".config"):
        way = "empty" if way == "pipe" else way  # a config may well come through a pipe
    path.unlink()
    if way == "empty":
        path.touch()
    elif way == "folder":
        path.mkdir()
    elif way == "pipe":
        os.mkfifo(path)
    elif way == "link":
        path.symlink_to(path.name)
    return way


def damage(folder: Path, rng: Rng) -> str:
    """Spoil one file of a folder, and say which and how."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    told = [
        path for path in files if path.suffix in (".json", ".csv") or path.name.startswith(".z")
    ]
    files = told if told and rng.random() < 0.6 else files  # rather than one of many chunks
    path = files[rng.integers(len(files))]
    name = path.relative_to(folder)
    if rng.random() < 0.06:
        return f"{name} {spoil_file(path, rng)}"
    if rng.random() < 0.04 and len(files) > 1:
        other = files[rng.integers(len(files))]
        if other != path:
            shutil.copyfile(other, path)
        return f"{name} is {other.relative_to(folder)}"
    suffix = path.name if path.name.startswith(".z") else path.suffix
    path.write_bytes(spoil(path.read_bytes(), suffix, rng))
    return f"{name} changed"

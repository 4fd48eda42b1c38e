"""Damage small TIFFs, slides and Zarrs in many ways, and see what reading them does.

    python scripts/fuzz_images.py --count 200 --seed 0

Each damaged file is opened and read in a process of its own. Fine are a valid image and one clear
line (exit codes 2, 3 and 5 of the commands); noisy is either with words of a C library on stderr
beside it; bad are a traceback, several lines, a crash, a hang, and memory beyond the limit. Exits 1
if anything was bad; the bad files are kept.
"""

import argparse
import os
import resource
import runpy
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import tifffile

from cervseg import machine
from cervseg.errors import CervsegError
from cervseg.grid import Window
from cervseg.images.image import Image, whole
from cervseg.images.readers import open_image
from cervseg.images.views import scale_image

SAMPLES = runpy.run_path(str(Path(__file__).with_name("sample_images.py")))

EXTREMES = (0, 1, 2, 3, 7, 8, 255, 65535, 2**31 - 1, 2**32 - 1)
READ_WHOLE = 4_000_000
"""Pixels up to which an image is also read as a whole."""

VERDICTS = ("valid", "line", "noisy", "BAD")

WAYS = ("flip", "zero", "cut", "tag", "offset")


def damage(path: Path, rng: np.random.Generator) -> str:
    """Change a file, or one file of a Zarr, and say how."""
    if path.is_dir():
        files = sorted(f for f in path.rglob("*") if f.is_file())
        described = [f for f in files if f.suffix == ".json" or f.name.startswith(".z")]
        group = described if rng.random() < 0.6 else files
        return _damage_bytes(group[rng.integers(len(group))], rng, str(rng.choice(WAYS[:3])))
    way = str(rng.choice(WAYS, p=(0.25, 0.1, 0.15, 0.3, 0.2)))
    return _damage_tag(path, rng, way) if way in WAYS[3:] else _damage_bytes(path, rng, way)


def _damage_bytes(path: Path, rng: np.random.Generator, way: str) -> str:
    data = np.fromfile(path, np.uint8)
    if way == "cut" or not len(data):
        path.write_bytes(data[: int(len(data) * rng.random())].tobytes())
        return "cut"
    # Half of the changes are near the ends, where the tables are.
    end = len(data) if rng.random() < 0.5 else min(len(data), 1000)
    places = rng.integers(0, end, 2 ** rng.integers(0, 8))
    places = len(data) - 1 - places if rng.random() < 0.5 else places
    if way == "zero":
        data[places[0] : places[0] + len(places)] = 0
    else:
        data[places] ^= rng.integers(1, 256, len(places), np.uint8)
    path.write_bytes(data.tobytes())
    return way


def _damage_tag(path: Path, rng: np.random.Generator, way: str) -> str:
    """Give one tag another type, count or value; `offset`: change where data are said to lie."""
    with tifffile.TiffFile(path) as file:
        pages = [q for page in file.pages for q in (page, *(page.pages or ()))]
        wanted = {273, 279, 324, 325, 330} if way == "offset" else {*range(65536)}
        tags = [t for page in pages for t in page.tags if t.code in wanted]
        order, wide = file.byteorder, file.is_bigtiff
        tag = tags[rng.integers(len(tags))]
        size = tag.valuebytecount
    value = int(rng.choice(EXTREMES)) if rng.random() < 0.7 else int(rng.integers(2**32))
    word = value.to_bytes(8 if wide else 4, "little" if order == "<" else "big")
    place = {0: tag.offset + 2, 1: tag.offset + 4, 2: tag.valueoffset}[int(rng.integers(3))]
    if place == tag.offset + 2:
        word = int(rng.integers(1, 19)).to_bytes(2, "little" if order == "<" else "big")
    elif place == tag.valueoffset:
        place += 4 * int(rng.integers(max(1, size // 4)))
    with path.open("r+b") as handle:
        handle.seek(place)
        handle.write(word)
    return f"{way} {tag.name}"


def look_at(path: Path) -> str:
    """Open an image and read corners, the middle and a reduced view.

    Returns:
        Empty, or the line that a user would see.
    """
    try:
        image = open_image(path)
        for level in (image, *image.levels):
            _read_windows(level)
        if image.height * image.width <= READ_WHOLE:
            image.read(whole(image))
        scale = 100 / max(image.height, image.width)
        if scale > 1 / 64:
            _read_windows(scale_image(image, scale, scale))
    except CervsegError as exc:
        return str(exc) or "an empty line"
    return ""


def _read_windows(image: Image) -> None:
    height, width = min(97, image.height), min(113, image.width)
    for down, across in ((0, 0), (1, 1), (0, 1), (1, 0), (0.5, 0.5)):
        top, left = int(down * (image.height - height)), int(across * (image.width - width))
        pixels = image.read(Window(top, left, height, width))
        assert pixels.shape == (height, width, 3) and pixels.dtype == np.uint8


class Outcome(NamedTuple):
    """What became of a file.

    Args:
        verdict: `valid`, `line`, `noisy` or `BAD`.
        said: The line, or what was bad.
        megabytes: Largest memory of the process.
        seconds: It took.
    """

    verdict: str
    said: str
    megabytes: float
    seconds: float


def examine(path: Path, *, seconds: float, megabytes: float) -> Outcome:
    """Look at a file in a process of its own, limited in time and memory."""
    with (
        tempfile.TemporaryFile("w+") as said,
        tempfile.TemporaryFile("w+") as noise,
        tempfile.TemporaryFile("w+") as taken,
    ):
        start = time.monotonic()
        child = os.fork()
        if not child:
            os.dup2(noise.fileno(), 2)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(int(seconds) + 1)  # kills, whatever a library is doing
            room = int((megabytes + 6000) * 1e6)  # what is reserved but never used is free
            resource.setrlimit(resource.RLIMIT_AS, (room, room))
            status = 1
            try:
                # Beyond what the child has from its parent, which a kernel's own count includes.
                before = machine.resident_memory()
                most = machine.peak_memory_of(lambda: said.write(look_at(path)))
                said.flush()
                taken.write(str((most - before) / 1e6))
                taken.flush()
                status = 0
            except BaseException:  # noqa: BLE001 (anything that gets here is what we look for)
                traceback.print_exc(file=noise)
                noise.flush()
            finally:
                sys.stderr.flush()
                os._exit(status)
        _, status = os.waitpid(child, 0)
        took = time.monotonic() - start
        line, words, more = (_content(file) for file in (said, noise, taken))
        peak = float(more or 0)
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            bad = "hangs" if number == signal.SIGALRM else f"dies of {signal.Signals(number).name}"
        elif os.WEXITSTATUS(status):
            bad = words[-600:]
        elif peak > megabytes:
            bad = f"needs {peak:.0f} MB"
        elif "\n" in line or (line and path.name not in line):
            bad = f"no clear line: {line}"
        else:
            verdict = "noisy" if words else "line" if line else "valid"
            return Outcome(verdict, f"{line} {words}".strip(), peak, took)
        return Outcome("BAD", bad, peak, took)


def _content(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


def fuzz(
    folder: Path, *, count: int, seed: int, seconds: float, megabytes: float
) -> list[tuple[str, str, Outcome]]:
    """Damage and examine `count` files below a folder; what was not bad is removed again."""
    kinds = list(SAMPLES["KINDS"])
    clean = dict(zip(kinds, SAMPLES["write_samples"](folder / "clean"), strict=True))
    found = []
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        name = kinds[number % len(kinds)]
        source = clean[name]
        path = folder / f"{number:04d}-{source.name}"
        copy = shutil.copytree if source.is_dir() else shutil.copyfile
        copy(source, path)
        way = damage(path, rng)
        outcome = examine(path, seconds=seconds, megabytes=megabytes)
        found.append((name, f"{number:04d} {way}", outcome))
        if outcome.verdict == "BAD":
            print(f"BAD {path} ({way}): {outcome.said}", file=sys.stderr)
        else:
            (shutil.rmtree if path.is_dir() else Path.unlink)(path)
    return found


def main(argv: list[str] | None = None) -> int:
    """Fuzz and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=20, help="for a file, at most")
    parser.add_argument("--memory", type=float, default=1000, help="megabytes, at most")
    parser.add_argument("--folder", type=Path, help="where files are made; else a temporary one")
    parser.add_argument("--lines", action="store_true", help="print every line that was said")
    asked = parser.parse_args(argv)
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="fuzz-"))
    found = fuzz(folder, count=asked.count, seed=asked.seed, seconds=asked.seconds,
                 megabytes=asked.memory)  # fmt: skip
    if asked.lines:
        print(*sorted({f"{o.said.replace(str(folder), '')} [{w}]" for _, w, o in found if o.said}),
              sep="\n")  # fmt: skip
    print(f"{'kind':16}{'valid':>7}{'line':>7}{'noisy':>7}{'BAD':>7}")
    for name in (*SAMPLES["KINDS"], "all"):
        verdicts = Counter(o.verdict for kind, _, o in found if name in (kind, "all"))
        print(f"{name:16}" + "".join(f"{verdicts[v]:7}" for v in VERDICTS))
    outcomes = [outcome for *_, outcome in found]
    print(f"at most {max(o.megabytes for o in outcomes):.0f} MB and "
          f"{max(o.seconds for o in outcomes):.1f} s a file")  # fmt: skip
    bad = any(outcome.verdict == "BAD" for outcome in outcomes)
    if not bad and not asked.folder:
        shutil.rmtree(folder)
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())

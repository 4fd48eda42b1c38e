"""What the system says of this machine and process: memory, disk, instructions, caches."""

import ctypes
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from cervseg.errors import BudgetError

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -3, -4, -8  # of mallopt(3)


def available_memory() -> int:
    """Bytes that can still be had: of the machine, or of a cgroup where that is less.

    The limit may be that of any group above, as SLURM sets it for the job, not for the step.
    """
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for line in read_lines(Path("/proc/meminfo")):
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) * 1024
    return min([free, *_left_in_groups()])


def _left_in_groups() -> Iterator[int]:
    """Bytes that each memory cgroup of this process leaves; those of cached files are free."""
    for line in read_lines(Path("/proc/self/cgroup")):
        number, controllers, group = line.split(":", 2)
        if number == "0":  # the one tree of newer systems
            root, names = Path("/sys/fs/cgroup"), ("max", "current", "inactive_file")
        elif controllers == "memory":
            root = Path("/sys/fs/cgroup/memory")
            names = ("limit_in_bytes", "usage_in_bytes", "total_inactive_file")
        else:
            continue
        for folder in (here := root / group.lstrip("/"), *here.parents):
            if folder.is_relative_to(root):
                limit, used = (read_words(folder / f"memory.{name}") for name in names[:2])
                if limit and used and limit[0].isdigit():
                    cached = _number_after(names[2], folder / "memory.stat")
                    yield int(limit[0]) - int(used[0]) + cached


def _number_after(name: str, path: Path) -> int:
    words = read_words(path)
    return int(words[words.index(name) + 1]) if name in words else 0


LEAST = {"tensorflow": 850_000_000, "jax": 450_000_000}
"""Bytes of a process that trains the smallest network, measured."""


def require_memory_to_train(batch: int) -> None:
    """Refuse a training that can't fit, before the backend is imported, which takes most of it.

    Args:
        batch: Bytes of a batch as float32.

    Raises:
        BudgetError: Less can be had than the smallest network needs.
    """
    least = LEAST.get(os.environ.get("KERAS_BACKEND", "tensorflow"), 0) + 2 * batch
    free = available_memory()
    if free < least:
        raise BudgetError(
            f"training needs {least / 1e9:.2f} GB or more, and {free / 1e9:.2f} GB can be had",
            hint="more memory for the job, or a smaller train.batch_size or data.tile_size",
        )


def is_disk_full(folder: Path) -> bool:
    """Whether nothing more can be written into a folder; no where the system does not say."""
    with suppress(OSError):
        return shutil.disk_usage(folder).free == 0
    return False


def peak_memory(process: int | None = None) -> int:
    """Largest resident memory of a process so far, bytes; 0 for another one that has ended."""
    for line in read_lines(Path(f"/proc/{process or 'self'}/status")):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    if process:
        return 0
    # Without /proc; this counts that of the process it was forked from, too.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def has_bfloat16() -> bool:
    """Whether the processor computes in bfloat16, by what Linux tells of it."""
    flags = {"avx512_bf16", "amx_bf16", "bf16"}
    return any(flags & set(line.split()) for line in read_lines(Path("/proc/cpuinfo")))


def resident_memory() -> int:
    """Memory of this process that is in RAM now, bytes; 0 where the system does not say."""
    words = read_words(Path("/proc/self/statm"))
    return int(words[1]) * os.sysconf("SC_PAGE_SIZE") if words else 0


def peak_memory_of(work: Callable[[], object]) -> int:
    """Largest resident memory of this process while it does some work, bytes."""
    reset = Path("/proc/self/clear_refs")
    try:
        reset.write_text("5")
    except OSError:  # without it, the largest of the whole life
        work()
        return peak_memory()
    work()
    return peak_memory()


def read_lines(path: Path) -> list[str]:
    """Lines of a file of the system; none where it is not there."""
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def read_words(path: Path) -> list[str]:
    """Words of such a file."""
    return " ".join(read_lines(path)).split()


def keep_blocks() -> None:
    """Let freed memory be used again at once: a network asks for the same blocks always.

    Taking them from the system anew made `lite_unet` 1.5 x slower on tiles of 512 pixels, and what
    the C library does by itself 1.2 x.
    """
    _set_limits(blocks=32 << 20, heap=1 << 30)


def keep_all_blocks() -> None:
    """Give no memory back: a training asks for the same large blocks at every step.

    Before the first threads start, which would get heaps of their own, too small for such blocks.
    Taking them from the system anew took half of the time of `lite_unet` on crops of 320.
    """
    with suppress(AttributeError, OSError):  # not the GNU C library
        library = ctypes.CDLL(None)
        for limit, value in ((M_ARENA_MAX, 1), (M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1)):
            library.mallopt(limit, value)


def return_blocks() -> None:
    """Give what was freed back to the system, and from now on every freed block of 4 MB.

    Else the C library keeps them in heaps full of holes, and a long run over a slide grows by
    hundreds of megabytes that nobody uses.
    """
    _set_limits(blocks=4 << 20, heap=8 << 20)
    with suppress(AttributeError, OSError):  # not the GNU C library
        ctypes.CDLL(None).malloc_trim(0)


def _set_limits(*, blocks: int, heap: int) -> None:
    """Larger freed blocks, and more free bytes at the end of the heap, go back to the system."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, blocks)
        ctypes.CDLL(None).mallopt(M_TRIM_THRESHOLD, heap)


def cache_folder() -> Path:
    """Where caches lie: `$CERVSEG_CACHE`, else the platform's folder, else a temporary one."""
    named = os.environ.get("CERVSEG_CACHE")
    if named:
        return Path(named).expanduser()
    try:
        home = Path.home()
        usual = home / "Library" / "Caches" if sys.platform == "darwin" else home / ".cache"
        folder = Path(os.environ.get("XDG_CACHE_HOME") or usual) / "cervseg"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # no home, or none that can be written
        return Path(tempfile.gettempdir()) / f"cervseg-{os.getuid()}"
    return folder

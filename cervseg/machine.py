"""What the system says of this machine and process: memory, instructions."""

import ctypes
import os
import resource
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

M_MMAP_THRESHOLD = -3  # of mallopt(3)
LARGE_BLOCK = 4 << 20


def available_memory() -> int:
    """Bytes that can still be had: of the machine, or of the cgroup where that is less."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for line in read_lines(Path("/proc/meminfo")):
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) * 1024
    limit, used = (read_words(Path(f"/sys/fs/cgroup/memory.{n}")) for n in ("max", "current"))
    if limit and used and limit[0].isdigit():
        free = min(free, int(limit[0]) - int(used[0]))
    return free


def peak_memory() -> int:
    """Largest resident memory of this process so far, bytes."""
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
    for line in read_lines(Path("/proc/self/status")):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
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


def return_large_blocks() -> None:
    """Let blocks of 4 MB and more go back to the system when they are freed, for good.

    The GNU C library would raise that limit to 32 MB with the first large block that is freed, and
    keep smaller ones in heaps full of holes: a long run over a slide then grows by hundreds of
    megabytes that nobody uses.
    """
    with suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK)


def release_memory() -> None:
    """Give memory that was freed back to the system, where its C library can."""
    with suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)

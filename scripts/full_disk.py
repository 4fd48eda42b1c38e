"""Fill the disk under `cervseg tiled-infer` again and again, resume it, and compare every byte.

    python scripts/full_disk.py --fills 30 --model runs/metaplastic field.jpg

All other words are those of `tiled-infer`. The disk is a tmpfs in a mount namespace of its own,
which needs Linux with user namespaces and `unshare`, not root. A first run is left alone. For each
further one the disk has a little more room, until it is enough; or room for few files; or it can't
be written at all. Each must end with its exit code and one line (beside the hint), without a file
that is only half there; when there is room again, `--resume` must give the bytes of the first run.
"""

import argparse
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from itertools import count
from pathlib import Path

from cervseg.cli.app import main as cervseg

INSIDE = "CERVSEG_FULL_DISK"
PROMISE = "exit code {}, one line, nothing half-written, the same bytes after --resume"
AMPLE = "remount,rw,size=50%,nr_inodes=1000000"


def mount(volume: Path, options: str) -> None:
    """Mount the disk, or change it."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", volume], check=True)


def digests(output: Path) -> dict[str, str]:
    """SHA-256 of each file."""
    files = sorted(path for path in output.rglob("*") if path.is_file())
    return {str(f.relative_to(output)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def run(words: list[str]) -> tuple[int, str]:
    """One command: its exit code, and what it told on stderr."""
    told = io.StringIO()
    with redirect_stdout(io.StringIO()), redirect_stderr(told):
        code = cervseg(words)
    if code > 128:
        raise SystemExit(code)
    return code, told.getvalue()


def attempt(words: list[str], volume: Path, expected: dict[str, str]) -> tuple[int, str, list[str]]:
    """Run on the disk as it is, make room, resume: exit code, what was told, what went wrong."""
    output = volume / "out"
    code, told = run(words)
    left = digests(output)
    half = [f for f in left if left[f] != expected.get(f) and ".partial/" not in f]
    wrong = [f"half-written: {file}" for file in half]
    mount(volume, AMPLE)
    again, told_again = run([*words, "--resume"])
    if again or digests(output) != expected:
        wrong.append(f"resumed with exit code {again}, other bytes: {told_again}")
    shutil.rmtree(output, ignore_errors=True)
    return code, told, wrong


def try_all(words: list[str], volume: Path, *, fills: int) -> int:
    """All faults, a line of the table each; how many went wrong."""
    output, lost = volume / "out", 0
    if run(words)[0]:
        raise SystemExit("an undisturbed run fails")
    expected, used = digests(output), shutil.disk_usage(volume).used
    shutil.rmtree(output)

    def is_enough(fault: str, option: str, *, code: int) -> bool:
        nonlocal lost
        mount(volume, f"remount,{option}")
        found, told, wrong = attempt(words, volume, expected)
        if found or wrong:
            name = told.removeprefix(f"error: {output}").partition(": ")[0].strip("/")
            if found != code or told.count("\n") != 2:
                wrong.append(f"exit code {found}: {told}")
            result = "; ".join(wrong) or "kept"
            print(f"| {fault}, {option}, at {name or 'it'} | {PROMISE.format(code)} | {result} |")
        lost += bool(wrong)
        return found == 0

    print("| fault | promise | result |\n|---|---|---|")
    sizes = (f"size={max(1, number * used // fills)}" for number in count())
    next(size for size in sizes if is_enough("disk full", size, code=5))
    for number in range(2, 40, 4):
        is_enough("no more files", f"nr_inodes={number}", code=5)
    is_enough("read-only", "ro", code=2)
    return lost


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fills", type=int, default=30, help="steps to the size of all outputs")
    arguments, words = parser.parse_known_args()
    if INSIDE not in os.environ:
        command = ["unshare", "--user", "--map-root-user", "--mount", sys.executable, *sys.argv]
        os.execvpe("unshare", command, {**os.environ, INSIDE: "1"})
    with tempfile.TemporaryDirectory() as folder:
        volume = Path(folder)
        mount(volume, AMPLE.removeprefix("remount,"))
        words = ["tiled-infer", *words, "--quiet", "--output", str(volume / "out")]
        try:
            lost = try_all(words, volume, fills=arguments.fills)
        finally:
            subprocess.run(["umount", "--lazy", volume], check=True)
    raise SystemExit(lost > 0)


if __name__ == "__main__":
    main()

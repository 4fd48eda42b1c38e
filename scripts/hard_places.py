"""Run the commands where things go wrong, and tell what each one said and left.

    sudo python scripts/hard_places.py [--only NAME...] [--list]

Each trial is a folder of drawn fields, a command in it, a fault, and a promise: the exit code, at
most one line of error beside the hint, no traceback, nothing half written. Trials that need root
(a small disk, a memory group) are skipped without it, and said to be. Exits 1 if a promise is
broken. Killed processes: kill_commands.py; damaged files: fuzz_readers.py; full disks in depth:
full_disk.py.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from kill_commands import CONFIG

FIELDS = Path(__file__).with_name("synthetic_fields.py")

SEGMENT = ["tiled-infer", "--model", "builtin:metaplastic"]


class Told(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Call = Callable[..., Told]
"""Runs a command line of cervseg in the folder, with changes of the environment."""


class Trial(NamedTuple):
    """A fault and a promise.

    Args:
        fault: In words.
        promise: In words.
        work: Gets the folder and the call; returns whether the promise was kept, and what was seen.
        root: Whether it needs root.
    """

    fault: str
    promise: str
    work: Callable[[Path, Call], tuple[bool, str]]
    root: bool = False


def one_line(told: Told) -> bool:
    """Whether an error is told in one line, beside its hint, and nothing is a traceback."""
    errors = [line for line in told.err.splitlines() if line.startswith("error: ")]
    return len(errors) == 1 and "Traceback" not in told.err


def said(told: Told) -> str:
    """The exit code and the error."""
    errors = [line for line in told.err.splitlines() if line.startswith("error: ")]
    return f"exit code {told.code}" + (f", {errors[0]}" if errors else "")


def full_disk(folder: Path, call: Call) -> tuple[bool, str]:
    """A disk of a quarter of a megabyte."""
    with mounted(folder / "small", "size=256k"):
        told = call("dataset-tile", "c.yaml", "--set", "data.output=small/tiles")
        return told.code == 5 and one_line(told) and not (folder / "small/tiles").exists(), said(
            told
        )


def read_only(folder: Path, call: Call) -> tuple[bool, str]:
    """An output on a disk that can't be written."""
    with mounted(folder / "small", "size=1m,ro"):
        told = call("dataset-tile", "c.yaml", "--set", "data.output=small/tiles")
    return told.code == 2 and one_line(told), said(told)


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """A small disk."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def vanished(folder: Path, call: Call) -> tuple[bool, str]:
    """A photograph goes while others are segmented."""
    images = sorted((folder / "fields/images").iterdir())
    with started(folder, *SEGMENT, "fields/images", "--output", "out") as process:
        while process.poll() is None and not any(folder.glob("out/masks/*.png")):
            time.sleep(0.02)
        images[-1].unlink()
        out, err = process.communicate(timeout=600)
    told, done = Told(process.returncode, out, err), len([*folder.glob("out/masks/*.png")])
    kept = told.code == 3 and done == len(images) - 1 and "Traceback" not in err
    return kept, f"{said(told)}; {done} of {len(images)} done"


def backward_clock(folder: Path, call: Call) -> tuple[bool, str]:
    """Files of the day after tomorrow, and a run that began then."""
    call("dataset-tile", "c.yaml")
    later = time.time() + 2 * 86400
    for path in folder.rglob("*"):
        os.utime(path, (later, later))
    first = call("train", "c.yaml", "--set", "train.epochs=1")
    for path in (folder / "run").rglob("*"):
        os.utime(path, (later, later))
    again = call("train", "c.yaml", "--set", "train.epochs=1", "--resume")
    return first.code == again.code == 0, f"{said(first)}; resumed: {said(again)}"


def two_at_once(folder: Path, call: Call) -> tuple[bool, str]:
    """Two trainings into one folder."""
    call("dataset-tile", "c.yaml")
    with started(folder, "train", "c.yaml") as other:
        while other.poll() is None and not (folder / "run/run.json").exists():
            time.sleep(0.05)
        told = call("train", "c.yaml", "--resume")
        code = other.wait(timeout=600)
    return (told.code, code) == (2, 0) and one_line(told), f"{said(told)}; the first: {code}"


@contextmanager
def started(folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A command in the background."""
    process = subprocess.Popen([sys.executable, "-m", "cervseg", *words], cwd=folder, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def homeless(folder: Path, call: Call) -> tuple[bool, str]:
    """No home directory, and none that could be made."""
    told = call(
        *SEGMENT, "fields/images", "--output", "out", HOME="/nonexistent", XDG_CACHE_HOME=None
    )
    return told.code == 0, said(told)


def c_locale(folder: Path, call: Call) -> tuple[bool, str]:
    """The C locale and a name that it can't spell."""
    image = next((folder / "fields/images").iterdir())
    image.rename(image.with_name("Zelle 3 ü.png"))
    told = call(*SEGMENT, "fields/images", "--output", "out", LC_ALL="C", LANG="C", PYTHONUTF8="0")
    return told.code == 0 and (folder / "out/masks/Zelle 3 ü.png").exists(), said(told)


def strange_names(folder: Path, call: Call) -> tuple[bool, str]:
    """Spaces, brackets, emoji, quotes, 230 characters, in folders and in files; 250 are refused."""
    place = folder / "my slides [2] 'x' {a}"
    names = ["a b [1].png", "🔬 smear.png", "-rf.png", "%s {0}.png", "x" * 230 + ".png"]
    long = "y" * 250 + ".png"
    place.mkdir()
    source = next((folder / "fields/images").iterdir())
    for name in [*names, long]:
        shutil.copy(source, place / name)
    told = call(*SEGMENT, place.name, "--output", "out [1] 🔬", "--set", "tiled_infer.look_first=1")
    found = {path.stem for path in (folder / "out [1] 🔬/masks").glob("*")}
    missing = [name for name in names if Path(name).stem not in found]
    refused = "its name is 250 bytes long" in told.err
    kept = told.code == 3 and refused and not missing and "Traceback" not in told.err
    return kept, f"exit code {told.code}, {len(names) - len(missing)} of {len(names)} done"


def sigterm(folder: Path, call: Call) -> tuple[bool, str]:
    """SIGTERM in the middle of a training, as SLURM sends it; then --resume."""
    call("dataset-tile", "c.yaml")
    long = ["train", "c.yaml", "--set", "train.epochs=40"]
    with started(folder, *long) as process:
        while process.poll() is None and not (folder / "run/checkpoints/last.npz").exists():
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    told = Told(process.returncode, out, err)
    kept = (folder / "run/checkpoints/last.npz").exists()
    resumes = "--resume" in err
    return told.code == 143 and one_line(told) and kept and resumes, said(told)


def one_core(folder: Path, call: Call) -> tuple[bool, str]:
    """A process that may use one core."""
    told = call(*SEGMENT, "fields/images", "--output", "out", before=["taskset", "-c", "0"])
    return told.code == 0, said(told)


def field_in_little_memory(folder: Path, call: Call) -> tuple[bool, str]:
    """A field in a memory group of 1.5 GB."""
    image = next((folder / "fields/images").iterdir())
    with memory_group(1_500_000_000) as join:
        told = call(*SEGMENT, str(image), "--output", "out", before=join)
    return told.code == 0, said(told)


def training_in_too_little_memory(folder: Path, call: Call) -> tuple[bool, str]:
    """A training in a memory group of 0.8 GB."""
    call("dataset-tile", "c.yaml")
    with memory_group(800_000_000) as join:
        told = call("train", "c.yaml", before=join)
    return told.code == 5 and one_line(told), said(told)


@contextmanager
def memory_group(size: int) -> Iterator[list[str]]:
    """Words that start a command in a memory group of so many bytes."""
    tree = Path("/sys/fs/cgroup")
    old = tree / "memory"
    folder = (old if old.is_dir() else tree) / "cervseg-hard-places"
    folder.mkdir(exist_ok=True)
    (folder / ("memory.limit_in_bytes" if old.is_dir() else "memory.max")).write_text(str(size))
    try:
        yield ["sh", "-c", f'echo $$ > {folder}/cgroup.procs; exec "$@"', "sh"]
    finally:
        folder.rmdir()


TRIALS = {
    "full_disk": Trial("a disk of 256 KB", "exit 5, one line, no dataset", full_disk, root=True),
    "read_only": Trial("a read-only disk", "exit 2, one line", read_only, root=True),
    "vanished": Trial("a photograph goes meanwhile", "exit 3, the others are done", vanished),
    "backward_clock": Trial("files of the day after tomorrow", "trained, resumed", backward_clock),
    "two_at_once": Trial("two processes, one folder", "the second: exit 2, one line", two_at_once),
    "homeless": Trial("no home directory", "works", homeless),
    "c_locale": Trial("C locale, a name with ü", "works", c_locale),
    "strange_names": Trial("spaces, brackets, emoji, 230, 254 bytes",
                           "the last alone fails: exit 3", strange_names),
    "sigterm": Trial("SIGTERM while training", "exit 143, one line, saved", sigterm),
    "one_core": Trial("one core", "works", one_core),
    "little_memory": Trial("a field in 1.5 GB", "works", field_in_little_memory, root=True),
    "too_little": Trial("training in 0.8 GB", "exit 5, one line", training_in_too_little_memory,
                        root=True),
}  # fmt: skip


def caller(folder: Path) -> Call:
    """Runs command lines in a folder."""

    def call(*words: str, before: Sequence[str] = (), **changes: str | None) -> Told:
        environment = dict(os.environ)
        for name, value in changes.items():
            environment.pop(name, None)
            if value is not None:
                environment[name] = value
        ran = subprocess.run(
            [*before, sys.executable, "-m", "cervseg", *words],
            cwd=folder, env=environment, capture_output=True, text=True, errors="replace",
            check=False, timeout=900,
        )  # fmt: skip
        return Told(ran.returncode, ran.stdout, ran.stderr)

    return call


def main() -> int:
    """Run the trials."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=TRIALS, default=[*TRIALS])
    parser.add_argument("--list", action="store_true", help="only tell the trials")
    asked = parser.parse_args()
    broken = 0
    with tempfile.TemporaryDirectory() as top:
        fields = Path(top) / "fields"
        if not asked.list:
            words = [sys.executable, str(FIELDS), str(fields), "--fields", "8"]
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        for name in asked.only:
            trial = TRIALS[name]
            if asked.list or (trial.root and os.geteuid() != 0):
                told = "" if asked.list else "not run: needs root"
                print(f"{name:16s}{trial.fault:42s}{trial.promise:32s}{told}")
                continue
            folder = Path(top) / name
            shutil.copytree(fields, folder / "fields")
            (folder / "c.yaml").write_text(CONFIG)
            kept, seen = trial.work(folder, caller(folder))
            broken += not kept
            shown = f"{'kept' if kept else 'BROKEN'}: {seen.replace(top, '')}"
            print(f"{name:16s}{trial.fault:42s}{trial.promise:32s}{shown}", flush=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

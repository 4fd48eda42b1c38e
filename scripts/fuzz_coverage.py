"""Let atheris look for inputs that break a reader, guided by the lines of Python that they reach.

    python -m pip install atheris    # an optional tool; for Linux, Python 3.11 to 3.13
    python scripts/fuzz_coverage.py --seconds 600
    python scripts/fuzz_coverage.py geojson --seconds 60 --folder found

Fine are a valid result and one clear line (see `unclear` in fuzz_samples.py). Anything else that is
raised is kept in the folder, one input for each place that raises, and the fuzzing goes on; a hang
of 10 s and memory of 2 GB above idle end a process, are kept too, and a new one begins. Exits 1 if
anything was found.
"""

import argparse
import hashlib
import re
import runpy
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

SCRIPTS = Path(__file__).parent
SECONDS, MEGABYTES = 10, 2048
LONGEST = 4096
"""Bytes of an input; deep nesting and repeated names come well before."""


class Target(NamedTuple):
    """A reader, and the files of its sample that inputs are put into.

    Args:
        sample: In `READERS`.
        read: In fuzz_samples.py.
        files: With several the first byte of an input says which.
    """

    sample: str
    read: str
    files: tuple[str, ...]


TARGETS = {
    "config": Target("config", "read_config", ("cells.yaml",)),
    "contour": Target("contours", "read_contour_files", ("im_Metaplastic/001_cyt01.dat",)),
    "geojson": Target("geojson", "read_geojson_file", ("a.geojson",)),
    "manifest": Target("dataset", "read_tables", ("dataset.json", "sources.csv", "manifest.csv")),
    "contract": Target("contract", "read_contract", ("contract.json",)),
}


def put(target: Target, data: bytes, *, sample: Path) -> None:
    """Write an input into the sample, the other files as they were."""
    number = data[0] % len(target.files) if data and len(target.files) > 1 else 0
    for place, name in enumerate(target.files):
        path, clean = sample / name, sample.parent / "clean" / name
        is_it = place == number
        path.write_bytes(data[len(target.files) > 1 :] if is_it else clean.read_bytes())


def seeds(target: Target, sample: Path) -> dict[str, bytes]:
    """The valid inputs to begin with, and parts of them."""
    found = {}
    for number, name in enumerate(target.files):
        data = (sample / name).read_bytes()
        head = bytes([number]) if len(target.files) > 1 else b""
        found[f"{number}"] = head + data
        found[f"{number}-half"] = head + data[: len(data) // 2]
        found[f"{number}-none"] = head
    return found


def words(sample: Path, target: Target) -> str:
    """A dictionary of libFuzzer: the words of the sample, and values at the edges."""
    text = "".join((sample / name).read_text(encoding="utf-8") for name in target.files)
    found = {*re.findall(r"[A-Za-z_]{2,30}|[0-9.]{2,10}", text), *"{}[]:,&*!#|>-",
             "null", "true", "-1", "1e308", "NaN", "Infinity", "18446744073709551616", "[[[[", "<<",
             "../../..", "/dev/zero", "!!python/object/apply:os.system"}  # fmt: skip
    return "".join(f'"{word}"\n' for word in sorted(found))


def work(name: str, folder: Path, options: list[str]) -> None:
    """Fuzz in this process, which atheris ends."""
    import atheris

    target = TARGETS[name]
    with atheris.instrument_imports(include=["cervseg", "yaml"]):
        samples = runpy.run_path(str(SCRIPTS / "fuzz_samples.py"))
        from cervseg.errors import CervsegError

        read: Callable[[Path], None] = samples[target.read]
        read(folder / "sample")  # imports the rest
    damage = runpy.run_path(str(SCRIPTS / "fuzz_damage.py"))
    known: set[str] = set()

    def one(data: bytes) -> None:
        put(target, data, sample=folder / "sample")
        try:
            read(folder / "sample")
            return
        except CervsegError as exc:
            what = samples["unclear"](exc, folder / "sample")
            told = f"{what}: {exc}"
            where = what
        except Exception as exc:  # noqa: BLE001 (what we look for)
            told = "".join(traceback.format_exception(exc))
            last = traceback.extract_tb(exc.__traceback__)[-1]
            where = f"{type(exc).__name__} {last.filename}:{last.lineno}"
        if where is not None and where not in known:
            known.add(where)
            keep(folder, data, f"{where}\n{told}")

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        """By what the file is, so that it stays readable; by bytes else."""
        rng = np.random.default_rng(seed)
        if rng.random() < 0.4:
            return bytes(atheris.Mutate(data, len(data)))
        head = data[:1] if len(target.files) > 1 else b""
        name = target.files[head[0] % len(target.files) if head else 0]
        spoilt: bytes = damage["spoil"](data[len(head) :], Path(name).suffix, rng)
        return (head + spoilt)[:most]

    atheris.Setup([sys.argv[0], *options], one, custom_mutator=mutate)
    atheris.Fuzz()


def keep(folder: Path, data: bytes, told: str) -> None:
    """Keep an input and what it did."""
    (folder / "found").mkdir(exist_ok=True)
    stem = folder / "found" / hashlib.sha256(told.split("\n")[0].encode()).hexdigest()[:12]
    stem.with_suffix(".input").write_bytes(data)
    stem.with_suffix(".txt").write_text(told, encoding="utf-8", errors="backslashreplace")


class Outcome(NamedTuple):
    """Of a target: inputs tried, edges of Python reached, and what was found."""

    inputs: int
    edges: int
    found: int


def fuzz(name: str, folder: Path, seconds: float) -> Outcome:
    """Fuzz a target for some time, in as many processes as it takes, one after another."""
    target = TARGETS[name]
    write: Callable[..., Any] = runpy.run_path(str(SCRIPTS / "fuzz_samples.py"))["write_samples"]
    for copy in ("sample", "clean"):
        write(folder / "made" / copy, [target.sample])[target.sample].rename(folder / copy)
    (folder / "corpus").mkdir()
    for stem, data in seeds(target, folder / "clean").items():
        (folder / "corpus" / stem).write_bytes(data)
    (folder / "words").write_text(words(folder / "clean", target))
    end, inputs, edges = time.monotonic() + seconds, 0, 0
    while (left := int(end - time.monotonic())) > 0:
        options = [
            str(folder / "corpus"), f"-max_total_time={left}", f"-timeout={SECONDS}",
            f"-rss_limit_mb={MEGABYTES + 300}", f"-max_len={LONGEST}", f"-dict={folder / 'words'}",
            f"-artifact_prefix={folder / 'died-'}", "-print_final_stats=1",
        ]  # fmt: skip
        command = [
            sys.executable,
            __file__,
            "--work",
            name,
            "--folder",
            str(folder),
            "--",
            *options,
        ]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, errors="replace",
                              check=False, timeout=left + 120)  # fmt: skip
        (folder / "last.log").write_text(done.stderr)
        units = re.findall(r"number_of_executed_units: (\d+)", done.stderr)
        inputs += int(units[-1]) if units else 0
        edges = max([edges, *map(int, re.findall(r"cov: (\d+)", done.stderr))])
        if done.returncode and not units:
            sys.exit(f"{name}: {done.stderr[-2000:]}")
    return Outcome(inputs, edges, len([*folder.glob("found/*.txt"), *folder.glob("died-*")]))


def main(argv: list[str] | None = None) -> int:
    """Fuzz and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("targets", nargs="*", help=f"of {', '.join(TARGETS)}; default: all")
    parser.add_argument("--seconds", type=float, default=600, help="for each target")
    parser.add_argument("--folder", type=Path, help="where inputs are kept; else a temporary one")
    parser.add_argument("--work", choices=TARGETS, help=argparse.SUPPRESS)
    asked = parser.parse_args(argv)
    if asked.work:
        work(asked.work, asked.folder, asked.targets)
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="fuzz-"))
    if unknown := set(asked.targets) - set(TARGETS):
        parser.error(f"no target {', '.join(sorted(unknown))}")
    print(f"{'target':12}{'inputs':>10}{'edges':>8}{'found':>7}")
    any_found = 0
    for name in asked.targets or TARGETS:
        (folder / name).mkdir(parents=True)
        outcome = fuzz(name, folder / name, asked.seconds)
        print(f"{name:12}{outcome.inputs:10}{outcome.edges:8}{outcome.found:7}", flush=True)
        any_found += outcome.found
    print(f"kept in {folder}")
    return int(any_found > 0)


if __name__ == "__main__":
    sys.exit(main())

"""Spoil files of every kind that is read, in many ways, and see what reading them does.

    python scripts/fuzz_readers.py --count 2000 --commands 100 --seed 0
    python scripts/fuzz_readers.py --readers tiled svs-openslide --count 200

Each spoilt sample of fuzz_samples.py is read in a process that is already warm: it has read the
unspoilt ones, so what counts is what an input adds. It has 10 s and 2 GB above idle; a process
that hangs or dies is replaced. `--commands` reads as many more through the command line.

Fine are a valid result and one clear line with exit code 2, 3 or 5 (see `unclear` in
fuzz_samples.py); noisy is either with words of a C library on stderr beside it; BAD are a
traceback, an unclear line, a crash, a hang, and too much memory. Bad inputs are kept and named,
and then it exits 1.
"""

import argparse
import json
import os
import re
import resource
import runpy
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from cervseg import machine, runtime
from cervseg.errors import CervsegError

SCRIPTS = Path(__file__).parent
SAMPLES = runpy.run_path(str(SCRIPTS / "fuzz_samples.py"))
DAMAGE = runpy.run_path(str(SCRIPTS / "fuzz_damage.py"))
READERS = SAMPLES["READERS"]

VERDICTS = ("valid", "line", "noisy", "BAD")

ROOM = 4000
"""Megabytes of address space above idle: what is reserved but never used is free, up to here."""


PATIENCE = 6
"""A busy machine is slow: what computes for less than its seconds may take six times as long."""


class Limits(NamedTuple):
    """For one input: seconds, megabytes above idle, and seconds of a command, which starts cold."""

    seconds: float = 10
    megabytes: float = 2000
    command: float = 300


class Outcome(NamedTuple):
    """What became of an input.

    Args:
        reader: Of `READERS`.
        verdict: `valid`, `line`, `noisy` or `BAD`.
        said: The line, or what was bad.
        megabytes: Memory above idle; of a command, in all.
        seconds: Of the processor; of a command, by the clock.
    """

    reader: str
    verdict: str
    said: str
    megabytes: float = 0
    seconds: float = 0


# In a process of its own.


def serve(clean: Path, names: Sequence[str]) -> None:
    """Read folders that stdin names, a line each, and tell what became of them, likewise."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    runtime.start(device="cpu", threads=1)
    for name in names:
        READERS[name].read(clean / name)
    room = machine.read_words(Path("/proc/self/statm"))
    limit = int(room[0]) * os.sysconf("SC_PAGE_SIZE") + ROOM * 10**6
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    answers.write("ready\n")
    for line in sys.stdin:
        job = json.loads(line)
        noise, before = os.fstat(2).st_size, machine.resident_memory()
        outcome: list[str] = []

        def read(job: dict[str, str] = job, outcome: list[str] = outcome) -> None:
            outcome += examine(job["reader"], Path(job["folder"]))

        peak = machine.peak_memory_of(read)
        sys.stderr.flush()
        grown = os.fstat(2).st_size - noise
        answers.write(json.dumps([*outcome, (peak - before) / 1e6, grown]) + "\n")


def examine(name: str, folder: Path) -> tuple[str, str]:
    """Read a folder; verdict and words."""
    try:
        READERS[name].read(folder)
    except CervsegError as exc:
        unclear = SAMPLES["unclear"](exc, folder)
        return ("BAD", f"{unclear}: {exc}") if unclear else ("line", str(exc))
    except BaseException:  # noqa: BLE001 (anything that gets here is what we look for)
        return "BAD", traceback.format_exc()
    return "valid", ""


# In the process that spoils.


class Worker:
    """A process that reads, replaced when it hangs or dies.

    Args:
        clean: The unspoilt samples.
        names: Which of them it reads first.
        limits: For one input.
    """

    def __init__(self, clean: Path, names: Sequence[str], limits: Limits) -> None:
        self.clean, self.names, self.limits = clean, names, limits
        self.noise: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (as long as it)
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> "subprocess.Popen[str]":
        """The process, ready."""
        if self.process is None:
            words = [sys.executable, __file__, "--serve", str(self.clean), "--readers", *self.names]
            self.process = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.noise, text=True
            )
            assert self.process.stdout is not None
            if self.process.stdout.readline() != "ready\n":
                raise RuntimeError(f"no worker: {self.tail()}")
        return self.process

    def tail(self) -> str:
        """The end of what was said on stderr."""
        self.noise.seek(0)
        return self.noise.read()[-1500:].decode(errors="replace")

    def read(self, name: str, folder: Path) -> Outcome:
        """Let it read a folder."""
        process = self.start()
        assert process.stdin is not None and process.stdout is not None
        before, ready = _processor_seconds(process.pid), False
        process.stdin.write(json.dumps({"reader": name, "folder": str(folder)}) + "\n")
        process.stdin.flush()
        for _ in range(PATIENCE):
            ready = bool(select.select([process.stdout], [], [], self.limits.seconds)[0])
            if ready or _processor_seconds(process.pid) - before > self.limits.seconds:
                break
        answer = process.stdout.readline() if ready else ""
        took = _processor_seconds(process.pid) - before
        if not answer:
            self.stop()
            code = process.returncode
            what = f"dies of {signal.Signals(-code).name}" if ready and code < 0 else "hangs"
            return Outcome(name, "BAD", f"{what}\n{self.tail() if ready else ''}", 0, took)
        verdict, said, peak, noise = json.loads(answer)
        if Path(DAMAGE["UNPICKLED"]).is_dir():
            verdict, said = "BAD", "opened a pickle"
        if verdict != "BAD" and peak > self.limits.megabytes:
            verdict, said = "BAD", f"needs {peak:.0f} MB: {said}"
        elif verdict != "BAD" and noise:
            verdict = "noisy"
        return Outcome(name, verdict, said, peak, took)

    def stop(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()  # which also closes the pipes
            self.process = None

    def close(self) -> None:
        """End the process for good."""
        self.stop()
        self.noise.close()


def _processor_seconds(process: int) -> float:
    """What a process has computed so far; 0 where it has ended."""
    words = " ".join(machine.read_lines(Path(f"/proc/{process}/stat"))).rpartition(")")[2].split()
    return sum(map(int, words[11:13])) / os.sysconf("SC_CLK_TCK") if words else 0.0


def spoilt(clean: Path, name: str, *, folder: Path, rng: np.random.Generator) -> str:
    """Copy a sample, spoil one file of it, and say which and how."""
    shutil.copytree(clean / name, folder)
    return str(DAMAGE["damage"](folder, rng))


def run_command(clean: Path, name: str, *, folder: Path, limits: Limits) -> Outcome:
    """Read a folder by the command line."""
    words = READERS[name].command(folder, clean)
    begun = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "cervseg", *words], capture_output=True, text=True,
            errors="replace", timeout=limits.command, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Outcome(name, "BAD", f"hangs: cervseg {' '.join(words)}", 0, limits.command)
    took = time.monotonic() - begun
    told = re.findall(r"^(?:error|failed): .*", done.stderr, re.MULTILINE)
    said = f"exit code {done.returncode}: {' '.join(told)}"
    # What a library says when the process is over, zarr on a busy machine say, is noise.
    over = "Exception ignored in" in done.stderr
    if done.returncode not in (0, 2, 3, 5) or ("Traceback" in done.stderr and not over):
        return Outcome(name, "BAD", f"{said}\n{done.stderr[-3000:]}", 0, took)
    if done.returncode and not told:
        return Outcome(name, "BAD", f"no line: {done.stderr[-3000:]}", 0, took)
    verdict = "noisy" if over else "line" if done.returncode else "valid"
    return Outcome(name, verdict, said if told else "", 0, took)


@dataclass(frozen=True)
class Plan:
    """What to do: how many inputs, by commands how many more, with which seed, of which readers."""

    count: int
    commands: int
    seed: int
    names: Sequence[str]
    limits: Limits = Limits()


def fuzz(folder: Path, plan: Plan) -> tuple[list[Outcome], list[Outcome]]:
    """Spoil and read; what was not bad is removed again.

    Returns:
        Outcomes of readers and of commands.
    """
    runtime.start(device="cpu", threads=1)
    clean = folder / "clean"
    SAMPLES["write_samples"](clean, ["model", "photo-png", "dataset", "config-old", *plan.names])
    worker = Worker(clean, plan.names, plan.limits)
    with_command = [name for name in plan.names if READERS[name].command]
    found: tuple[list[Outcome], list[Outcome]] = ([], [])
    for number in range(plan.count + plan.commands):
        is_command = number >= plan.count
        names = with_command if is_command else plan.names
        name = names[number % len(names)]
        place = folder / f"{number:05d}-{name}"
        place.mkdir()
        spoiled = place / "input"
        way = spoilt(clean, name, folder=spoiled, rng=np.random.default_rng((plan.seed, number)))
        if is_command:
            outcome = run_command(clean, name, folder=spoiled, limits=plan.limits)
        else:
            outcome = worker.read(name, spoiled)
        found[is_command].append(outcome._replace(said=f"[{way}] {outcome.said}".strip()))
        if outcome.verdict == "BAD":
            print(f"BAD {spoiled} ({way}): {outcome.said}", file=sys.stderr, flush=True)
        else:
            shutil.rmtree(place)
    worker.close()
    return found


def show(outcomes: Iterable[Outcome], title: str) -> None:
    """Print a table of verdicts by group of readers."""
    outcomes = list(outcomes)
    print(f"{title:24}" + "".join(f"{verdict:>8}" for verdict in VERDICTS))
    groups = list(dict.fromkeys(READERS[o.reader].group for o in outcomes))
    for group in (*groups, "all"):
        verdicts = Counter(o.verdict for o in outcomes if group in (READERS[o.reader].group, "all"))
        print(f"{group:24}" + "".join(f"{verdicts[verdict]:8}" for verdict in VERDICTS))
    most, longest = max(o.megabytes for o in outcomes), max(o.seconds for o in outcomes)
    memory = f"{most:.0f} MB above idle and " if most else ""
    print(f"at most {memory}{longest:.1f} s an input")


def main(argv: list[str] | None = None) -> int:
    """Fuzz and print tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--commands", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--readers", nargs="+", choices=READERS, default=[*READERS], metavar="NAME")
    parser.add_argument("--seconds", type=float, default=10, help="for an input, at most")
    parser.add_argument("--memory", type=float, default=2000, help="megabytes above idle, at most")
    parser.add_argument("--folder", type=Path, help="where inputs are made; else a temporary one")
    parser.add_argument("--lines", action="store_true", help="print every line that was said")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args(argv)
    if asked.serve:
        serve(asked.serve, asked.readers)
        return 0
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="fuzz-"))
    limits = Limits(asked.seconds, asked.memory)
    plan = Plan(asked.count, asked.commands, asked.seed, asked.readers, limits)
    by_reader, by_command = fuzz(folder, plan)
    every = [*by_reader, *by_command]
    if asked.lines:
        shown = {re.sub(rf"{re.escape(str(folder))}/\d+-", "", o.said) for o in every}
        print(*sorted(shown), sep="\n")
    for outcomes, title in ((by_reader, "read by"), (by_command, "read by a command")):
        if outcomes:
            show(outcomes, title)
    is_bad = any(outcome.verdict == "BAD" for outcome in every)
    if not is_bad and not asked.folder:
        shutil.rmtree(folder)
    return int(is_bad)


if __name__ == "__main__":
    sys.exit(main())

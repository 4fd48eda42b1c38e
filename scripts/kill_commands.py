"""Kill the commands again and again, call each once more as it says, and compare all it wrote.

    python scripts/kill_commands.py --kills 100 --writes 10
    python scripts/kill_commands.py --only tiled-infer --kills 30 --model MODEL --images slide.tif

A first run of each command is left alone; what appears in its output folder, file after file, is
its journal. Further runs are killed (SIGKILL): `--writes` of them while a file is half written, the
others at moments uniform between the first and the last entry of the journal. Then the same command
with `--resume` must end with exit code 0 and leave what the first run left: the same files with the
same bytes, but for times and how often it was resumed. `export` is called as before; its files come
from libraries that write no bytes twice, so what counts is their names, that the folder is there as
a whole or not at all, and the comparison with the model that the command makes itself.

Without `--model` and `--images` fields are drawn, tiled and learned first: a minute.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from cervseg.reports import JSON

TIMES = {"started", "seconds", "resumed", "created", "peak_memory", "ended_at"}
"""Keys of our JSON that differ between equal runs."""

NOT_COMPARED = {".lock", "log.txt", "report.html"}
"""Files that tell of times."""

EXPORTED = ("--format", "saved_model")
"""The format that needs no other library."""

CONFIG = """\
data:
  output: tiles
  source: {images: fields/images, masks: fields/masks}
  classes: {cell: "#00c853"}
  split: {kind: fractions, train: 0.5, valid: 0.25, test: 0.25}
  scale: 0.125
  tile_size: 64
model: {base_filters: 4, num_layers: 3}
train: {output: run, epochs: 6, batch_size: 4, steps_per_epoch: 10, optimizer: adamw, ema: 0.9}
tiled_infer: {probabilities: true, large_from: 0}
runtime: {threads: 1, device: cpu}
"""


class Case(NamedTuple):
    """A command, how it goes on after a kill, and whether its folder appears as a whole."""

    words: list[str]
    resume: list[str]
    at_once: bool = False


class Kill(NamedTuple):
    """When to kill: so many seconds after the first entry, or in the middle of a write."""

    after: float
    writing: bool


def cases(asked: argparse.Namespace, output: Path) -> dict[str, Case]:
    """Each command with an output folder."""
    on = ["--resume"]
    model = [word for name in asked.model.split(",") for word in ("--model", name)]
    images = list(map(str, asked.images))
    large = ["--set", "tiled_infer.large_from=0", "--set", "tiled_infer.probabilities=true"]
    return {
        "dataset-tile": Case(["dataset-tile", "c.yaml", "--set", f"data.output={output}"], on),
        "train": Case(["train", "c.yaml", "--set", f"train.output={output}"], on),
        "evaluate": Case(["evaluate", "c.yaml", *model, "--output", str(output)], on),
        "tiled-infer": Case(["tiled-infer", *model, *images, "--output", str(output), *large], on),
        "export": Case(["export", model[1], *EXPORTED, "--output", str(output)], [], at_once=True),
    }


def command(words: Sequence[str]) -> list[str]:
    """As it is started."""
    return [sys.executable, "-m", "cervseg", *words, "--quiet"]


def files_of(output: Path) -> list[str]:
    """Names of the files that are there now, and of those beside it that begin like it."""
    found = []
    for folder in output.parent.glob(f"*{output.name}*"):
        for where, _, names in os.walk(folder):
            found += [os.path.relpath(Path(where) / name, output) for name in names]
    return found


def digests(output: Path) -> dict[str, str]:
    """Of each file, without what tells of times."""
    return {
        name: _digest(output / name)
        for name in sorted(files_of(output))
        if Path(name).name not in NOT_COMPARED
    }


def _digest(path: Path) -> str:
    content = path.read_bytes()
    if path.suffix == ".json":
        content = json.dumps(_timeless(json.loads(content))).encode()
    return hashlib.sha256(content).hexdigest()


def _timeless(value: JSON) -> JSON:
    if isinstance(value, dict):
        return {k: _timeless(v) for k, v in value.items() if k not in TIMES}
    return [_timeless(one) for one in value] if isinstance(value, list) else value


def watch(process: subprocess.Popen[bytes], output: Path) -> Iterator[str | None]:
    """Names in the order in which they appear while a process runs; None between two looks."""
    seen: set[str] = set()
    while process.poll() is None:
        for name in sorted(set(files_of(output)) - seen):
            seen.add(name)
            yield name
        yield None
        time.sleep(0.001)


def is_write(name: str) -> bool:
    """Whether it is a file that is not whole yet."""
    return ".partial." in Path(name).name and not name.endswith(".band")


def start(words: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a run."""
    return subprocess.Popen(command(words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def kill(words: Sequence[str], output: Path, when: Kill) -> bool:
    """Begin a run and kill it; whether a half-written file is left.

    A run that ends before, faster than the first one, is begun anew and killed sooner.
    """
    for attempt in range(20):
        if attempt:
            when = when._replace(after=0.8 * when.after)
        process, first = start(words), 0.0
        for name in watch(process, output):
            first = first or (time.monotonic() if name else 0.0)
            due = first and time.monotonic() >= first + when.after
            if due and (not when.writing or any(map(is_write, files_of(output)))):
                process.send_signal(signal.SIGKILL)
                break
        process.wait()
        halves = any(map(is_write, files_of(output)))
        if process.returncode == -signal.SIGKILL and (halves or not when.writing):
            return halves
        clear(output)
    raise SystemExit(f"{words[0]}: 20 runs were too fast to be killed {when.after:.2f} s in")


def clear(output: Path) -> None:
    """Remove an output and what is beside it."""
    for folder in output.parent.glob(f"*{output.name}*"):
        shutil.rmtree(folder)


def prepare(asked: argparse.Namespace) -> None:
    """Draw, tile and learn what the commands need; the working folder is ours."""
    draw = Path(__file__).with_name("synthetic_fields.py")
    subprocess.run([sys.executable, str(draw), "fields", "--fields", "8"], check=True)
    Path("c.yaml").write_text(CONFIG)
    for words in (["dataset-tile", "c.yaml"], ["train", "c.yaml"]):
        subprocess.run(command(words), check=True)
    asked.model, asked.images = asked.model or "run", asked.images or [Path("fields/images")]


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100, help="over all commands")
    parser.add_argument("--writes", type=int, default=10, help="of them, inside a write")
    parser.add_argument("--only", nargs="+", metavar="COMMAND", help="default: all five")
    parser.add_argument("--model", default="", help="several with commas")
    parser.add_argument("--images", nargs="+", type=Path, default=[])
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    asked = parser.parse_args()
    asked.images = [path.resolve() for path in asked.images]
    if asked.model and ":" not in asked.model:
        asked.model = str(Path(asked.model).resolve())
    rng = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        prepare(asked)
        output = Path("out/it")
        chosen = [*cases(asked, output)] if not asked.only else asked.only
        print(f"{'command':14s}{'kills':>6s}{'in a write':>12s}{'files left':>14s}{'lost':>6s}")
        worst = 0
        for place, name in enumerate(chosen):
            share = [len(range(place, n, len(chosen))) for n in (asked.kills, asked.writes)]
            worst = max(worst, test(cases(asked, output)[name], output, share=share, rng=rng))
    return 1 if worst else 0


def test(case: Case, output: Path, *, share: list[int], rng: random.Random) -> int:
    """Kill one command so many times, and tell; how often something was lost."""
    output.parent.mkdir(exist_ok=True)
    clear(output)
    process = start(case.words)
    moments = [time.monotonic() for name in watch(process, output) if name]
    if process.returncode:
        raise SystemExit(f"{case.words[0]}: the first run ended with {process.returncode}")
    expected, lost, halves, left = digests(output), 0, 0, []
    for number in range(share[0]):
        clear(output)
        after = rng.uniform(0, moments[-1] - moments[0])
        halves += kill(case.words, output, Kill(after, number < share[1]))
        left.append(len(files_of(output)))
        half = case.at_once and output.exists() and not expected.keys() <= digests(output).keys()
        code = subprocess.run(command([*case.words, *case.resume]), check=False,
                              stdout=subprocess.DEVNULL).returncode  # fmt: skip
        found = digests(output) if code == 0 else {}
        same = found.keys() == expected.keys() if case.at_once else found == expected
        if half or not same:
            lost += 1
            different = sorted(
                n for n in found.keys() | expected.keys() if found.get(n) != expected.get(n)
            )
            print(f"  killed {after:.2f} s in, then exit code {code}: {', '.join(different[:5])}")
    spread = f"{min(left)} to {max(left)} of {len(expected)}"
    print(f"{case.words[0]:14s}{share[0]:6d}{halves:12d}{spread:>14s}{lost:6d}", flush=True)
    return lost


if __name__ == "__main__":
    sys.exit(main())

"""Time tiled inference against a naive loop and MONAI: same network, fields, tiles and overlap.

    python scripts/benchmark_tiled.py [--networks unet lite_unet] [--engines keras openvino onnx]
        [--size 768 2048] [--repeats 3] [--json | --markdown]
    python scripts/benchmark_tiled.py --linear            # time against tiles, 2048² to 16384²
    python scripts/benchmark_tiled.py --picture seams.png --model runs/demo [--image FIELD]

`unet` is that of `configs/metaplastic_reference.yaml` with random weights, whose values cost no
time. Each method has a process of its own; they take turns, so that whatever else the machine does
hits all, and medians are compared. Together they take 12 GB of memory with `unet`. MONAI is
optional: `pip install torch==2.13.0`, then `pip install 'cervseg[benchmark]'`.

Timed is the whole road from pixels to probabilities in the field's grid, and in the same turn the
method's bare forward of tiles that lie ready; what the road takes beyond it is overhead.
"""

import argparse
import json
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow
from tiled_tables import Row, digest, tell, tell_line, tell_seams

from cervseg import machine, runtime

SCRIPTS = Path(__file__).resolve().parent
SIZES = (2048, 4096, 8192, 12288, 16384)
ENGINES = {"keras": "keras", "openvino": "openvino", "onnx": "onnxruntime"}
"""Engines, and the module by which one sees that they are installed."""

INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve", "bf16")


class MethodError(Exception):
    """A method can't be measured here; says why."""


class Worker:
    """A method in a process of its own, ready for its turns; leaves with the block.

    Args:
        job: What `tiled_methods.py` is told.

    Raises:
        MethodError: It did not get ready.
    """

    def __init__(self, job: Mapping[str, object]) -> None:
        count = str(job["threads"])
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, SCRIPTS / "tiled_methods.py", json.dumps(job)],
            env={**os.environ, "CERVSEG_CACHE": f"{job['scratch']}/cache",
                 "OMP_NUM_THREADS": count, "OPENBLAS_NUM_THREADS": count},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )  # fmt: skip
        try:
            self.facts: dict[str, Any] = self._answer()["facts"]
        except MethodError:
            self.__exit__()
            raise

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def turn(self) -> dict[str, float]:
        """Take a turn.

        Raises:
            MethodError: The process died.
        """
        assert self._process.stdin is not None
        try:
            print("turn", file=self._process.stdin, flush=True)
        except BrokenPipeError as exc:
            raise MethodError("its process died") from exc
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._log.seek(0)
            talk = self._log.read().decode(errors="replace").strip().splitlines()
            last = talk[-1] if talk else "without a word"
            raise MethodError(f"its process ended with {self._process.returncode}: {last}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            hint = f" ({answer['hint']})" if answer["hint"] else ""
            raise MethodError(answer["error"] + hint)
        return answer


def methods(engines: Sequence[str]) -> list[tuple[Row, dict[str, object]]]:
    """All rows, and what their workers are told beside the rest."""
    precisions = ["float32", *(["bfloat16"] if machine.has_bfloat16() else [])]
    found: list[tuple[Row, dict[str, object]]] = [
        (Row("naive loop of predict", "float32"), {"method": "naive"})
    ]
    for precision in precisions:
        row = Row("MONAI sliding_window_inference", precision)
        found.append((row, {"method": "monai", "precision": precision}))
    for engine in engines:
        for precision in precisions:
            if engine == "onnx" and precision == "bfloat16":
                continue  # it has none
            row = Row(f"cervseg, {engine}", precision)
            if find_spec(ENGINES[engine]) is None:
                row.failure = f"not installed (pip install 'cervseg[{engine}]')"
            found.append((row, {"method": "ours", "engine": engine, "precision": precision}))
    return found


def compare(job: Mapping[str, object], engines: Sequence[str]) -> dict[str, Any]:
    """Measure all methods with one network, in turns."""
    network = str(job["network"])
    with Worker({**job, "method": "build"}) as worker:
        costs = worker.facts
    rates, rows = Row("matrix product", "float32"), methods(engines)
    product: dict[str, object] = {"method": "product"}
    with ExitStack() as stack:
        workers: list[tuple[Row, Worker]] = []
        for row, more in [*rows, (rates, product)]:
            if row.failure:
                continue
            talk(f"{network}: {row.name}, {row.precision}: gets ready")
            try:
                workers.append((row, stack.enter_context(Worker({**job, **more}))))
                row.facts = workers[-1][1].facts
            except MethodError as exc:
                row.failure = str(exc)
        take_turns(workers, int(str(job["repeats"])), network)
    return {"network": network, **costs, "rates": rates, "rows": [row for row, _ in rows]}


def take_turns(workers: Sequence[tuple[Row, Worker]], repeats: int, network: str) -> None:
    """Let all methods take turns; who begins changes."""
    for number in range(repeats):
        talk(f"{network}: turn {number + 1} of {repeats}")
        for row, worker in workers if number % 2 else workers[::-1]:
            if row.failure:
                continue
            try:
                row.turns.append(worker.turn())
            except MethodError as exc:
                row.failure, row.turns = str(exc), []


def instructions() -> str:
    """What the processor can, of what matters here, by what Linux tells of it."""
    try:
        words = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return "unknown"
    return " ".join(name for name in INSTRUCTIONS if name in words) or "none of note"


def machine_facts(build: Mapping[str, Any]) -> dict[str, Any]:
    """Cores, instructions and versions; never a host name."""
    facts = {**build, "instructions": instructions()}
    for name in ("openvino", "onnxruntime", "torch", "monai"):
        try:
            facts[name] = version(name)
        except PackageNotFoundError:
            continue
    return facts


def write_fields(folder: Path, count: int, size: tuple[int, int]) -> list[str]:
    """Draw fields as the demo has them; the files."""
    draw = runpy.run_path(str(SCRIPTS / "synthetic_fields.py"))["draw_field"]
    folder.mkdir()
    paths = []
    for number in range(1, count + 1):
        pixels = draw(np.random.default_rng([0, number]), height=size[0], width=size[1])[0]
        paths.append(folder / f"field_{number:03d}.png")
        Pillow.fromarray(pixels).save(paths[-1], compress_level=1)
    return list(map(str, paths))


def talk(text: str) -> None:
    """Say to stderr how far it is."""
    print(f"{text} …", file=sys.stderr, flush=True)


def benchmark(options: argparse.Namespace, job: dict[str, object]) -> dict[str, Any]:
    """Measure all networks."""
    found = [
        compare({**job, "network": name, "model": f"{job['scratch']}/{name}"}, options.engines)
        for name in options.networks
    ]
    return {
        "size": options.size, "fields": options.fields, "repeats": options.repeats,
        "tile": options.tile, "machine": machine_facts(found[0]["machine"]),
        "networks": [digest(one) for one in found],
    }  # fmt: skip


def straightness(options: argparse.Namespace, job: dict[str, object]) -> dict[str, Any]:
    """Measure the light network on growing images."""
    job |= {"network": "lite_unet", "model": f"{job['scratch']}/lite_unet"}
    with Worker({**job, "method": "build"}) as worker:
        facts = worker.facts["machine"]
    talk("lite_unet on growing images")
    engine = {"engine": "openvino" if "openvino" in options.engines else options.engines[0]}
    with Worker({**job, **engine, "method": "linear", "sizes": options.linear}) as worker:
        return {**worker.facts, "repeats": options.repeats, "machine": machine_facts(facts)}


def seams(options: argparse.Namespace, job: dict[str, object]) -> dict[str, Any]:
    """Draw the picture."""
    paths = {"model": str(options.model.resolve()), "picture": str(options.picture.resolve())}
    with Worker({**job, **paths, "method": "picture", "tile": None}) as worker:
        return worker.facts


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    installed = [name for name, module in ENGINES.items() if find_spec(module)]
    parser = argparse.ArgumentParser(description="Time tiled inference against other ways.")
    add = parser.add_argument
    add("--networks", nargs="+", choices=["unet", "lite_unet"], default=["unet", "lite_unet"])
    add("--engines", nargs="+", choices=list(ENGINES), default=installed,
        help="of ours (default: those installed)")  # fmt: skip
    add("--size", type=int, nargs="+", default=[768, 2048], metavar="PIXELS",
        help="height and width of a field, or its side (default 768 2048)")  # fmt: skip
    add("--fields", type=int, default=1, help="how many (default 1)")
    add("--repeats", type=int, default=3, help="turns (default and at least 3)")
    add("--tile", type=int, default=512, help="side, pixels (default 512)")
    add("--overlap", default="auto", help="pixels, or auto (default)")
    add("--batch", type=int, default=1, help="tiles at once (default: 1, as batch_size: auto)")
    add("--levels", type=int, help="of unet, to try the script out (default: the reference's 8)")
    add("--threads", type=int, default=runtime.allowed_cores(), help="default: all cores")
    add("--linear", type=int, nargs="*", metavar="SIDE", help="time against tiles instead")
    add("--picture", type=Path, metavar="PNG", help="draw seams instead; needs --model")
    add("--model", type=Path, metavar="RUN", help="trained, for --picture")
    add("--image", type=Path, help="for --picture (default: a drawn field)")
    add("--json", action="store_true", help="one JSON document")
    add("--markdown", action="store_true", help="tables for a page")
    options = parser.parse_args(argv)
    if min(options.fields, options.batch, options.threads, *options.size) < 1:
        parser.error("sizes and numbers are at least 1")
    if options.repeats < 3 or len(options.size) > 2:
        parser.error("at least 3 repeats, and one or two sizes")
    if options.overlap != "auto" and not options.overlap.isdigit():
        parser.error("--overlap is pixels or auto")
    if options.picture and not options.model:
        parser.error("--picture needs --model RUN, a trained one")
    options.size = (options.size * 2)[:2]
    if options.linear is not None:
        options.linear = options.linear or list(SIZES)
        if len(options.linear) < 3:
            parser.error("--linear needs three sides or more")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and tell; the exit code."""
    options = parse(argv)
    with tempfile.TemporaryDirectory(prefix="cervseg-benchmark-") as scratch:
        job: dict[str, object] = {
            "scratch": scratch, "levels": options.levels, "tile": options.tile,
            "overlap": options.overlap if options.overlap == "auto" else int(options.overlap),
            "batch": options.batch, "threads": options.threads, "repeats": options.repeats,
        }  # fmt: skip
        image = str(options.image.resolve()) if options.image else None
        size = (options.size[0], options.size[1])
        job["fields"] = [image] if image else write_fields(
            Path(scratch) / "images", options.fields, size
        )  # fmt: skip
        try:
            if options.picture:
                document = seams(options, job)
                text = tell_seams(document)
            elif options.linear is not None:
                document = straightness(options, job)
                text = tell_line(document, markdown=options.markdown)
            else:
                document = benchmark(options, job)
                text = tell(document, markdown=options.markdown)
        except MethodError as exc:
            print(f"error: {exc}", file=sys.stderr)
            return 2
    print(json.dumps(document, indent=1) if options.json else text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Time a built-in model, from a photograph to its mask, against the reference's network and loop.

    python scripts/benchmark_shipped.py [--model builtin:metaplastic] [--image FIELD] [--repeats 3]

The other side is the U-Net of `configs/metaplastic_reference.yaml` with random weights, Keras's
`predict` on tile after tile of 512 pixels at an overlap of 128, 20 of a photograph of 2048 x 1536.
All models are loaded and warm, all read the same file and write the mask as PNG; ours also as it is
by default, with overlay and objects. They take turns; medians are compared. Without `--image` a
field is drawn.

Then each engine is started once as a command of its own: seconds and memory with all start-up.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image as Pillow
from synthetic_fields import draw_field
from tiled_naive import naive_loop
from tiled_network import REFERENCE

from cervseg import machine, runtime
from cervseg.classes import Classes
from cervseg.commands.inputs import find_inputs
from cervseg.commands.opening import Opening, open_segmenter
from cervseg.config.inference import TiledInferConfig
from cervseg.config.loader import load_config
from cervseg.config.model import network_options
from cervseg.config.runtime import RuntimeConfig
from cervseg.contract import Contract
from cervseg.grid import TileGrid
from cervseg.images.photo import open_photo
from cervseg.inference.outputs import OutputFolder
from cervseg.reports import SILENT

TILE, OVERLAP = 512, 128
WAYS: dict[str, dict[str, object]] = {
    "mask alone": {"overlays": False, "objects": False},
    "as it is": {},
    "flips": {"augment": "flips"},
}
Road = Callable[[], object]
"""From the file to the mask."""


def main() -> int:
    """Measure, then print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, default=Path("builtin:metaplastic"))
    parser.add_argument("--image", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    engines = ["keras", *(["openvino"] if find_spec("openvino") else [])]
    with TemporaryDirectory() as place:
        folder = Path(place)
        image = asked.image or draw(folder)
        threads = runtime.allowed_cores()
        roads: dict[str, Road] = {"reference, naive loop": reference_road(image, folder, threads)}
        for engine in engines:
            for name, keys in WAYS.items():
                roads[f"{engine}, {name}"] = our_road(
                    asked.model, image, folder / f"{engine}-{name}", engine=engine, keys=keys,
                    threads=threads,
                )  # fmt: skip
        medians = take_turns(roads, asked.repeats)
        slowest = medians["reference, naive loop"]
        for name, seconds in medians.items():
            print(f"{name:40} {seconds:8.3f} s {slowest / seconds:8.1f} x")
        for engine in engines:
            seconds, peak = start(asked.model, image, folder / f"start-{engine}", engine=engine)
            print(f"{engine}, started for one photograph: {seconds:.1f} s, {peak / 1e9:.2f} GB")
    print(f"{threads} cores, {runtime.machine()}")
    return 0


def draw(folder: Path) -> Path:
    """A drawn field of 2048 x 1536, as a camera saves it."""
    path = folder / "field.jpg"
    pixels, _ = draw_field(np.random.default_rng(0), height=1536, width=2048)
    Pillow.fromarray(pixels).save(path, quality=92)
    return path


def reference_road(image: Path, folder: Path, threads: int) -> Road:
    """The loop with the reference's network."""
    runtime.start(device="cpu", threads=threads)
    from cervseg.models.folder import build_network

    config = load_config(REFERENCE).config.model
    contract = Contract(
        architecture=config.architecture, options=network_options(config), activation="sigmoid",
        classes=Classes.of({"cell": "#00ff00"}), tile_size=TILE,
    )  # fmt: skip
    model = build_network(contract, where=str(REFERENCE))

    def road() -> None:
        pixels = open_photo(image).pixels
        height, width = (TileGrid.padded(side, TILE, TILE - OVERLAP) for side in pixels.shape[:2])
        answer = naive_loop(model, TileGrid(height, width, TILE, OVERLAP, 1))(pixels)
        mask = (answer[..., 0] >= 0.5).astype(np.uint8) * 255
        Pillow.fromarray(mask).save(folder / "reference.png")

    return road


def our_road(
    model: Path, image: Path, folder: Path, *, engine: str, keys: Mapping[str, object], threads: int
) -> Road:
    """What `tiled-infer` does with a photograph once it is open."""
    folder.mkdir()
    section = TiledInferConfig.model_validate({"engine": engine, **keys})
    settings = RuntimeConfig(device="cpu", threads=threads)
    opening = Opening("tiled-infer", section, (model,), OutputFolder(folder), settings)
    tools = open_segmenter(opening)
    path, name = find_inputs([image])[0]
    return lambda: tools.segment(open_photo(path), path, name, progress=SILENT)


def take_turns(roads: dict[str, Road], repeats: int) -> dict[str, float]:
    """Median seconds of each, after one turn that warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in roads}
    for turn in range(repeats + 1):
        for name, road in roads.items():
            begun = time.perf_counter()
            road()
            if turn:
                seconds[name].append(time.perf_counter() - begun)
    return {name: float(np.median(each)) for name, each in seconds.items()}


def start(model: Path, image: Path, output: Path, *, engine: str) -> tuple[float, int]:
    """Seconds and peak memory of the command for one photograph."""
    words = ["tiled-infer", str(image), "--model", str(model), "--output", str(output), "--quiet"]
    begun, peak = time.perf_counter(), 0
    process = subprocess.Popen(
        [sys.executable, "-m", "cervseg", *words, "--set", f"tiled_infer.engine={engine}"],
        stdout=subprocess.DEVNULL,
    )
    while process.poll() is None:
        peak = max(peak, machine.peak_memory(process.pid))
        time.sleep(0.02)
    if process.returncode:
        raise SystemExit(f"cervseg {' '.join(words)} failed")
    return time.perf_counter() - begun, peak


if __name__ == "__main__":
    raise SystemExit(main())

"""Time a training step as `cervseg train` takes it against Keras's own layers and the C library.

    python scripts/benchmark_training.py [--network lite_unet] [--tile 320] [--batch 6]

Three ways, each in processes of its own that take turns: Keras's batch normalisation with memory
given back as the C library likes it, ours with the same, and ours with memory that is kept. The
network has random weights, the crops are noise, which costs no other time than photographs. Told
is the median of all steps but the first two of each process, which also compile.
"""

import argparse
import json
import subprocess
import sys
import time
from statistics import median

WAYS = {
    "keras layers": (False, False),
    "our normalisation": (True, False),
    "and kept memory (cervseg train)": (True, True),
}
"""Ours instead of Keras's normalisation; whether memory is kept."""

WARM_UP = 2


def main() -> None:
    """Let the ways take turns, and tell medians."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--network", default="lite_unet")
    parser.add_argument("--tile", type=int, default=320)
    parser.add_argument("--batch", type=int, default=6)
    parser.add_argument("--steps", type=int, default=8, help="of each process, after two more")
    parser.add_argument("--repeats", type=int, default=3, help="processes of each way")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(time_steps(options)))
        return
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(options.repeats):
        for way, times in seconds.items():
            times += json.loads(run_process(way))
    slowest = median(seconds["keras layers"])
    print(f"{options.network}, {options.batch} crops of {options.tile}, seconds a step")
    for way, times in seconds.items():
        print(f"{way:34s} {median(times):6.2f}   {slowest / median(times):.2f} x")


def run_process(way: str) -> str:
    """The last line that a process of this way says."""
    words = [sys.executable, __file__, *sys.argv[1:], "--way", way]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()[-1]


def time_steps(options: argparse.Namespace) -> list[float]:
    """Train on noise, and give the seconds of each step."""
    from cervseg import machine, runtime

    ours, kept = WAYS[options.way]
    if kept:
        machine.keep_all_blocks()
    runtime.start(device="cpu")
    import keras
    import numpy as np

    from cervseg.losses import SegmentationLoss
    from cervseg.models import ARCHITECTURES
    from cervseg.models.folding import with_keras_layers

    network = ARCHITECTURES[options.network]((None, None, 3), 1)
    network = network if ours else with_keras_layers(network)
    network.compile("adam", SegmentationLoss("bce_dice", "sigmoid", channels=1))
    shape = (options.batch, options.tile, options.tile)
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    masks = (pixels[..., 0] > 128).astype(np.uint8)
    ends: list[float] = []
    clock = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: ends.append(time.perf_counter())
    )
    network.fit(pixels, masks, batch_size=options.batch, epochs=options.steps + WARM_UP + 1,
                callbacks=[clock], shuffle=False, verbose=0)  # fmt: skip
    return [after - before for before, after in zip(ends, ends[1:], strict=False)][WARM_UP:]


if __name__ == "__main__":
    main()

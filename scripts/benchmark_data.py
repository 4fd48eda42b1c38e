"""Time the making of training samples, alone, beside others, and in trainings.

    pip install "cervseg[benchmark]"         # albumentations 2.0.8, for `augment` only
    python scripts/benchmark_data.py [augment] [loop] [training] [step] [--turns 7] [--json]

augment   samples a second of 512 x 512 with the preset `reference`, one thread and two: ours,
          albumentations with the same list, and with the list made as light as it can be; decoding
          the sample from its files alone
loop      the reference's way for a step of two samples, written anew: all 17 variants of both
          sources, two of them used
training  `cervseg train` of a lite_unet at batch 8 on tiles of 256: share of the time spent waiting
          for data after the first epoch, and CPU-seconds that the data takes
step      a step of the reference-size unet (base 16, 8 levels, batch 2, 512 x 512) with its data
          against the same step on one batch that lies ready; minutes

Contestants take turns, so that whatever else the machine does hits all; medians are compared.
"""

import argparse
import json
import os
import runpy
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Pillow

from cervseg import runtime
from cervseg.arrays import RGB, Mask
from cervseg.config.augmentation import AugmentationConfig
from cervseg.data.augmentation import augment

SCRIPTS = Path(__file__).resolve().parent
IN_TRAINING = str(SCRIPTS / "benchmark_training_data.py")
"""The part that needs Keras, which must not start before it is told how."""

SIDE = 512
ANGLES = (60, 120, 180, 240, 300)

Sample = tuple[RGB, Mask]
Facts = dict[str, float]
Maker = Callable[[int], object]
"""Makes the sample of a number."""


def draw_sample() -> Sample:
    """A field of the demo, 512 x 512."""
    draw = runpy.run_path(str(SCRIPTS / "synthetic_fields.py"))["draw_field"]
    image, mask = draw(np.random.default_rng(1), height=SIDE, width=SIDE)[:2]
    return np.asarray(image, np.uint8), np.asarray(mask, np.uint8)


def our_maker(sample: Sample) -> Maker:
    """What training does."""
    config = AugmentationConfig(preset="reference")
    return lambda i: augment(*sample, config, rng=np.random.default_rng((0, i)))


def their_maker(sample: Sample, *, light: bool) -> Maker:
    """Albumentations with the list of the preset; one pipeline a thread, as it keeps state.

    Args:
        sample: Image and mask.
        light: Rotation, scale and shear in one call and a grid for the slow wave, whose noise it
            smooths at every pixel else.
    """
    import albumentations as A  # noqa: N812  # its own convention

    mirror = cv2.BORDER_REFLECT_101
    affine = partial(A.Affine, border_mode=mirror)
    turning = (
        [affine(rotate=(-180, 180), scale=(0.6, 1.0), shear=(-5.7, 5.7), p=0.95)]
        if light
        else [A.OneOf([affine(rotate=(a, a), p=1) for a in ANGLES], p=0.8),
              affine(scale=(0.6, 1.0), p=0.5), affine(shear=(-5.7, 5.7), p=0.5)]
    )  # fmt: skip
    wave = (
        A.GridDistortion(border_mode=mirror, p=0.5)
        if light
        else A.ElasticTransform(alpha=2500, sigma=40, border_mode=mirror, p=0.5)
    )
    elastic = A.ElasticTransform(alpha=112, sigma=8, border_mode=mirror, p=0.5)
    steps = [A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5), *turning, elastic, wave]
    pipelines: dict[int, Callable[..., object]] = {}

    def make(i: int) -> object:
        thread = threading.get_ident()
        if thread not in pipelines:
            pipelines[thread] = A.Compose(steps, seed=thread % 1000)
        return pipelines[thread](image=sample[0], mask=sample[1])

    return make


def decoding_maker(sample: Sample, folder: Path) -> Maker:
    """Reading a sample from a JPEG and a PNG, which no augmentation can beat."""
    Pillow.fromarray(sample[0]).save(folder / "image.jpg", quality=90)
    Pillow.fromarray(sample[1]).save(folder / "mask.png")

    def make(_: int) -> object:
        with Pillow.open(folder / "image.jpg") as image, Pillow.open(folder / "mask.png") as mask:
            return np.asarray(image), np.asarray(mask)

    return make


def time_augmentation(turns: int, *, count: int = 60) -> Facts:
    """Samples a second of each contestant, one thread and two."""
    cv2.setNumThreads(1)  # threads are ours to give
    sample = draw_sample()
    facts: Facts = {}
    with tempfile.TemporaryDirectory() as folder:
        makers = {
            "ours": our_maker(sample),
            "albumentations": their_maker(sample, light=False),
            "albumentations_light": their_maker(sample, light=True),
            "decoding": decoding_maker(sample, Path(folder)),
        }
        for threads in (1, 2):
            with ThreadPoolExecutor(threads) as pool:
                jobs = {name: partial(run_all, pool, make, count) for name, make in makers.items()}
                seconds = take_turns(jobs, turns)
            for name, values in seconds.items():
                facts[f"{name}_{threads}"] = count / statistics.median(values)
            for other in ("albumentations", "albumentations_light"):
                ratio = median_ratio(seconds[other], seconds["ours"])
                facts[f"ratio_{other}_{threads}"] = ratio
    return facts


def run_all(pool: ThreadPoolExecutor, make: Maker, count: int) -> None:
    """Make so many samples."""
    for _ in pool.map(make, range(count)):
        pass


def take_turns(jobs: Mapping[str, Callable[[], object]], turns: int) -> dict[str, list[float]]:
    """Seconds of each job in each turn, in one order and then in the other."""
    for job in jobs.values():
        job()
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(turns):
        for name in list(jobs)[:: 1 if turn % 2 else -1]:
            begun = time.perf_counter()
            jobs[name]()
            seconds[name].append(time.perf_counter() - begun)
    return seconds


def median_ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    """The median of the ratios of single turns."""
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


def time_loop(turns: int) -> Facts:
    """Seconds for the two samples of a step, theirs and ours."""
    cv2.setNumThreads(1)
    sample, ours = draw_sample(), our_maker(draw_sample())
    all_variants = runpy.run_path(str(SCRIPTS / "reference_loop.py"))["all_variants"]

    def theirs() -> None:
        rng = np.random.default_rng(0)
        pool = [variant for _ in range(2) for variant in all_variants(*sample, rng)]
        rng.choice(len(pool), 2, replace=False)

    count = iter(range(10**9))
    seconds = take_turns(
        {"loop": theirs, "ours": lambda: [ours(next(count)) for _ in range(2)]}, turns
    )
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return {**medians, "ratio": median_ratio(seconds["loop"], seconds["ours"])}


def time_training(turns: int) -> Facts:
    """What a real training waits for its data."""
    runtime.start()
    measure: Callable[[int], Facts] = runpy.run_path(IN_TRAINING)["time_training"]
    return measure(turns)


def time_step(turns: int) -> Facts:
    """Seconds of a step whose tiles are read and varied, and of one on a batch that lies ready."""
    runtime.start()
    with tempfile.TemporaryDirectory() as folder:
        ours, read = our_maker(draw_sample()), decoding_maker(draw_sample(), Path(folder))

        def make(i: int) -> object:
            read(i)
            return ours(i)

        part = runpy.run_path(IN_TRAINING)
        seconds = take_turns(part["step_jobs"](make), turns)
    steps: int = part["STEPS"]
    facts = {name: statistics.median(values) / steps for name, values in seconds.items()}
    return {**facts, "ratio": median_ratio(seconds["with_data"], seconds["bare"])}


TIMERS: dict[str, Callable[[int], Facts]] = {
    "augment": time_augmentation,
    "loop": time_loop,
    "training": time_training,
    "step": time_step,
}
JOBS = tuple(TIMERS)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and tell; the exit code."""
    parser = argparse.ArgumentParser(description="Time the making of training samples.")
    parser.add_argument("jobs", nargs="*", help=f"of {', '.join(JOBS)} (default: augment loop)")
    parser.add_argument("--turns", type=int, default=7, help="of each contestant (default 7)")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    arguments = parser.parse_args(argv)
    jobs = arguments.jobs or ["augment", "loop"]
    unknown = [job for job in jobs if job not in JOBS]
    if unknown:
        parser.error(f"no job {unknown[0]!r}; there are {', '.join(JOBS)}")
    if arguments.turns < 1:
        parser.error("at least 1 turn")
    found = {job: TIMERS[job](arguments.turns) for job in jobs}
    machine = {"cores": runtime.allowed_cores(), "load": os.getloadavg()[0]}
    if arguments.json:
        print(json.dumps({"turns": arguments.turns, "machine": machine, **found}, indent=1))
        return 0
    for job, facts in found.items():
        print(job)
        for name, value in facts.items():
            print(f"  {name:32} {value:.4g}")
    print(
        f"medians of {arguments.turns} turns; {machine['cores']} cores, load {machine['load']:.1f}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

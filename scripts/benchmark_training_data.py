"""Time what trainings wait for their data; `scripts/benchmark_data.py training step` runs it."""

import logging
import runpy
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import keras
import numpy as np

import cervseg
from cervseg import runtime
from cervseg.arrays import RGB, Mask
from cervseg.config import Config
from cervseg.data.manifest import open_dataset
from cervseg.data.samples import tile_samples
from cervseg.losses import SegmentationLoss, Term
from cervseg.models import ARCHITECTURES

SCRIPTS = Path(__file__).resolve().parent
SIDE, BATCH, STEPS = 512, 2, 4

Maker = Callable[[int], tuple[RGB, Mask]]


class EpochWatch(logging.Handler):
    """Keeps what the trainer logs of each epoch: its seconds and the percent of them waited."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.seconds: list[float] = []
        self.waited: list[float] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the numbers of `… %.1f s, waiting %.0f %%`."""
        if "waiting" in str(record.msg) and isinstance(record.args, tuple):
            *_, seconds, percent = record.args
            assert isinstance(seconds, float) and isinstance(percent, float)
            self.seconds.append(seconds)
            self.waited.append(percent)


def lite_config(folder: Path, epochs: int) -> Config:
    """A `lite_unet` at batch 8 on tiles of 256, cut from drawn fields."""
    write_fields = runpy.run_path(str(SCRIPTS / "synthetic_fields.py"))["write_fields"]
    write_fields(folder / "fields", count=8, seed=0)
    source = {part: str(folder / "fields" / part) for part in ("images", "masks")}
    split = {"kind": "fractions", "train": 0.75, "valid": 0.25, "test": 0.0}
    return Config.model_validate({
        "data": {"source": (source,), "output": str(folder / "tiles"), "split": split,
                 "tile_size": 256},
        "model": {"architecture": "lite_unet", "encoder_weights": "none"},
        "train": {"output": str(folder / "run"), "batch_size": 8, "steps_per_epoch": 12,
                  "epochs": epochs, "previews": {"num_infer_images": 0}, "patience": 0},
    })  # fmt: skip


def time_training(turns: int) -> dict[str, float]:
    """What `cervseg train` waits for data in each epoch but the first, and what the data costs."""
    with tempfile.TemporaryDirectory() as name:
        config = lite_config(Path(name), turns + 1)
        cervseg.dataset_tile(config)
        watch, log = EpochWatch(), logging.getLogger("cervseg")
        log.addHandler(watch)
        log.setLevel(logging.DEBUG)
        cervseg.train(config)
        log.removeHandler(watch)
        samples = tile_samples(open_dataset(config.data.output), config.train, seed=0)
        begun = time.thread_time()
        for step in range(len(samples)):
            samples.batch(1, step)
        cpu = time.thread_time() - begun
    return {
        "waiting_percent": statistics.median(watch.waited[1:]),
        "waiting_percent_at_most": max(watch.waited[1:]),
        "epoch_seconds": statistics.median(watch.seconds[1:]),
        "data_cpu_seconds_an_epoch": cpu,
        "data_cpu_seconds_a_sample": cpu / (8 * len(samples)),
    }


class Ready(keras.utils.PyDataset):
    """New samples, or one batch of them again and again."""

    def __init__(self, make: Maker, *, is_same: bool) -> None:
        super().__init__(workers=runtime.allowed_cores(), max_queue_size=6)
        self.make = make
        self.batch = self.stack(0) if is_same else None

    def __len__(self) -> int:
        return STEPS

    def __getitem__(self, step: int) -> tuple[RGB, Mask]:
        """Make a batch, or take the one."""
        return self.batch or self.stack(step)

    def stack(self, step: int) -> tuple[RGB, Mask]:
        """Make a batch."""
        images, masks = zip(*map(self.make, range(BATCH * step, BATCH * (step + 1))), strict=True)
        return np.stack(images), np.stack(masks)


def step_jobs(make: Maker) -> Mapping[str, Callable[[], object]]:
    """Steps of the reference-size `unet`, on data as it comes and on a batch that lies ready."""
    network = ARCHITECTURES["unet"]((SIDE, SIDE, 3), 1, base_filters=16, num_layers=8)
    network.compile("adam", SegmentationLoss([Term("bce_dice")], "sigmoid", channels=1))

    def job(data: Ready) -> Callable[[], object]:
        return lambda: network.fit(data, verbose=0, shuffle=False)

    return {
        "bare": job(Ready(make, is_same=True)),
        "with_data": job(Ready(make, is_same=False)),
    }

"""A dataset of a few tiny tiles, and all that a training of a few seconds is made of."""

import numpy as np
import pytest
from PIL import Image as Pillow

from cervseg.classes import Classes
from cervseg.config import Config
from cervseg.config.data import DataConfig
from cervseg.config.training import TrainConfig
from cervseg.contract import Preprocessing
from cervseg.data.manifest import SourceRow, TileRow, describe, open_dataset, write_dataset
from cervseg.digests import pixel_digest
from cervseg.runs import Run

SIDE = 32
TRAIN = {
    "batch_size": 2, "patience": 0, "epochs": 3, "learning_rate": 0.01, "metrics": ["dice"],
    "previews": {"num_infer_images": 0}, "augmentation": {"elastic": {"alpha": 30.0}},
    "optimizer": "sgd", "momentum": 0.0,  # its step is traced in half the time of Adam's
}  # fmt: skip
MODEL = {"base_filters": 2, "num_layers": 2, "dropout_rate": 0.3}


@pytest.fixture(autouse=True, scope="module")
def no_curves(started):
    """Pictures of curves take longer than these trainings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cervseg.training.callbacks.plot_curves", lambda *args: None)
        yield


def tile(name, split, folder):
    """A bright disc on dark noise, and its mask."""
    rng = np.random.default_rng([ord(c) for c in name])
    rows, columns = np.mgrid[:SIDE, :SIDE]
    top, left = rng.uniform(8, 24, 2)
    mask = ((rows - top) ** 2 + (columns - left) ** 2 < 36).astype(np.uint8)
    pixels = (rng.integers(0, 90, (SIDE, SIDE, 3)) + 120 * mask[..., None]).astype(np.uint8)
    (folder / "tiles").mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(pixels).save(folder / "tiles" / f"{name}.png")
    Pillow.fromarray(mask).save(folder / "tiles" / f"{name}_mask.png")
    paths = (f"tiles/{name}.png", f"tiles/{name}_mask.png")
    share, digest = float(mask.mean()), pixel_digest(pixels)
    return (
        SourceRow(
            name, *paths, "", "", name, split, "", SIDE, SIDE, 1.0, 1.0, "", digest, "", share
        ),
        TileRow(*paths, name, name, split, "window", 1.0, 0, 0, SIDE, SIDE, share, digest),
    )


@pytest.fixture(scope="session")
def make_dataset(tmp_path_factory):
    """Makes a dataset folder with so many tiles a split."""

    def make(train=4, valid=3):
        folder = tmp_path_factory.mktemp("dataset")
        names = [(f"t{i}", "train") for i in range(train)]
        names += [(f"v{i}", "valid") for i in range(valid)]
        rows = [tile(name, split, folder) for name, split in names]
        cell = Classes.of({"cell": "#00ff00"})
        document = describe(cell, scale=1.0, tile_size=SIDE, reading="index")
        document["options"] = DataConfig(tile_size=SIDE).model_dump(mode="json")
        sources, tiles = zip(*rows, strict=True)
        write_dataset(folder, document, sources=sources, tiles=tiles)
        return open_dataset(folder)

    return make


@pytest.fixture(scope="session")
def dataset(make_dataset):
    return make_dataset()


@pytest.fixture(scope="session")
def make_setup(started, dataset):
    """Makes what a training in a folder is made of."""
    from cervseg.training.trainer import Setup

    def make(folder, *, data=None, workers=1, model=None, precision="float32", **train):
        config = Config.model_validate({"model": model or MODEL})
        return Setup(
            run=Run(folder),
            dataset=data or dataset,
            model=config.model,
            train=TrainConfig.model_validate({**TRAIN, **train}),
            preprocessing=Preprocessing(),
            precision=precision,
            seed=5,
            workers=workers,
        )

    return make

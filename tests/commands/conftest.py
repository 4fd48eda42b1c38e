"""A small network and a small slide for the commands that need them."""

import hashlib

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from cervseg import tiled_infer
from cervseg.classes import Classes
from cervseg.config.loader import load_config
from cervseg.contract import Contract

HEIGHT, WIDTH = 211, 173

CONTRACT = Contract(
    architecture="unet", classes=Classes.of({"cell": "#00ff00"}), activation="sigmoid",
    tile_size=64, align=4, receptive_field=16, margin=16,
    options={"base_filters": 3, "num_layers": 2, "normalization": "batch"},
)  # fmt: skip


@pytest.fixture(scope="session")
def model(started, tmp_path_factory):
    """A small network whose answers are spread around one half."""
    from cervseg import runtime
    from cervseg.models.folder import build_network, save_model

    runtime.seed_everything(0)
    network, rng = build_network(CONTRACT, where="here"), np.random.default_rng(3)
    for variable in network.weights:
        value = np.asarray(variable) + rng.normal(0, 0.1, variable.shape)
        variable.assign(np.abs(value) + 0.3 if "variance" in variable.path else value)
    folder = tmp_path_factory.mktemp("model")
    save_model(folder, network, CONTRACT)
    return folder


@pytest.fixture(scope="session")
def slide(tmp_path_factory):
    """A tiled TIFF of blobs, 0.5 micrometres a pixel."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (HEIGHT // 9 + 1, WIDTH // 9 + 1, 3), "uint8")
    large = np.asarray(Pillow.fromarray(small).resize((WIDTH, HEIGHT), Pillow.Resampling.BICUBIC))
    path = tmp_path_factory.mktemp("slides") / "slide.tif"
    tifffile.imwrite(path, large, photometric="rgb", tile=(64, 48), compression="deflate",
                     resolution=(20000, 20000), resolutionunit="CENTIMETER")  # fmt: skip
    return path


def call(model, images, output, *, settings=(), **how):
    base = ("tiled_infer.threshold=otsu", "tiled_infer.probabilities=true", "runtime.threads=2")
    config = load_config(None, [*base, *(f"tiled_infer.{s}" for s in settings)]).config
    return tiled_infer(config, model=[model], images=images, output=output, **how)


@pytest.fixture
def run(model, slide, tmp_path):
    """Runs into a folder below `tmp_path`, by default the model on the slide."""

    def run(output, *settings, images=(slide,), by=model, **how):
        return call(by, images, tmp_path / output, settings=settings, **how)

    return run


@pytest.fixture(scope="session")
def draw_discs():
    """Draws fields and their masks: a bright disc on dark noise, 37 x 45, another in each."""

    def draw(folder, names):
        for i, name in enumerate(names):
            rng = np.random.default_rng(i)
            rows, columns = np.mgrid[:37, :45]
            top, left = rng.uniform(9, 27, 2)
            mask = (rows - top) ** 2 + (columns - left) ** 2 < 81
            pixels = (rng.integers(0, 90, (37, 45, 3)) + 120 * mask[..., None]).astype(np.uint8)
            for kind, array in (("images", pixels), ("masks", mask * np.uint8(255))):
                (folder / kind).mkdir(parents=True, exist_ok=True)
                Pillow.fromarray(array).save(folder / kind / f"{name}.png")

    return draw


@pytest.fixture(scope="session")
def digests():
    """Gives the digest of each file below a folder."""

    def digests(folder):
        return {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    return digests


@pytest.fixture(scope="session")
def finished(model, slide, tmp_path_factory):
    """The output of a large image that nothing disturbed, and its report."""
    output = tmp_path_factory.mktemp("finished") / "out"
    return output, call(model, [slide], output, settings=["large_from=0"])

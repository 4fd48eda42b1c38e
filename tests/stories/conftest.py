"""One small road for all stories: drawn fields, a tiny network, each command once."""

import json
import os
import runpy
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cervseg.cli.app import main

REPOSITORY = Path(__file__).parents[2]
draw_field = runpy.run_path(str(REPOSITORY / "scripts" / "synthetic_fields.py"))["draw_field"]

CONFIG = """\
data:
  output: tiles
  source: {images: fields/images, masks: fields/masks}
  split:
    kind: lists
    train: ["field_[123]"]
    valid: [field_4]
    test: ["field_[56]"]
  scale: 0.5
  tile_size: 64
  overlap: 32
model: {base_filters: 4, num_layers: 3}
train:
  output: run
  epochs: 2
  batch_size: 4
  steps_per_epoch: 4
  optimizer: sgd
  momentum: 0.0
  learning_rate: 1e-1
infer: {images: fields/images, output: whole}
tiled_infer: {images: fields/images, output: tiled, probabilities: true}
"""


@dataclass(frozen=True)
class Ran:
    """How a command line ended."""

    code: int
    out: str
    err: str

    @property
    def document(self):
        return json.loads(self.out)


@dataclass
class Road:
    """A folder in which commands run, and how the first five ended."""

    folder: Path
    ran: dict[str, Ran] = field(default_factory=dict)

    def __call__(self, *words):
        """Run a command in this process, so that Keras is imported once."""
        out, err = StringIO(), StringIO()
        with chdir(self.folder), redirect_stdout(out), redirect_stderr(err):
            code = main([str(word) for word in words])
        return Ran(code, out.getvalue(), err.getvalue())

    def shell(self, line, **environment):
        """Run a line of shell as its reader would, with our `python` and `cervseg` found first."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line],
            cwd=self.folder,
            env={**os.environ, "PATH": path, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )
        return Ran(done.returncode, done.stdout, done.stderr)


def write_fields(folder, names, *, seed):
    """Draw fields of 151 x 201 with masks of 0 and 255."""
    for i, name in enumerate(names):
        pixels, mask = draw_field(np.random.default_rng([seed, i]), height=301, width=402)
        pixels, mask = pixels[::2, ::2], mask[::2, ::2]  # a smaller one would hold fewer cells
        for kind, array, suffix in (("images", pixels, "jpg"), ("masks", mask * 255, "png")):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(folder / kind / f"{name}.{suffix}")


@pytest.fixture(scope="session")
def road(started, tmp_path_factory):
    """The five commands, run once; each `ran` by its name."""
    folder = tmp_path_factory.mktemp("road")
    write_fields(folder / "fields", [f"field_{i}" for i in range(1, 7)], seed=7)
    (folder / "c.yaml").write_text(CONFIG)
    road = Road(folder)
    for command in ("dataset-tile", "train", "evaluate", "infer", "tiled-infer"):
        road.ran[command] = road(command, "c.yaml", "--json")
        assert road.ran[command].code == 0, road.ran[command].err
    return road


@pytest.fixture
def clone(tmp_path):
    """A folder where commands of the pages find `scripts/` and `configs/`, as in a clone."""
    folder = tmp_path / "a clone"
    folder.mkdir()
    for name in ("scripts", "configs"):
        (folder / name).symlink_to(REPOSITORY / name)
    return Road(folder)

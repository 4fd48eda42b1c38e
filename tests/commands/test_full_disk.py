"""What a full disk, a read-only folder and vanishing files leave behind, and what is said of them.

The disk is one of Python: files opened for writing below the output folder share so many bytes, and
what no longer fits is refused as the system does it, after the part that fitted.
"""

import errno
import io
import os
import shlex
import shutil
from collections import Counter
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from cervseg import engines
from cervseg.classes import Classes
from cervseg.cli.app import main
from cervseg.commands import segmenting
from cervseg.contract import Contract
from cervseg.inference import segment
from cervseg.inference.parts import BandFolder

HEIGHT, WIDTH = 75, 101
WRITTEN = {
    "small": (
        "inference.json", "probabilities/a.png", "objects/a.geojson", "overlays/a.jpg",
        "images/a.json", "masks/a.png", "overlays/b.jpg", "masks/b.png", "summary.csv",
        "overview.png",
    ),
    "large": (
        "masks/a.partial/bands.json", "masks/a.partial/00000.band", "masks/a.partial/00002.band",
        "masks/a.partial/mask.raw", "probabilities/a.ome.tif", "objects/a.geojson",
        "overlays/a.jpg", "masks/a.ome.tif", "masks/b.partial/00001.band", "masks/b.ome.tif",
    ),
}  # fmt: skip
OPEN = io.open


class Disk:
    """Takes so many bytes below a folder, then refuses with an error of a number."""

    def __init__(self, folder, room=10**9, number=errno.ENOSPC):
        self.folder, self.room, self.number = folder, room, number
        self.journal = []  # name, bytes

    def open(self, file, mode="r", buffering=-1, *text, opener=None, **more):
        """As the built-in, which makes files in C whose writes can't be seen."""
        is_ours = not isinstance(file, int) and Path(file).is_relative_to(self.folder)
        if not is_ours or mode in ("r", "rb"):
            return OPEN(file, mode, buffering, *text, opener=opener, **more)
        raw = File(self, file, mode.replace("b", ""), opener=opener)
        if not buffering:
            return raw
        file = (io.BufferedRandom if "+" in mode else io.BufferedWriter)(raw)
        return file if "b" in mode else io.TextIOWrapper(file, *text, **more)


class File(io.FileIO):
    """A file on it."""

    def __init__(self, disk, path, mode, *, opener):
        super().__init__(path, mode, opener=opener)
        self.disk = disk
        self.path = Path(path).relative_to(disk.folder).as_posix().replace(".partial.", ".")

    def write(self, content):
        with memoryview(content).cast("B") as view:
            if view and not self.disk.room:
                raise OSError(self.disk.number, os.strerror(self.disk.number))
            written = super().write(view[: self.disk.room])
        self.disk.room -= written
        self.disk.journal.append((self.path, written))
        return written


class Given(NamedTuple):
    """A model and images."""

    model: Path
    images: list[Path]


@pytest.fixture(scope="module")
def given(started, tmp_path_factory):
    """A small network whose answers are spread around one half, and two slides of blobs."""
    from cervseg import runtime
    from cervseg.models.folder import build_network, save_model

    contract = Contract(
        architecture="unet", classes=Classes.of({"cell": "#00ff00"}), activation="sigmoid",
        tile_size=32, align=4, receptive_field=16, margin=8,
        options={"base_filters": 2, "num_layers": 2, "normalization": "none"},
    )  # fmt: skip
    runtime.seed_everything(0)
    network, rng = build_network(contract, where="here"), np.random.default_rng(3)
    for variable in network.weights:
        variable.assign(np.asarray(variable) + rng.normal(0, 0.1, variable.shape))
    folder = tmp_path_factory.mktemp("given")
    save_model(folder / "model", network, contract)
    images = [folder / "a.tif", folder / "b.tif"]
    for path in images:
        blobs = Pillow.fromarray(rng.integers(0, 256, (9, 12, 3), "uint8"))
        pixels = np.asarray(blobs.resize((WIDTH, HEIGHT), Pillow.Resampling.BICUBIC))
        tifffile.imwrite(path, pixels, photometric="rgb", tile=(32, 48))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engines, "open_model", cache(engines.open_model))  # the same every time
        yield Given(folder / "model", images)


def words(given, output, kind):
    settings = ["tiled_infer.threshold=otsu", "tiled_infer.probabilities=true", "runtime.threads=2",
                *(["tiled_infer.large_from=0"] if kind == "large" else [])]  # fmt: skip
    return ["tiled-infer", "--model", str(given.model), *map(str, given.images), "--quiet",
            "--output", str(output), *(w for s in settings for w in ("--set", s))]  # fmt: skip


class Undisturbed(NamedTuple):
    """A run that nothing disturbed: its outputs, and what was written in which order."""

    digests: dict[str, str]
    sizes: dict[str, int]
    journal: list[tuple[str, int]]

    def until(self, name):
        """Bytes that are written until half of a file is."""
        half = sum(size for path, size in self.journal if path == name) // 2
        room = 0
        for path, size in self.journal:
            if path == name and half < size:
                return room + half
            half -= size if path == name else 0
            room += size
        raise LookupError(name)


@contextmanager
def on(disk):
    """Let all files below its folder lie on a disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(io, "open", disk.open)
        patch.setattr("builtins.open", disk.open)
        yield


@pytest.fixture(scope="module")
def undisturbed(given, tmp_path_factory, digests):
    found = {}
    for kind in WRITTEN:
        output = tmp_path_factory.mktemp(kind) / "out"
        disk = Disk(output)
        with on(disk):
            assert main(words(given, output, kind)) == 0
        sizes = {name: (output / name).stat().st_size for name in digests(output)}
        found[kind] = Undisturbed(digests(output), sizes, disk.journal)
    return found


@pytest.mark.parametrize("kind", WRITTEN)
def test_every_byte_of_the_outputs_goes_through_python(undisturbed, kind):
    """A library that writes by itself may overlook that only a part was taken, as Pillow does."""
    written = Counter()
    for name, size in undisturbed[kind].journal:
        written[name] += size

    for name, size in undisturbed[kind].sizes.items():
        assert written[name] > 0.99 * size, name  # TIFF leaves gaps of single bytes


@pytest.mark.parametrize(("kind", "name"), [(k, n) for k, names in WRITTEN.items() for n in names])
def test_a_full_disk_is_one_line_and_resuming_gives_the_same_bytes(
    given, undisturbed, *, tmp_path, capsys, kind, name, digests
):
    output, whole = tmp_path / "out", undisturbed[kind]
    command = words(given, output, kind)

    with on(Disk(output, whole.until(name))):
        code = main(command)

    assert code == 5
    resume = [*command, "--resume"]
    assert capsys.readouterr() == (
        "",
        f"error: {output / name}: the disk is full\n"
        f"hint: make room, then go on with: {shlex.join(['cervseg', *resume])}\n",
    )
    for left, digest in digests(output).items():
        assert whole.digests.get(left) == digest or ".partial/" in left, left
    assert main(resume) == 0
    assert digests(output) == whole.digests


@pytest.mark.parametrize("name", ["masks/a.partial/00001.band", "objects/b.geojson"])
def test_a_disk_that_turns_read_only_is_one_line(
    given, undisturbed, *, tmp_path, capsys, name, digests
):
    output, whole = tmp_path / "out", undisturbed["large"]

    with on(Disk(output, whole.until(name), errno.EROFS)):
        code = main(words(given, output, "large"))

    assert code == 2
    assert capsys.readouterr().err == (
        f"error: {output / name}: can't be written: read-only file system\n"
        "hint: choose another output folder\n"
    )
    assert main([*words(given, output, "large"), "--resume"]) == 0
    assert digests(output) == whole.digests


MOMENTS = {
    "before it is opened": (segmenting, "find_inputs"),
    "after a band": (BandFolder, "add"),
    "before the second pass": (segment, "seam_score"),
    "when it is done": (segment.Segmenter, "segment"),
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("fault", ["vanishes", "is cut short"])
def test_an_image_that_vanishes_or_is_cut_short_fails_alone(
    given, undisturbed, *, tmp_path, monkeypatch, capsys, moment, fault, digests
):
    mine = Given(given.model, [Path(shutil.copy(path, tmp_path)) for path in given.images])
    first, output, whole = mine.images[0], tmp_path / "out", undisturbed["large"]

    def harm():
        if fault == "vanishes":
            first.unlink(missing_ok=True)
        else:
            os.truncate(first, 9000)

    with monkeypatch.context() as patch:
        after(patch, *MOMENTS[moment], harm=harm)
        code = main(words(mine, output, "large"))

    assert code == 3
    told = "no such file" if fault == "vanishes" else "can't be decoded: the file is truncated"
    assert capsys.readouterr() == (
        f"{output / 'masks/b.ome.tif'}\n",
        f"failed: {first}: {told}\n",
    )
    for name in ("masks/b.ome.tif", "objects/b.geojson", "overlays/b.jpg"):
        assert digests(output)[name] == whole.digests[name]
    shutil.copy(given.images[0], first)
    assert main([*words(mine, output, "large"), "--resume"]) == 0
    assert digests(output) == whole.digests


def after(patch, owner, name, *, harm):
    """Do harm whenever a function has returned."""
    function = getattr(owner, name)

    def harming(*arguments, **keywords):
        found = function(*arguments, **keywords)
        harm()
        return found

    patch.setattr(owner, name, harming)


def test_a_finished_band_that_vanishes_fails_its_image_alone(
    given, undisturbed, *, tmp_path, monkeypatch, capsys, digests
):
    output, whole = tmp_path / "out", undisturbed["large"]
    band = output / "masks/a.partial/00001.band"

    with monkeypatch.context() as patch:
        after(patch, segment, "return_blocks", harm=lambda: band.unlink(missing_ok=True))
        code = main(words(given, output, "large"))

    assert code == 3
    failure = f"failed: {given.images[0]}: {band}: this finished band has vanished\n"
    assert capsys.readouterr().err == failure
    assert main([*words(given, output, "large"), "--resume"]) == 0
    assert digests(output) == whole.digests

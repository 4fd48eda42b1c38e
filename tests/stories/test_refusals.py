"""What changed since it was cut, trained or begun is refused, and nothing of anybody is lost."""

import shutil
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image


@contextmanager
def away(path):
    """Without a file for a while."""
    aside = path.with_name(f"{path.name}.aside")
    path.rename(aside)
    try:
        yield
    finally:
        aside.rename(path)


@pytest.fixture
def begun(road):
    """A folder with one of two images done."""
    shutil.rmtree(road.folder / "begun", ignore_errors=True)
    words = ("tiled-infer", "--model", "run", "fields/images/field_5.jpg", "--output", "begun")
    assert road(*words).code == 0
    return ("tiled-infer", "--model", "run", "fields/images/field_5.jpg",
            "fields/images/field_6.jpg", "--output", "begun", "--resume")  # fmt: skip


def test_an_inference_goes_on_and_tells_of_all_its_images(road, begun):
    first = road.folder / "begun/masks/field_5.png"
    written = first.stat().st_mtime_ns

    ran = road(*begun)

    assert ran.code == 0
    assert ran.out.splitlines() == ["begun/masks/field_5.png", "begun/masks/field_6.png"]
    assert first.stat().st_mtime_ns == written


def test_an_inference_does_not_go_on_with_other_settings(road, begun):
    ran = road(*begun, "--set", "tiled_infer.threshold=0.9", "--set", "tiled_infer.blur=2.0")

    assert ran.code == 2
    assert "error: begun: can't resume with other threshold, blur\n" in ran.err
    assert not (road.folder / "begun/masks/field_6.png").exists()


def test_a_folder_of_somebody_else_is_not_resumed(road):
    theirs = road.folder / "theirs"
    theirs.mkdir(exist_ok=True)
    (theirs / "notes.txt").write_text("precious")

    ran = road("infer", "--model", "run", "fields/images/field_5.jpg", "--output", "theirs",
               "--resume")  # fmt: skip

    assert ran.code == 2
    assert "error: theirs: not an inference folder, so it can't be resumed\n" in ran.err
    assert [path.name for path in theirs.iterdir()] == ["notes.txt"]


def test_a_folder_in_the_place_of_unfinished_tiles_is_moved_aside(road):
    theirs = road.folder / "fresh.partial"
    theirs.mkdir()
    (theirs / "notes.txt").write_text("precious")

    assert road("dataset-tile", "c.yaml", "--set", "data.output=fresh").code == 0

    kept = [p for p in road.folder.glob("fresh.partial_*_bak/notes.txt")]
    assert [path.read_text() for path in kept] == ["precious"]


def test_overlays_are_not_taken_for_predictions(road):
    ran = road("evaluate", "c.yaml", "--predictions", "tiled", "--output", "wrong")

    assert ran.code == 3
    assert "error: tiled: an output folder, not its masks\nhint: tiled/masks\n" in ran.err


def test_a_photograph_replaced_after_tiling_is_not_scored(road):
    photo = road.folder / "fields/images/field_5.jpg"
    with away(photo):
        shutil.copy(road.folder / "fields/images/field_1.jpg", photo)
        ran = road("evaluate", "c.yaml", "--output", "replaced")
        photo.unlink()

    assert ran.code == 3
    assert f"error: {photo}: changed since the dataset was cut\n" in ran.err


@pytest.mark.parametrize(("command", "name"), [("train", "field_4"), ("evaluate", "field_6")])
def test_a_photograph_that_is_gone_is_missed_before_any_work(road, command, name):
    photo = road.folder / f"fields/images/{name}.jpg"
    output = f"--set={command}.output=gone"
    with away(photo):
        ran = road(command, "c.yaml", output)

    assert ran.code == 3
    assert f"error: {photo}: the dataset names it, but it is gone\n" in ran.err
    assert not (road.folder / "gone").exists()


def test_a_config_that_is_no_longer_that_of_the_tiles_is_refused(road):
    ran = road("train", "c.yaml", "--set", "data.overlap=0", "--set", "data.group_block=5",
               "--set", "train.output=other")  # fmt: skip

    assert ran.code == 2
    assert (
        "error: tiles was cut with another config: data.group_block, data.overlap\n"
        "hint: undo the change, or cut it again: cervseg dataset-tile CONFIG --overwrite\n"
    ) in ran.err


def test_tiles_too_large_for_the_memory_are_one_line(road, monkeypatch):
    def run_out(self, tiles):
        raise MemoryError

    monkeypatch.setattr("cervseg.engines.keras.KerasPredictor._prepare", run_out)

    ran = road("tiled-infer", "--model", "run", "fields/images/field_5.jpg", "--output", "large")

    assert ran.code == 5
    assert "error: out of memory with 3 tiles of 64 x 64\n" in ran.err


def test_a_mask_is_transparent_where_it_is_not_drawn(road):
    folder = road.folder / "glass"
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    shutil.copy(road.folder / "fields/images/field_5.jpg", folder / "images")
    shape = np.asarray(Image.open(folder / "images/field_5.jpg")).shape[:2]
    drawn = np.full((*shape, 4), 255, np.uint8)
    drawn[..., 3] = 0
    drawn[10:90, 20:60, 3] = 255
    Image.fromarray(drawn).save(folder / "masks/field_5.png")

    ran = road("evaluate", "--predictions", "glass/masks", "--images", "glass/images", "--masks",
               "glass/masks", "--output", "glassy", "--json")  # fmt: skip

    image = ran.document["results"][0]["images"][0]
    assert image["dice"] == 1
    assert image["empty_accuracy"] == pytest.approx(1 - 80 * 40 / (shape[0] * shape[1]))


def test_an_evaluation_that_is_refused_leaves_the_old_one_in_its_place(road):
    before = sorted(path.name for path in (road.folder / "run/evaluation").iterdir())

    ran = road("evaluate", "c.yaml", "--overwrite", "--set", "tiled_infer.tile_size=66")

    assert ran.code == 2
    assert "'tiled_infer.tile_size' 66 is no multiple of the model's stride 4" in ran.err
    assert sorted(path.name for path in (road.folder / "run/evaluation").iterdir()) == before

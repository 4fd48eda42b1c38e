import csv
import json
import os
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from cervseg.commands.dataset_check import dataset_check
from cervseg.commands.dataset_tile import dataset_tile
from cervseg.config.loader import load_config
from cervseg.console import report_document
from cervseg.errors import ConfigError, OutputError

WRITTEN = ["fields.csv", "findings.csv", "findings.png", "statistics.png"]


def drawn(seed, height=90, width=121):
    """A field of round cells and its mask, 0 and 255."""
    rng = np.random.default_rng(seed)
    pixels = np.full((height, width, 3), (225, 215, 235), np.uint8)
    mask = np.zeros((height, width), np.uint8)
    for _ in range(6):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        axes = (int(rng.integers(8, 16)), int(rng.integers(8, 16)))
        cv2.ellipse(pixels, centre, axes, 0, 0, 360, [int(v) for v in rng.integers(60, 180, 3)], -1)
        cv2.ellipse(mask, centre, axes, 0, 0, 360, 255, -1)
    noise = rng.normal(0, 4, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8), mask


@pytest.fixture
def fields(tmp_path):
    """Writes fields by name below a folder."""

    def write(names, below="", *, suffix=".png"):
        for name in names:
            pixels, mask = drawn(sum(map(ord, name)))
            for kind, picture in (("images", pixels), ("masks", mask)):
                folder = tmp_path / "set" / below / kind
                folder.mkdir(parents=True, exist_ok=True)
                end = suffix if kind == "masks" else ".png"
                Pillow.fromarray(picture).save(folder / f"{name}{end}")
        return tmp_path / "set"

    return write


@pytest.fixture(autouse=True)
def no_plots(monkeypatch):
    """They take longer than these checks; one test draws them."""
    monkeypatch.setattr(
        "cervseg.commands.check_pictures.plot_dataset", lambda path, *_, **__: path.touch()
    )


def check(folder, tmp_path, **options):
    return dataset_check(folder=folder, output=tmp_path / "check", **options)


def kinds(report):
    return {f["kind"] for record in report.results for f in record["findings"]}


def test_a_good_dataset_ends_with_0_and_tells_what_it_consists_of(fields, tmp_path, monkeypatch):
    monkeypatch.undo()
    report = check(fields(["abc", "bcd", "cde"]), tmp_path)

    assert (report.exit_code, report.failures, kinds(report)) == (0, (), set())
    assert [path.name for path in report.paths] == ["findings.csv", "fields.csv", "statistics.png"]
    assert all(path.stat().st_size for path in report.paths)
    (statistics,) = report.tables
    assert statistics.rows[0][:5] == ("all", "3", "3", "-", "121 x 90")
    *records, whole = report.results
    assert [record["field"] for record in records] == ["abc", "bcd", "cde"]
    assert whole["splits"][0]["objects"][0] == sum(
        len(record["statistics"]["areas"][0]) for record in records
    )
    json.dumps(report_document(report), allow_nan=False)


def test_warnings_end_with_0_and_are_errors_where_one_is_strict(fields, tmp_path):
    folder = fields(["abc", "bcd"], suffix=".jpg")

    report = check(folder, tmp_path)
    strict = check(folder, tmp_path, strict=True, overwrite=True)

    assert (report.exit_code, report.failures) == (0, ())
    assert "noise" in kinds(report)
    assert (
        sorted(path.name for path in (tmp_path / "check").iterdir() if path.name != ".lock")
        == WRITTEN
    )
    assert strict.exit_code == 3
    assert {failure.item for failure in strict.failures} == {"abc", "bcd"}
    assert strict.failures[0].message.startswith("noise: ")
    (row,) = [row for row in report.tables[0].rows if row[0] == "noise"]
    assert row[1:3] == ("warning", "2")


def test_inverted_masks_are_a_warning(fields, tmp_path):
    folder = fields(["abc", "bcd", "cde"])
    for path in (folder / "masks").iterdir():
        mask = np.asarray(Pillow.open(path)).copy()
        mask[:, :20] = 0
        Pillow.fromarray(255 - mask).save(path)

    report = check(folder, tmp_path)

    assert report.exit_code == 0 and "inverted" in {row[0] for row in report.tables[0].rows}


def test_errors_are_failures_and_the_rest_is_checked(fields, tmp_path):
    folder = fields(["abc", "bcd", "cde", "def"])
    (folder / "images" / "abc.png").write_bytes(b"none")
    (folder / "masks" / "bcd.png").unlink()
    (folder / "images" / "cde.png").unlink()

    report = check(folder, tmp_path)

    assert report.exit_code == 3
    assert {(f.item, f.message) for f in report.failures} == {
        (f"{folder}/masks/cde.png", "no partner: no image of this name"),
        (f"{folder}/images/bcd.png", "no partner: no mask of this name"),
        (
            "abc",
            f"unreadable: {folder}/images/abc.png: can't be decoded: not an image of a known kind",
        ),
    }
    assert report.results[-2]["statistics"] is not None, "def is fine"
    with (tmp_path / "check" / "findings.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["kind"] for row in rows].count("no partner") == 2


def test_a_copy_across_splits_is_a_leak_and_ends_with_4(fields, tmp_path):
    fields(["abc", "bcd"], "train")
    folder = fields(["cde"], "test")
    turned = np.rot90(drawn(sum(map(ord, "abc")))[0])
    Pillow.fromarray(np.ascontiguousarray(turned)).save(folder / "test" / "images" / "cde.png")
    mask = np.rot90(drawn(sum(map(ord, "abc")))[1])
    Pillow.fromarray(np.ascontiguousarray(mask)).save(folder / "test" / "masks" / "cde.png")
    (folder / "train" / "masks" / "bcd.png").write_bytes(b"none")

    report = check(folder, tmp_path)

    assert report.exit_code == 4, "larger than the 3 of the broken mask"
    leak = next(f for f in report.failures if f.exit_code == 4)
    assert leak.item == "cde" and leak.message.startswith("leak: nearly the same picture (")
    assert leak.message.endswith(") as abc in train, this in test")
    assert any(notice.startswith("leaks flatter scores") for notice in report.notices)


def test_a_cleaned_copy_has_no_noise_and_its_log(fields, tmp_path):
    folder = fields(["abc", "bcd"], "train", suffix=".jpg")
    fields(["cde"], "valid", suffix=".jpg")

    report = check(folder, tmp_path, fix=tmp_path / "clean")

    assert report.paths[-1] == tmp_path / "clean"
    assert report.notices == (
        f"the masks in {tmp_path}/clean are class indices: set data.masks.read: index",
    )
    changed = next(table for table in report.tables if table.title.startswith("cleaned copy"))
    assert [row[:2] for row in changed.rows] == [("copied", "3"), ("decided by the threshold", "3")]
    config = load_config(None, ["data.masks.read=index"]).config
    again = dataset_check(config, folder=tmp_path / "clean", output=tmp_path / "again")
    assert "noise" not in kinds(again) and again.exit_code == 0
    assert [r["split"] for r in again.results[:-1]] == ["train", "train", "valid"]


def test_a_config_with_a_group_in_two_splits_leaks(fields, tmp_path):
    fields(["1-abc"], "train")
    folder = fields(["1-bcd"], "valid")
    source = f"{{images: '{folder}/{{split}}/images', masks: '{folder}/{{split}}/masks'}}"
    sets = [f"data.source={source}", "data.group_pattern='^\\d'"]
    apart = load_config(None, [*sets, "data.split={kind: folders}"]).config

    report = dataset_check(apart, output=tmp_path / "check")

    assert [(f.item, f.message, f.exit_code) for f in report.failures] == [
        ("1-abc", "leak: group '1' is divided: 1 in train (1-abc), 1 in valid (1-bcd)", 4)
    ]


def test_a_copy_in_another_fold_is_a_leak(fields, tmp_path):
    folder = fields(["abc", "bcd", "cde"])
    pixels = np.asarray(Pillow.open(folder / "images" / "abc.png"))[:, ::-1]
    for kind, picture in (("images", pixels), ("masks", drawn(294)[1][:, ::-1])):
        Pillow.fromarray(picture).save(folder / kind / "def.png")
    source = f"{{images: {folder}/images, masks: {folder}/masks}}"
    sets = [f"data.source={source}", "data.folds=4", f"data.output={tmp_path}/ds"]
    dataset_tile(load_config(None, [*sets, "data.tile_size=64"]).config)

    report = check(tmp_path / "ds", tmp_path)

    (failure,) = report.failures
    assert failure.exit_code == 4
    assert re.search(r"as abc in fold \d, this in fold \d$", failure.message)


def test_a_split_that_can_not_be_filled_is_told_and_the_files_are_checked(fields, tmp_path):
    folder = fields(["abc", "bcd"])
    (folder / "masks" / "abc.png").write_bytes(b"none")
    source = f"{{images: {folder}/images, masks: {folder}/masks}}"

    report = dataset_check(
        load_config(None, [f"data.source={source}"]).config, output=tmp_path / "check"
    )

    assert [f.item for f in report.failures] == ["abc"]
    assert report.notices[0] == (
        "'data.split': 2 group(s) can't fill train, valid and test: abc, bcd"
    )


def test_the_sheet_of_augmentation_is_drawn_when_asked(fields, tmp_path):
    config = load_config(None, ["data.tile_size=64"]).config

    report = dataset_check(
        config, folder=fields(["abc", "bcd"]), output=tmp_path / "check", augmentation=True
    )

    with Pillow.open(tmp_path / "check" / "augmentation.png") as sheet:
        assert sheet.width > 500 and sheet.height > 100
    assert report.paths[-1].name == "augmentation.png"


def test_outputs_that_are_occupied_are_refused_before_anything_is_read(fields, tmp_path):
    folder = fields(["abc"])
    (folder / "images" / "abc.png").write_bytes(b"none")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()

    for options in ({"output": tmp_path / "full"}, {"fix": tmp_path / "full"}):
        with pytest.raises(OutputError, match="the output folder is not empty"):
            dataset_check(folder=folder, **{"output": tmp_path / "check", **options})
    with pytest.raises(ConfigError) as caught:
        check(folder, tmp_path, fix=tmp_path / "check")
    assert str(caught.value) == f"--fix and --output are one folder, {tmp_path}/check"
    assert not (tmp_path / "check").exists()


def shared(name):
    repository = Path(__file__).parents[2]
    folder = Path(os.environ.get("CERVSEG_SHARED", repository.parent / "shared")) / "data" / name
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing; CERVSEG_SHARED names the folder that holds data/")
    return folder


@pytest.mark.slow
def test_the_shared_herlev_folders_as_published_leak_and_grouped_by_slide_they_pass(tmp_path):
    folder, source = shared("herlev-severe"), shared("herlev-severe") / "{split}"
    by_slide = ["data.group_pattern='^(\\d+)-'"]
    pooled = f"data.source={{images: '{source}/images', masks: '{source}/masks'}}"

    published = dataset_check(
        load_config(None, by_slide).config, folder=folder, output=tmp_path / "published"
    )
    grouped = dataset_check(
        load_config(None, [*by_slide, pooled, "data.split={kind: fractions}"]).config,
        output=tmp_path / "grouped",
    )

    assert published.exit_code == 4
    assert len(published.failures) == 20
    assert all("is divided" in failure.message for failure in published.failures)
    assert (grouped.exit_code, grouped.failures) == (0, ())
    noise = [f for r in grouped.results for f in r["findings"] if f["kind"] == "noise"]
    assert len(noise) == 190 and max(f["share"] for f in noise) > 0.18


@pytest.mark.slow
def test_the_shared_sipakmed_masks_are_jpeg_noise_and_a_cleaned_copy_has_none(tmp_path):
    report = check(shared("sipakmed-metaplastic"), tmp_path, fix=tmp_path / "clean")

    noise = [f for r in report.results for f in r["findings"] if f["kind"] == "noise"]
    assert report.exit_code == 0 and len(noise) == 18
    assert all("JPEG noise" in f["message"] and 0.001 < f["share"] < 0.03 for f in noise)
    config = load_config(None, ["data.masks.read=index"]).config
    clean = dataset_check(config, folder=tmp_path / "clean", output=tmp_path / "again")
    assert "noise" not in kinds(clean)
    for before, after in zip(report.results[:-1], clean.results[:-1], strict=True):
        assert before["sha256"] == after["sha256"]
        assert before["statistics"]["pixels"] == after["statistics"]["pixels"]

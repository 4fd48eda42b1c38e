import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from cervseg.commands.convert import convert
from cervseg.commands.dataset_check import dataset_check
from cervseg.commands.dataset_tile import dataset_tile
from cervseg.config import Config
from cervseg.config.data import DataConfig
from cervseg.data.labelled import labelled_sources, labelled_tiles, read_labelled
from cervseg.data.manifest import open_dataset
from cervseg.data.survey import survey_folder
from cervseg.errors import ConfigError, DataError, LeakError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def noise(seed, shape=(16, 16, 3)):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def write(kind, name, pixels):
    path = Path(kind) / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(pixels).save(path)


def files(folder):
    return sorted(p.relative_to(folder).as_posix() for p in Path(folder).rglob("*") if p.is_file())


# --- a set that is already tiled


def write_tiles(**splits):
    """For each split a mapping of tile names to pixels; masks are bright in the left half."""
    for split, tiles in splits.items():
        for name, pixels in tiles.items():
            mask = np.zeros(pixels.shape[:2], np.uint8)
            mask[:, : mask.shape[1] // 2] = 255
            write(f"{split}/images", name, pixels)
            write(f"{split}/masks", name, mask)


def tiled_config(**data):
    return Config.model_validate(
        {
            "data": {
                "output": "tiles",
                "source": {"kind": "tiles", "images": "{split}/images", "masks": "{split}/masks"},
                "split": {"kind": "folders"},
                "group_pattern": r"^(\d+)_\d+x\d+",
                "tile_size": 16,
                **data,
            }
        }
    )


@pytest.mark.parametrize(
    ("left", "kept"),
    [("sources.partial.csv", False), ("samples.partial.png", False), ("notes.partial.txt", True)],
)
def test_what_a_killed_run_left_half_written_is_not_taken_for_somebodys(folder, left, kept):
    write_tiles(train={"1_0x0": noise(0)}, valid={"2_0x0": noise(1)}, test={"3_0x0": noise(2)})
    Path("tiles.partial").mkdir()
    (Path("tiles.partial") / left).write_text("half")

    dataset_tile(tiled_config())

    assert "half" not in (Path("tiles") / "sources.csv").read_text()
    assert [p.name for p in folder.glob("tiles.partial_*_bak/*")] == [left] * kept


def test_tiles_are_indexed_where_they_are_by_field(folder):
    write_tiles(
        train={"12_0x0": noise(0), "12_0x16": noise(1), "7_16x0": noise(2)},
        valid={"120_0x0": noise(3)},
        test={"3_0x0": noise(4)},
    )

    report = dataset_tile(tiled_config())

    dataset = open_dataset(Path("tiles"))
    assert files("tiles") == ["dataset.json", "manifest.csv", "samples.png", "sources.csv"]
    assert [(row.source, row.group, row.split) for row in dataset.tiles] == [
        ("120_0x0", "120", "valid"), ("12_0x0", "12", "train"), ("12_0x16", "12", "train"),
        ("3_0x0", "3", "test"), ("7_16x0", "7", "train"),
    ]  # fmt: skip
    first = dataset.tiles[0]
    assert first.tile == str(folder / "valid/images/120_0x0.png")
    assert first.mask == str(folder / "valid/masks/120_0x0.png")
    assert (first.kind, first.top, first.left, first.height, first.width) == (
        "window", 0, 0, 16, 16,
    )  # fmt: skip
    assert (first.foreground, first.sha256) == (0.5, dataset.sources[0].sha256)
    assert dataset.reading == "threshold"
    counts = report.results[0]["train"]
    assert (counts["images"], counts["groups"], counts["tiles"]) == (3, 2, 3)


def test_masks_of_ready_tiles_are_read_as_the_config_says_ever_after():
    write_tiles(train={"1_0x0": noise(0)}, valid={"2_0x0": noise(1)}, test={"3_0x0": noise(2)})
    faint = np.zeros((16, 16), np.uint8)
    faint[:4] = 60
    write("train/masks", "1_0x0", faint)
    dataset_tile(tiled_config(masks={"threshold": 50}))
    dataset = open_dataset(Path("tiles"))

    (photograph,) = labelled_sources(dataset, dataset.sources_of("train"))
    (tile,) = labelled_tiles(dataset, dataset.tiles_of("train"))
    truths = [field.truth for field in survey_folder(Path("tiles"), DataConfig()).fields]

    for item in (photograph, tile):
        np.testing.assert_array_equal(read_labelled(item, dataset.classes).mask, faint > 0)
    assert {truth.options.threshold for truth in truths} == {50}


def test_tiles_of_one_field_in_two_splits_are_a_leak():
    write_tiles(train={"12_0x0": noise(0)}, test={"12_0x16": noise(1), "3_0x0": noise(2)})

    with pytest.raises(LeakError) as caught:
        dataset_tile(tiled_config())

    assert str(caught.value).split("\n") == [
        "training and scoring data overlap: 1 problem",
        "  group '12': 12_0x16 (test), 12_0x0 (train)",
    ]
    assert caught.value.exit_code == 4
    assert not Path("tiles").exists()


def test_blank_tiles_on_two_sides_are_no_leak_but_one_picture_is():
    blank = np.full((16, 16, 3), 231, np.uint8)
    write_tiles(
        train={"1_0x0": blank, "1_0x16": noise(0)}, valid={"2_0x0": blank}, test={"3_0x0": blank}
    )
    assert dataset_tile(tiled_config()).exit_code == 0

    write_tiles(test={"4_0x0": noise(0)})
    with pytest.raises(LeakError) as caught:
        dataset_tile(tiled_config(output="again"))

    assert str(caught.value).split("\n") == [
        "training and scoring data overlap: 1 problem",
        "  one picture: 4_0x0 (test), 1_0x16 (train)",
    ]
    assert caught.value.exit_code == 4


def test_a_tile_off_the_size_is_refused_width_first(folder):
    write_tiles(train={"1_0x0": noise(0, (16, 19, 3))}, test={"2_0x0": noise(1)})

    with pytest.raises(DataError) as caught:
        dataset_tile(tiled_config())

    assert str(caught.value) == (
        f"{folder}/train/images/1_0x0.png: 19 x 16 pixels, 'data.tile_size' is 16"
    )
    assert not Path("tiles").exists()


def test_a_tile_that_names_no_field_is_refused():
    write_tiles(train={"1_0x0": noise(0), "field_0x0": noise(1)})

    with pytest.raises(ConfigError) as caught:
        dataset_tile(tiled_config())

    assert str(caught.value) == "'data.group_pattern' does not match image name 'field_0x0'"


@pytest.mark.parametrize("key", [{"extra_scales": [0.5]}, {"include_reduced": True}])
def test_tiles_take_no_other_scale(key):
    with pytest.raises(ConfigError) as caught:
        dataset_tile(tiled_config(**key))

    assert str(caught.value) == (
        "'data.source': kind `tiles` is not cut, so it takes no other scales"
    )


def test_tiles_and_photographs_do_not_mix():
    tiles = tiled_config().data.source[0].model_dump()
    sources = [tiles, {**tiles, "kind": "folders"}]

    with pytest.raises(ConfigError) as caught:
        dataset_tile(tiled_config(source=sources))

    assert str(caught.value) == "'data.source': kind `tiles` can't be mixed with others"


def test_tiles_beside_our_own_dataset_are_read_as_indices():
    """What `dataset-tile` wrote can be taken up by another dataset."""
    for name, split in (("1_0x0", "train"), ("2_0x0", "test")):
        write(f"old/tiles/{split}/images", name, noise(ord(name[0])))
        write(f"old/tiles/{split}/masks", name, np.eye(16, dtype=np.uint8))
    Path("old/dataset.json").touch()
    source = {
        "kind": "tiles",
        "images": "old/tiles/{split}/images",
        "masks": "old/tiles/{split}/masks",
    }

    dataset_tile(tiled_config(source=source))

    dataset = open_dataset(Path("tiles"))
    assert dataset.reading == "index"
    assert {row.foreground for row in dataset.tiles} == {1 / 16}


def test_our_own_tiles_are_indices_for_every_command():
    for name, split in (("1_0x0", "train"), ("2_0x0", "test")):
        write(f"old/tiles/{split}/images", name, noise(ord(name[0])))
        write(f"old/tiles/{split}/masks", name, np.eye(16, dtype=np.uint8) * 255 // 255)
    Path("old/dataset.json").touch()
    places = {kind: f"old/tiles/{{split}}/{kind}" for kind in ("images", "masks")}
    config = tiled_config(source={"kind": "tiles", **places})

    assert not dataset_check(config, output="check").failures
    convert(config, to="masks", output="again")

    for split, name in (("train", "1_0x0"), ("test", "2_0x0")):
        paths = f"old/tiles/{split}/masks/{name}.png", f"again/{name}.png"
        np.testing.assert_array_equal(*(np.asarray(Pillow.open(path)) for path in paths))


@pytest.mark.parametrize("drawn", [{"split": {"seed": 1}}, {"folds": 3}])
def test_tiles_are_not_drawn_one_by_one(drawn):
    write_tiles(train={"1_0x0": noise(0)}, valid={"2_0x0": noise(1)}, test={"3_0x0": noise(2)})

    with pytest.raises(ConfigError, match="tiles of a photograph would train and be scored"):
        dataset_tile(tiled_config(group_pattern=None, **drawn))


# --- a leak that is allowed, near duplicates


def test_a_leak_with_a_reason_stands_and_the_dataset_says_so():
    write_tiles(train={"12_0x0": noise(0)}, test={"12_0x16": noise(1), "3_0x0": noise(2)})

    dataset_tile(tiled_config(), allow_leak="a try")

    assert json.loads(Path("tiles/dataset.json").read_text())["allowed_leak"] == {
        "reason": "a try",
        "found": [
            "training and scoring data overlap: 1 problem\n"
            "  group '12': 12_0x16 (test), 12_0x0 (train)"
        ],
    }


def test_an_empty_reason_allows_nothing():
    with pytest.raises(ConfigError, match="--allow-leak needs a reason"):
        dataset_tile(tiled_config(), allow_leak=" ")


def test_a_turned_copy_on_another_side_is_told_and_kept():
    picture = np.asarray(Pillow.fromarray(noise(7, (4, 4, 3))).resize((16, 16)))
    write_tiles(train={"1_0x0": picture, "2_0x0": noise(1)}, test={"3_0x0": np.rot90(picture)})

    report = dataset_tile(tiled_config())

    near = json.loads(Path("tiles/dataset.json").read_text())["near_duplicates"]
    assert [pair[:2] for pair in near] == [["1_0x0", "3_0x0"]] and near[0][2] > 0.98
    assert any(
        notice.startswith(
            "near duplicates on two sides of a split: 1_0x0 (train) and 3_0x0 (test), correlation "
        )
        for notice in report.notices
    )
    assert report.exit_code == 0, "a warning"


def test_every_picture_but_those_of_one_colour_has_its_hash():
    write_tiles(train={"1_0x0": noise(0)}, test={"2_0x0": np.full((16, 16, 3), 9, np.uint8)})

    dataset_tile(tiled_config())

    assert [len(row.phash) for row in open_dataset(Path("tiles")).sources] == [16, 0]


def test_tiles_in_folds_are_indexed_in_both_forms():
    write_tiles(train={f"{i}_0x0": noise(i) for i in range(4)}, test={"9_0x0": noise(9)})

    dataset_tile(tiled_config(folds=3))

    tiles = open_dataset(Path("tiles")).tiles
    assert len(tiles) == 10
    assert {(row.source, row.split) for row in tiles} == {
        (name, form) for name in ("0_0x0", "1_0x0", "2_0x0", "3_0x0", "9_0x0")
        for form in ("train", "valid")
    }  # fmt: skip


# --- photographs


def fields_config(*, seed=0, **data):
    return Config.model_validate(
        {
            "data": {
                "output": "tiles",
                "source": {"images": "images", "masks": "masks"},
                "split": {"kind": "lists", "train": ["t*"], "test": ["u*"]},
                "tile_size": 16,
                **data,
            },
            "runtime": {"seed": seed},
        }
    )


@pytest.fixture
def fields():
    """Three of 67 x 83 pixels that make 30 tiles each, 4 of them with a cell."""
    for seed, name in enumerate(("t1", "t2", "u1")):
        mask = np.zeros((67, 83), np.uint8)
        mask[14:18, 14:18] = 255
        write("images", name, noise(seed, (67, 83, 3)))
        write("masks", name, mask)


def kept(output, *, seed=0, **data):
    """The names of the tiles of each split, and how many were dropped in training."""
    report = dataset_tile(fields_config(seed=seed, output=output, **data))
    dataset = open_dataset(Path(output))
    assert report.results[0]["test"]["empty_dropped"] == 0
    names = [[row.tile for row in dataset.tiles_of(split)] for split in ("train", "test")]
    return *names, report.results[0]["train"]["empty_dropped"]


def test_of_empty_training_tiles_a_seeded_share_is_kept(fields):
    everything, test, _ = kept("all")
    full = [row.tile for row in open_dataset(Path("all")).tiles_of("train") if row.foreground]
    assert (len(everything), len(full), len(test)) == (60, 8, 30)

    half, half_test, dropped = kept("half", keep_empty=0.5)

    assert set(full) < set(half) < set(everything)
    assert len(half) + dropped == 60 and 15 < dropped < 37
    assert half_test == test, "scores are of all tiles"
    assert kept("again", keep_empty=0.5) == (half, test, dropped)
    assert kept("other", keep_empty=0.5, seed=1)[0] != half


def test_no_empty_tile_is_kept_where_none_is_wanted(fields):
    train, test, dropped = kept("full", keep_empty=0.0)

    assert (len(train), dropped, len(test)) == (8, 52, 30)


def test_fields_differ_in_which_of_their_tiles_are_kept(fields):
    train, _, _ = kept("half", keep_empty=0.5)

    names = [Path(tile).name for tile in train]
    places = [{n.removeprefix(f) for n in names if n.startswith(f)} for f in ("t1", "t2")]
    assert places[0] != places[1]


def test_only_training_tiles_overlap_and_those_of_the_test_know_each_pixel_once(fields):
    train, test, _ = kept("once", overlap=8)
    dataset = open_dataset(Path("once"))
    assert (len(train), len(test)) == (2 * 8 * 10, 5 * 6), "with steps of 8 and of 16 pixels"

    for split, again in (("train", True), ("test", False)):
        (name, *_) = sorted({row.source for row in dataset.tiles_of(split)})
        known = np.zeros((67, 83), int)
        for row in dataset.tiles_of(split):
            if row.source == name:
                with Pillow.open(dataset.path(row.mask)) as mask:
                    known[row.top : row.top + 16, row.left : row.left + 16] += (
                        np.asarray(mask) != 255
                    )
        assert known.min() == 1
        assert bool(known.max() > 1) is again


def test_the_document_says_what_was_asked_and_what_came_of_it(fields):
    kept("half", keep_empty=0.5, seed=9)

    document = json.loads(Path("half/dataset.json").read_text())

    assert (document["format"], document["seed"], document["tile_size"]) == (1, 9, 16)
    assert document["options"]["keep_empty"] == 0.5
    with Path("half/manifest.csv").open(newline="") as file:
        tiles = [row["split"] for row in csv.DictReader(file)]
    counts = document["counts"]
    assert counts["train"]["tiles"] == tiles.count("train")
    assert counts["train"]["empty_dropped"] == 60 - tiles.count("train")
    assert (counts["test"]["tiles"], counts["valid"]["images"]) == (30, 0)


# --- folds, and training from fields


@pytest.fixture
def many(fields):
    """Six more of the same kind, in pairs of one slide; of one slide without a cell."""
    for i in range(6):
        mask = np.zeros((67, 83), np.uint8)
        mask[3:9, 3 : 9 + i] = 255 * (i > 1)
        write("images", f"v{i // 2}_{i}", noise(10 + i, (67, 83, 3)))
        write("masks", f"v{i // 2}_{i}", mask)


def test_a_field_in_folds_is_cut_for_training_and_for_validation(many):
    """As `train` and `valid` would be: with overlap and dropped empties, or each pixel once."""
    train, test, _ = kept("split", overlap=8, keep_empty=0.5, extra_scales=[0.5])

    dataset_tile(fields_config(output="folds", folds=3, overlap=8, keep_empty=0.5,
                               extra_scales=[0.5]))  # fmt: skip

    dataset = open_dataset(Path("folds"))
    ours = {row.tile for row in dataset.tiles if row.source in ("t1", "t2", "u1")}
    assert set(files("folds")) >= ours
    assert {t for t in ours if "/valid/" in t and "u1" in t} == {
        tile.replace("/test/", "/valid/") for tile in test
    }
    assert len({t for t in ours if "/train/" in t}) > len(train)
    assert {row.split for row in dataset.tiles} == {"train", "valid"}
    assert {row.scale for row in dataset.tiles if row.split == "valid"} == {1.0}
    assert {row.scale for row in dataset.tiles if row.split == "train"} == {1.0, 0.5}


def test_groups_stay_together_and_each_fold_has_its_counts(many):
    config = fields_config(folds=3, group_pattern=r"^[tuv]\d")

    report = dataset_tile(config)

    dataset = open_dataset(Path("tiles"))
    assert len({(row.group, row.fold) for row in dataset.sources}) == 6, "groups"
    assert not any(row.split for row in dataset.sources)
    counts = report.results[0]
    assert list(counts) == ["fold 0", "fold 1", "fold 2"]
    assert sum(fold["images"] for fold in counts.values()) == 9
    assert sum(fold["groups"] for fold in counts.values()) == 6
    assert sum(fold["with_foreground"] for fold in counts.values()) == 7
    assert report.tables[0].columns[:3] == ("fold", "images", "with foreground")
    assert [row[0] for row in report.tables[0].rows] == list(counts)


def test_a_fold_without_foreground_is_told():
    for i in range(3):
        write("images", f"f{i}", noise(i, (20, 30, 3)))
        write("masks", f"f{i}", np.full((20, 30), 255 * (i > 0), np.uint8))

    report = dataset_tile(fields_config(folds=3))

    (told,) = [notice for notice in report.notices if "no foreground" in notice]
    assert told.endswith(": scores there say nothing of cells")


def test_a_split_without_foreground_is_told(many):
    lists = {"kind": "lists", "train": ["t*", "v[12]*"], "valid": ["v0*"], "test": ["u*"]}

    report = dataset_tile(fields_config(split=lists))

    told = [notice for notice in report.notices if "no foreground" in notice]
    assert told == ["no foreground in valid: scores there say nothing of cells"]


def test_inverted_masks_are_told(fields):
    right = dataset_tile(fields_config()).notices
    for path in Path("masks").iterdir():
        Pillow.fromarray(255 - np.asarray(Pillow.open(path))).save(path)

    wrong = dataset_tile(fields_config(), overwrite=True).notices

    assert not any("inverted" in notice for notice in right)
    assert any(notice.endswith("are the masks inverted, or photographs?") for notice in wrong)


def test_a_mask_that_would_be_background_is_refused_and_the_check_named(fields):
    write("masks", "t1", np.full((67, 83), 60, np.uint8))

    with pytest.raises(DataError, match="t1.png: painted with a grey level of 60") as caught:
        dataset_tile(fields_config())

    assert caught.value.hint == "cervseg dataset-check shows each of them"


def test_too_few_groups_are_refused_before_anything_is_cut(many, monkeypatch):
    monkeypatch.setattr("cervseg.commands.dataset_tile.cut_field", None)

    with pytest.raises(ConfigError) as caught:
        dataset_tile(fields_config(folds=4, group_pattern="^[tuv]"))

    assert str(caught.value) == "'data.folds': 3 group(s) can't fill 4 folds"
    assert not Path("tiles").exists()


def test_the_next_command_trains_all_folds(many):
    report = dataset_tile(fields_config(folds=3), config_words="c.yaml")

    assert report.next_command == "cervseg train c.yaml --all-folds"


def test_where_training_draws_from_fields_none_of_its_tiles_are_cut(fields):
    dataset_tile(fields_config(sampling="fields"))

    dataset = open_dataset(Path("tiles"))
    assert (len(dataset.tiles_of("train")), len(dataset.tiles_of("test"))) == (0, 30)
    assert len(dataset.sources_of("train")) == 2
    assert not Path("tiles/tiles/train").exists()


def test_a_dataset_of_fields_alone_has_its_samples_too(fields):
    everything = {"kind": "fractions", "train": 1.0, "valid": 0.0, "test": 0.0}

    dataset_tile(fields_config(sampling="fields", split=everything))

    assert "samples.png" in files("tiles") and not Path("tiles/tiles").exists()


def test_fields_in_folds_keep_their_validation_tiles(many):
    dataset_tile(fields_config(folds=3, sampling="fields"))

    assert {row.split for row in open_dataset(Path("tiles")).tiles} == {"valid"}

import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from cervseg.bounds import is_plain_name
from cervseg.classes import Classes
from cervseg.config.data import DataConfig
from cervseg.data.manifest import SourceRow, TileRow, describe, open_dataset, write_dataset
from cervseg.errors import ConfigError, DataError

TWO = Classes.of({"cell": "#00ff00", "nucleus": "#ff0000"})
SOURCE = SourceRow(
    name="field, 1", image="/data/field, 1.jpg", mask="", objects="", origin="/data/1.json",
    group='slide "7"', split="valid", fold="", height=1536, width=2048,
    vertical=6.0, horizontal=8.0, mpp="", sha256="0f", phash="",
    foreground=0.123456,
)  # fmt: skip
TILE = TileRow(
    tile="tiles/valid/images/a.png", mask="tiles/valid/masks/a.png", source="field, 1",
    group='slide "7"', split="valid", kind="window", scale=0.1 + 0.2, top=0, left=512, height=512,
    width=389, foreground=math.pi / 10, sha256="1e",
)  # fmt: skip
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\x00/"), min_size=1).filter(
    is_plain_name
)


def write(folder, *, sources=(SOURCE,), tiles=(TILE,), **changes):
    document = describe(TWO, scale=0.25, tile_size=512, reading="colour")
    for name in (TILE.tile, TILE.mask):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Pillow.new("L", (2, 2)).save(folder / name)
    write_dataset(folder, {**document, **changes}, sources=sources, tiles=tiles)


def refusal(folder):
    with pytest.raises(DataError) as caught:
        open_dataset(folder)
    return str(caught.value)


def test_a_dataset_survives_being_written_and_read(tmp_path):
    other = TILE._replace(split="train", mask="", kind="reduced")

    write(tmp_path, tiles=[TILE, other])
    dataset = open_dataset(tmp_path)

    assert dataset.sources == (SOURCE,)
    assert dataset.tiles == (TILE, other)
    assert (dataset.classes, dataset.scale, dataset.tile_size) == (TWO, 0.25, 512)
    assert (dataset.reading, dataset.folds) == ("colour", 0)


@given(
    name=TEXT,
    group=TEXT,
    share=st.floats(0, 1),
    split=st.sampled_from(["train", "valid", "test"]),
)
def test_any_name_and_number_survives(tmp_path_factory, *, name, group, share, split):
    source = SOURCE._replace(name=name, group=group, foreground=share, split=split)
    tile = TILE._replace(source=name, group=group, foreground=share, split=split, scale=share)
    folder = tmp_path_factory.mktemp("dataset")

    write(folder, sources=[source], tiles=[tile])

    assert open_dataset(folder).sources == (source,) and open_dataset(folder).tiles == (tile,)


def test_a_split_lists_its_own_in_order(tmp_path):
    names = [("c", "train"), ("a", "valid"), ("b", "train")]
    sources = [SOURCE._replace(name=name, split=split) for name, split in names]
    tiles = [TILE._replace(source=name, split=split) for name, split in names]
    write(tmp_path, sources=sources, tiles=tiles)

    dataset = open_dataset(tmp_path)

    assert [row.name for row in dataset.sources_of("train")] == ["c", "b"]
    assert [row.source for row in dataset.tiles_of("valid")] == ["a"]
    assert dataset.tiles_of("test") == []


def test_the_fingerprint_tells_every_change_apart_and_nothing_else(tmp_path):
    variants = {
        "same": {},
        "again": {},
        "a pixel": {"sources": [SOURCE._replace(sha256="2d")]},
        "a split": {"tiles": [TILE._replace(split="train")]},
        "a scale": {"scale": 0.5},
        "a colour": {"classes": {"cell": "#00ff01", "nucleus": "#ff0000"}},
    }
    prints = {}
    for name, changes in variants.items():
        write(tmp_path / name, **changes)
        prints[name] = open_dataset(tmp_path / name).fingerprint

    assert prints["same"] == prints["again"]
    assert len(set(prints.values())) == len(variants) - 1


def test_relative_paths_lie_in_the_dataset_and_absolute_ones_do_not(tmp_path):
    write(tmp_path)
    dataset = open_dataset(tmp_path)

    assert dataset.path("tiles/a.png") == tmp_path / "tiles" / "a.png"
    assert str(dataset.path("/data/a.png")) == "/data/a.png"


def test_a_folder_without_dataset_is_refused_with_the_command_that_makes_one(tmp_path):
    with pytest.raises(DataError) as caught:
        open_dataset(tmp_path)

    assert str(caught.value) == f"{tmp_path}: no dataset in it"
    assert caught.value.hint == "make it with: cervseg dataset-tile CONFIG"


@pytest.mark.parametrize("name", [TILE.tile, TILE.mask])
def test_a_tile_that_is_gone_is_named(tmp_path, name):
    write(tmp_path)
    (tmp_path / name).unlink()

    assert refusal(tmp_path) == f"{tmp_path / name}: the dataset names it, but it is gone"


@pytest.mark.parametrize(
    ("name", "what"), [("sources", "table of sources"), ("manifest", "manifest")]
)
def test_a_missing_table_is_named(tmp_path, name, what):
    write(tmp_path)
    (tmp_path / f"{name}.csv").unlink()

    assert refusal(tmp_path) == f"{tmp_path / name}.csv: no such {what}"


@pytest.mark.parametrize(
    ("table", "old", "new"),
    [
        ("sources.csv", ",valid,", ",holdout,"),
        ("sources.csv", ",1536,", ",many,"),
        ("sources.csv", ",valid,,", ",valid,2,"),
        ("sources.csv", ",valid,,", ",,,"),
        ("sources.csv", ",8.0,,", ",8.0,fine,"),
        ("manifest.csv", ",valid,", ",,"),
        ("manifest.csv", ",512,", ",5.5,"),
        ("manifest.csv", "window", "door"),
        ("manifest.csv", "0.30000000000000004", "big"),
    ],
)
def test_a_broken_row_is_refused(tmp_path, *, table, old, new):
    write(tmp_path)
    path = tmp_path / table
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))

    assert refusal(tmp_path).startswith(f"{tmp_path}: broken dataset: ")


def test_a_column_too_few_and_a_row_too_short_are_told_by_place(tmp_path):
    write(tmp_path)
    path = tmp_path / "sources.csv"
    whole = path.read_text()

    path.write_text(whole.replace("group,", "grp,"))
    assert refusal(tmp_path) == f"{path}: column 'group' is missing"

    path.write_text(whole + "only a name\n")
    assert refusal(tmp_path) == f"{path}:3: 16 columns expected"


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": ["cell"]}, {"classes": {"cell": 5}}, {"classes": {"cell": "green"}},
        {"scale": "big"}, {"scale": None}, {"tile_size": []}, {"tile_size": float("inf")},
        {"reading": "guess"},
        {"reading": None},
    ],
)  # fmt: skip
def test_a_broken_description_is_refused(tmp_path, changes):
    write(tmp_path, **changes)

    assert refusal(tmp_path).startswith(f"{tmp_path}: broken dataset: ")


@pytest.mark.parametrize("key", ["classes", "scale", "tile_size", "reading"])
def test_a_description_without_a_key_is_refused_and_the_key_named(tmp_path, key):
    write(tmp_path)
    path = tmp_path / "dataset.json"
    document = json.loads(path.read_text())
    del document[key]
    path.write_text(json.dumps(document))

    assert re.match(re.escape(f"{tmp_path}: broken dataset: ") + f".*{key!r}", refusal(tmp_path))


def test_another_format_is_refused_with_the_version_that_wrote_it(tmp_path):
    write(tmp_path, format=2, versions={"cervseg": "9.1"})

    assert refusal(tmp_path) == (
        f"{tmp_path / 'dataset.json'}: format 2, written by cervseg 9.1; "
        "this version reads format 1"
    )


# --- folds


def folded(folder, *, folds=4, forms=("train", "valid")):
    """Two sources in each fold, and a tile of each in each form."""
    names = [(f"f{fold}{letter}", str(fold)) for letter in "ab" for fold in range(folds)]
    sources = [SOURCE._replace(name=n, group=n, split="", fold=fold) for n, fold in names]
    tiles = [TILE._replace(source=n, split=form) for n, _ in names for form in forms]
    write(folder, sources=sources, tiles=tiles)
    return open_dataset(folder)


def test_a_dataset_in_folds_survives_being_written_and_read(tmp_path):
    dataset = folded(tmp_path)

    assert dataset.folds == 4
    assert [(row.split, row.fold) for row in dataset.sources[:2]] == [("", "0"), ("", "1")]
    assert not any(dataset.sources_of(split) for split in ("train", "valid", "test"))


@pytest.mark.parametrize(
    ("fold", "after", "rest"), [(0, "1", "23"), (2, "3", "01"), (3, "0", "12")]
)
def test_a_fold_is_the_test_the_next_one_validates_the_rest_trains(*, tmp_path, fold, after, rest):
    dataset = folded(tmp_path).of_fold(fold)

    found = {s: {row.name[1] for row in dataset.sources_of(s)} for s in ("test", "valid", "train")}
    assert found == {"test": {str(fold)}, "valid": {after}, "train": set(rest)}
    assert dataset.folds == 0, "to all that follows it is a dataset like any"


def test_of_each_source_only_tiles_in_the_form_of_its_split_are_left(tmp_path):
    dataset = folded(tmp_path).of_fold(1)

    assert [row.source for row in dataset.tiles_of("valid")] == ["f2a", "f2b"]
    assert [row.source for row in dataset.tiles_of("train")] == ["f0a", "f3a", "f0b", "f3b"]
    assert dataset.tiles_of("test") == []


def test_each_fold_has_a_fingerprint_of_its_own_and_always_the_same(tmp_path):
    dataset = folded(tmp_path)

    prints = [dataset.of_fold(fold).fingerprint for fold in range(4)]

    assert len({*prints, dataset.fingerprint}) == 5
    assert [open_dataset(tmp_path).of_fold(fold).fingerprint for fold in range(4)] == prints


@pytest.mark.parametrize("found", [["0", "2"], ["0", ""], ["1", "2"], ["0", "one"]])
def test_folds_that_leave_one_out_are_a_broken_dataset(tmp_path, found):
    sources = [SOURCE._replace(name=f"f{i}", split="", fold=fold) for i, fold in enumerate(found)]
    write(tmp_path, sources=sources, tiles=[])

    assert refusal(tmp_path).startswith(f"{tmp_path}: broken dataset: ")


# --- the config it was cut with


def cut_with(folder, **data):
    write(folder, options=DataConfig(**data).model_dump(mode="json"))
    return open_dataset(folder)


def test_a_key_that_changes_the_tiles_must_be_as_it_was(tmp_path):
    dataset = cut_with(tmp_path, overlap=8)

    dataset.require_options(DataConfig(overlap=8, output=tmp_path, cache="1GB"))
    with pytest.raises(ConfigError) as caught:
        dataset.require_options(DataConfig(overlap=9, folds=5))

    assert str(caught.value) == (
        f"{tmp_path} was cut with another config: data.folds, data.overlap"
    )
    assert caught.value.hint == (
        "undo the change, or cut it again: cervseg dataset-tile CONFIG --overwrite"
    )


def test_classes_in_another_order_are_others(tmp_path):
    colours = {"cell": "#00ff00", "nucleus": "#ff0000"}
    dataset = cut_with(tmp_path, classes=colours)

    dataset.require_options(DataConfig(classes=dict(colours)))
    with pytest.raises(ConfigError, match="cut with another config: data.classes$"):
        dataset.require_options(DataConfig(classes=dict(reversed(colours.items()))))


def test_training_from_fields_takes_a_dataset_with_tiles_but_not_the_other_way_round(tmp_path):
    cut_with(tmp_path / "tiles").require_options(DataConfig(sampling="fields"))

    with pytest.raises(ConfigError, match="with another config: data.sampling"):
        cut_with(tmp_path / "fields", sampling="fields").require_options(DataConfig())


@pytest.mark.parametrize("name", ["../../../home/mine", "/etc/passwd", "a/b", "..", ""])
def test_a_source_whose_name_would_put_pictures_elsewhere_is_refused(tmp_path, name):
    write(tmp_path, sources=[SOURCE._replace(name=name)], tiles=[])

    assert refusal(tmp_path) == (
        f"{tmp_path}: broken dataset: ValueError({f'a source called {name!r}'!r})"
    )


def test_sources_that_are_folders_are_there_and_what_is_gone_is_named(tmp_path):
    image = tmp_path / "field, 1.zarr"
    image.mkdir()
    write(tmp_path, sources=[SOURCE._replace(image=str(image))])
    dataset = open_dataset(tmp_path)

    dataset.require_sources("valid")

    image.rmdir()
    with pytest.raises(DataError) as caught:
        dataset.require_sources("valid")
    assert str(caught.value) == f"{image}: the dataset names it, but it is gone"

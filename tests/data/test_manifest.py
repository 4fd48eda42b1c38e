import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from cervseg.classes import Classes
from cervseg.data.manifest import SourceRow, TileRow, describe, open_dataset, write_dataset
from cervseg.errors import DataError

TWO = Classes.of({"cell": "#00ff00", "nucleus": "#ff0000"})
SOURCE = SourceRow(
    name="field, 1", image="/data/field, 1.jpg", mask="", group='slide "7"', split="valid",
    height=1536, width=2048, vertical=6.0, horizontal=8.0, mpp="", sha256="0f", phash="",
    foreground=0.123456,
)  # fmt: skip
TILE = TileRow(
    tile="tiles/valid/images/a.png", mask="tiles/valid/masks/a.png", source="field, 1",
    group='slide "7"', split="valid", kind="window", scale=0.1 + 0.2, top=0, left=512, height=512,
    width=389, foreground=math.pi / 10, sha256="1e",
)  # fmt: skip
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), min_size=1)


def write(folder, *, sources=(SOURCE,), tiles=(TILE,), **changes):
    document = describe(TWO, scale=0.25, tile_size=512, readings=("colour", "index"))
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
    assert (dataset.reading, dataset.tile_reading) == ("colour", "index")


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
    assert refusal(tmp_path) == f"{path}:3: 13 columns expected"


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": ["cell"]}, {"classes": {"cell": 5}}, {"classes": {"cell": "green"}},
        {"scale": "big"}, {"scale": None}, {"tile_size": []}, {"reading": "guess"},
        {"tile_reading": None},
    ],
)  # fmt: skip
def test_a_broken_description_is_refused(tmp_path, changes):
    write(tmp_path, **changes)

    assert refusal(tmp_path).startswith(f"{tmp_path}: broken dataset: ")


@pytest.mark.parametrize("key", ["classes", "scale", "tile_size", "reading", "tile_reading"])
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

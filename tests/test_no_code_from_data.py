"""Nothing in a file is run, and no file says where we read or write; see SECURITY.md."""

import io
import json
import pickle
import re
import runpy
import struct
import zlib
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tifffile

from cervseg import machine
from cervseg.cli.app import main
from cervseg.commands.convert import convert
from cervseg.config.loader import load_config
from cervseg.contract import Contract, find_model
from cervseg.errors import CervsegError, ConfigError, DataError, ModelError
from cervseg.images.image import whole
from cervseg.images.readers import open_image

SCRIPTS = Path(__file__).parents[1] / "scripts"
SAMPLES = runpy.run_path(str(SCRIPTS / "fuzz_samples.py"))
READERS, SMOOTH = SAMPLES["READERS"], SAMPLES["IMAGES"]["smooth"]

pytestmark = pytest.mark.usefixtures("started")


class Evil:
    """Makes a file, if anybody unpickles it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def pickles(path):
    """A pickle as it is, in an array, and in an archive of arrays."""
    evil = Evil(path)
    array, archive = io.BytesIO(), io.BytesIO()
    np.save(array, np.array([evil], dtype=object), allow_pickle=True)
    np.savez(archive, state=np.array([evil], dtype=object))
    return pickle.dumps(evil), array.getvalue(), archive.getvalue()


DRAWN = ("evaluation", "run")
"""They end in a page of curves, seconds each."""


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n in DRAWN)) for n in READERS]
)
def test_a_pickle_is_opened_under_no_name_by_no_reader(tmp_path, name):
    folder = SAMPLES["write_samples"](tmp_path, [name])[name]
    files = [path for path in folder.rglob("*") if path.is_file()]
    told = [path for path in files if "/c/" not in str(path) and not path.name[0].isdigit()]

    for path in told or files:
        content = path.read_bytes()
        for evil in pickles(tmp_path / "was here"):
            path.write_bytes(evil)
            try:
                READERS[name].read(folder)
            except CervsegError as exc:
                assert SAMPLES["unclear"](exc, folder) is None, exc
        path.write_bytes(content)

    assert not (tmp_path / "was here").exists()
    READERS[name].read(folder)  # what was spoilt is the only reason


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.mkdir [owned]",
        "train: !!python/object/new:os.mkdir [owned]",
        "train: {epochs: !!python/name:os.system }",
        "!<tag:yaml.org,2002:python/object/apply:os.mkdir> [owned]",
        '&a !!python/object/apply:builtins.eval [\'__import__("os").mkdir("owned")\']',
        "%TAG ! tag:yaml.org,2002:python/\n---\n!object/apply:os.mkdir [owned]",
        "train: !!binary b3duZWQ=",
    ],
)
def test_a_tag_of_yaml_constructs_nothing(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(text)

    with pytest.raises(ConfigError, match=r"^a\.yaml:\d: tags like"):
        load_config("a.yaml")

    assert [path.name for path in tmp_path.iterdir()] == ["a.yaml"]


@pytest.mark.parametrize("name", ["../../mine", "/etc", "herlev/../../../mine", "."])
def test_the_name_of_a_built_in_model_is_no_path(name):
    with pytest.raises(ModelError, match="no such built-in model"):
        find_model(Path(f"builtin:{name}"))


@pytest.mark.parametrize("name", ["../../mine", "os.system", "cervseg.models.unet", "__class__"])
def test_the_architecture_of_a_contract_is_a_word_of_a_table(tmp_path, name):
    from cervseg.models.folder import build_network as build
    from cervseg.models.folder import load_model, save_model

    contract = SAMPLES["CONTRACT"]
    save_model(tmp_path, build(contract, where="here"), contract)
    replace(contract, architecture=name).save(tmp_path)

    with pytest.raises(ModelError, match=re.escape(f"architecture {name!r} is not known")):
        load_model(tmp_path, Contract.load(tmp_path))


def test_names_in_annotations_do_not_say_where_outputs_go(tmp_path):
    """COCO names its images; those that are not in the folder of images are left alone."""
    (tmp_path / "images").mkdir()
    SAMPLES["IMAGES"]["write_tiled"](tmp_path / "images" / "a.tif", SMOOTH())
    (tmp_path / "mine.tif").write_bytes(b"mine")
    coco = json.loads(json.dumps(SAMPLES["COCO"]))
    coco["images"] = [
        {"id": 1, "file_name": "a.tif"}, {"id": 2, "file_name": "../mine.tif"},
        {"id": 3, "file_name": str(tmp_path / "mine")},
    ]  # fmt: skip
    coco["categories"][0]["name"] = "../../mine"
    coco["annotations"] = [coco["annotations"][0]]
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    (tmp_path / "a.yaml").write_text(
        f"data:\n  source: {{kind: coco, images: {tmp_path / 'images'}, "
        f"annotations: {tmp_path / 'coco.json'}, rename: {{../../mine: cell}}}}\n"
    )

    report = convert(tmp_path / "a.yaml", to="geojson", output=tmp_path / "out")

    assert not report.failures
    assert [path.name for path in (tmp_path / "out").rglob("*.geojson")] == ["a.geojson"]
    assert (tmp_path / "mine.tif").read_bytes() == b"mine"


def test_pictures_of_an_evaluation_stay_in_its_folder_whatever_the_dataset_says(tmp_path, capsys):
    folder = SAMPLES["write_samples"](tmp_path, ["dataset"])["dataset"]
    table = folder / "sources.csv"
    table.write_text(table.read_text().replace("\nf1,", "\n/../../../../mine,"))
    (tmp_path / "a.yaml").write_text(f"data: {{output: {folder}}}\n")
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "mine.png").write_bytes((folder / "masks" / "f1.png").read_bytes())

    code = main(["evaluate", str(tmp_path / "a.yaml"), "--predictions", str(tmp_path / "masks"),
                 "--split", "valid", "--output", str(tmp_path / "a" / "b" / "c")])  # fmt: skip

    assert code == 3 and "a source called '/../../../../mine'" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*mine*.jpg"))


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP", b"iTXt"])
def test_a_text_in_a_png_that_unpacks_to_30_mb_is_not_unpacked(tmp_path, kind):
    path = SAMPLES["write_samples"](tmp_path, ["photo-png"])["photo-png"] / "photo.png"
    data = path.read_bytes()
    head = {b"iTXt": b"k\0\1\0\0\0"}.get(kind, b"k\0\0")
    path.write_bytes(data[:33] + chunk(kind, head + zlib.compress(bytes(3 * 10**7))) + data[33:])

    def refuse():
        with pytest.raises(DataError, match="Decompressed data too large"):
            open_image(path)

    before = machine.resident_memory()
    assert machine.peak_memory_of(refuse) - before < 20e6


def test_entities_of_ome_xml_neither_multiply_nor_read_files(tmp_path):
    entities = "".join(
        f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9)
    )  # a thousand million letters
    secret = tmp_path / "secret"
    secret.write_text("0.25")
    for number, (declared, named) in enumerate(
        [(f'<!ENTITY a "aaaaaaaaaa">{entities}', "&j;"),
         (f'<!ENTITY x SYSTEM "{secret.as_uri()}">', "&x;")]
    ):  # fmt: skip
        text = (
            f'<?xml version="1.0"?><!DOCTYPE l [{declared}]><OME xmlns="http://www.openmicroscopy.'
            f'org/Schemas/OME/2016-06"><Image><Pixels PhysicalSizeX="{named}" '
            f'PhysicalSizeY="{named}"/></Image></OME>'
        )
        path = tmp_path / f"{number}.ome.tif"
        tifffile.imwrite(path, SMOOTH(), photometric="rgb", tile=(64, 48), description=text,
                         metadata=None)  # fmt: skip

        before = machine.resident_memory()
        assert machine.peak_memory_of(partial(open_image, path)) - before < 300e6
        image = open_image(path)
        assert image.mpp is None
        np.testing.assert_array_equal(image.read(whole(image)), SMOOTH())

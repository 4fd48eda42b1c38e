"""Every file in `configs/` loads, and says what a reader needs."""

import itertools
import json
import re
from pathlib import Path

import pytest

from cervseg.commands.config import config_schema
from cervseg.config.loader import dump_config, load_config

FOLDER = Path(__file__).resolve().parents[2] / "configs"
SHIPPED = sorted(FOLDER.glob("*.yaml"))


@pytest.fixture(params=SHIPPED, ids=lambda path: path.stem)
def path(request):
    return request.param


def test_it_loads(path):
    load_config(path)


def test_it_survives_being_dumped_into_a_run_folder(path, tmp_path):
    config = load_config(path).config
    copy = tmp_path / "config.yaml"
    copy.write_text(dump_config(config), encoding="utf-8")

    assert load_config(copy).config == config


def test_it_names_the_schema_in_its_first_line(path):
    assert path.read_text().splitlines()[0] == "# yaml-language-server: $schema=schema.json"


def test_its_header_says_what_command_time_memory_and_score(path):
    lines = path.read_text().splitlines()
    header = "\n".join(itertools.takewhile(lambda line: line.startswith("#"), lines))

    for word in ("command", "time", "memory", "score"):
        assert re.search(rf"^# +{word}\b", header, re.MULTILINE), word


def test_data_is_looked_for_where_the_environment_says(path, monkeypatch):
    monkeypatch.setenv("CERVSEG_DATA", "/elsewhere")
    moved = load_config(path).config.data.source[0]
    monkeypatch.delenv("CERVSEG_DATA")
    default = load_config(path).config.data.source[0]

    if moved != default:  # the demo draws its own images
        assert moved.images.parts[1] == moved.masks.parts[1] == "elsewhere"
        assert default.images.parts[0] == default.masks.parts[0] == "datasets"


def test_no_two_write_to_one_folder():
    configs = [load_config(path).config for path in SHIPPED]
    outputs = [c.data.output for c in configs] + [c.train.output for c in configs]
    outputs += [c.infer.output for c in configs] + [c.tiled_infer.output for c in configs]

    assert len(set(outputs)) == len(outputs)


def test_the_schema_beside_them_is_fresh():
    fresh = config_schema()

    assert (FOLDER / "schema.json").read_text() == fresh, (
        "run: cervseg config schema > configs/schema.json"
    )


def test_the_schema_knows_every_key_that_they_use(path):
    """The schema's names are the model's; types are pydantic's own business."""
    schema = json.loads((FOLDER / "schema.json").read_text())
    origins = load_config(path).origins

    for key, origin in origins.items():
        if origin != "default":
            section, _, rest = key.partition(".")
            entry = schema["properties"][section]
            models = [schema["$defs"][one["$ref"].split("/")[-1]]
                      for one in entry.get("oneOf", [entry])]  # fmt: skip
            assert any(rest.split(".")[0] in model["properties"] for model in models), key

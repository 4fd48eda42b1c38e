"""Exports are compared with the model before they get their name, and work as models."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cervseg
from cervseg.classes import Classes
from cervseg.cli.app import main
from cervseg.commands.export import NAMES, drawn_tiles, export
from cervseg.contract import Contract
from cervseg.engines import conversion, converter, open_model, settings
from cervseg.engines.settings import EXTRAS
from cervseg.errors import BudgetError, CheckError, ConfigError, DataError, ModelError, OutputError
from cervseg.files import claim

pytestmark = pytest.mark.usefixtures("started")

CONTRACT = Contract(
    architecture="unet", activation="sigmoid", tile_size=48, align=2, color_order="BGR",
    options={"base_filters": 2, "num_layers": 2}, classes=Classes.of({"cell": "#00ff00"}),
)  # fmt: skip


@pytest.fixture(scope="module")
def run(started, tmp_path_factory):
    """A run folder with a model of random weights."""
    import keras

    from cervseg.models.folder import build_network, save_model

    keras.utils.set_random_seed(1)  # whatever ran before
    folder = tmp_path_factory.mktemp("runs") / "cells"
    network, rng = build_network(CONTRACT, where="here"), np.random.default_rng(0)
    for variable in network.weights:
        value = np.asarray(variable) + rng.normal(0, 0.1, variable.shape)
        value = value * 6 if "logits/kernel" in variable.path else value  # an answer that varies
        variable.assign(np.abs(value) if "variance" in variable.path else value)
    save_model(folder / "model", network, CONTRACT)
    return folder


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Work in an empty folder, and convert in this process, which has started Keras already."""

    def convert(folder, kind, target, *, side, precision="float32", trial=None):
        trial = None if trial is None else str(trial)
        converter.convert({"folder": str(folder), "kind": kind, "target": str(target),
                           "side": list(side), "precision": precision, "trial": trial})  # fmt: skip

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(conversion, "convert", convert)
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    "form",
    [pytest.param(n, marks=() if n in ("keras", "onnx") else pytest.mark.slow) for n in NAMES],
)
def test_what_is_written_answers_like_the_model(run, here, form):
    for library in EXTRAS.get(form, ()):
        pytest.importorskip(library, reason=f"the extra {form} is not installed")

    report = export(run, to=form)

    [result] = report.results
    folder = here / "exported" / f"cells_{form}"
    assert report.output == Path("exported") / f"cells_{form}"
    assert report.paths == (report.output / NAMES[form],)
    assert result["largest_difference"] < 1e-4 and result["compared_tiles"] == 4
    assert result["bytes"] > 5000
    assert Contract.load(folder) == CONTRACT
    assert open_model([run]).predict(drawn_tiles(4, 48)).std() > 0.02
    extra = ["model.bin"] if form == "openvino" else []
    assert names(folder) == sorted(["contract.json", NAMES[form], *extra])
    assert names(here / "exported") == [folder.name]
    if form in EXTRAS:
        tiles = drawn_tiles(2, 48)
        found = open_model([report.output])
        assert found.engine == form
        np.testing.assert_allclose(
            found.predict(tiles), open_model([run]).predict(tiles), atol=1e-4
        )
        assert "tiled-infer" in report.next_command
    else:
        assert report.next_command is None
        with pytest.raises(ModelError):
            open_model([report.output])


def test_a_model_that_turns_tiles_is_compared_unturned_and_scored_as_an_export(run, here):
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    pytest.importorskip("tf2onnx", reason="the extra onnx is not installed")
    replace(Contract.load(run / "model"), augment="dihedral").save(here / "turned")
    shutil.copy(run / "model" / "model.weights.h5", here / "turned")
    for folder, pixels in (("fields", drawn_tiles(1, 61)[0]), ("truth", np.eye(61) * 255)):
        (here / folder).mkdir()
        Image.fromarray(pixels.astype(np.uint8)).save(here / folder / "a.png")

    report = export("turned", to="onnx", output="turned_onnx")
    scores = [
        cervseg.evaluate(model=[name], images="fields", masks="truth", output=f"{name}.scores")
        for name in ("turned", "turned_onnx")
    ]

    assert report.results[0]["largest_difference"] < 1e-4
    ours, theirs = (result.results[0] for result in scores)
    one, other = (result["images"][0]["dice"] for result in (ours, theirs))
    assert other == pytest.approx(one, abs=1e-3)


def test_an_export_is_inspected_like_any_model(run, here):
    export(run, to="keras", output="k")

    assert main(["inspect", "k", "--json"]) == 0


@pytest.mark.slow
def test_the_command_line_starts_a_process_of_its_own(run, here, *, monkeypatch, capsys):
    monkeypatch.undo()
    output = here / "out"

    code = main(["export", str(run), "--format", "keras", "--output", str(output), "--json"])

    document = json.loads(capsys.readouterr().out)
    assert (code, document["command"], document["output"]) == (0, "export", str(output))
    assert document["results"][0]["largest_difference"] < 1e-5


def test_one_that_answers_otherwise_is_not_kept(run, here, monkeypatch):
    write = converter.WRITERS["keras"]

    def spoil(network, target, shape):
        for variable in network.weights:
            variable.assign(np.asarray(variable) * 0.5)
        write(network, target, shape)

    monkeypatch.setitem(converter.WRITERS, "keras", spoil)
    (here / "out").mkdir()
    (here / "out" / "mine.txt").write_text("kept")

    with pytest.raises(CheckError) as caught:
        export(run, to="keras", output="out", overwrite=True)

    assert caught.value.exit_code == 6
    assert str(caught.value).startswith("out: as keras the model answers otherwise: largest diff")
    assert names(here) == ["out"] and names(here / "out") == ["mine.txt"]


def test_an_answer_that_is_no_number_is_no_equal_one(run, here, monkeypatch):
    def spoil(kind, target):
        return lambda tile: np.full((1, 48, 48, 1), np.nan)

    monkeypatch.setattr(converter, "_read_again", spoil)

    with pytest.raises(CheckError, match="largest difference nan"):
        export(run, to="keras")

    assert names(here / "exported") == []


def test_photographs_to_compare_on_are_seen_at_the_scale_of_the_model(run, here, tmp_path):
    from cervseg.commands.export import _trial_tiles

    pixels = np.random.default_rng(0).integers(0, 256, (130, 99, 3), np.uint8)
    (here / "fields").mkdir()
    for name, image in (("a", pixels), ("b", pixels[:20, :30])):
        Image.fromarray(image).save(here / "fields" / f"{name}.png")

    tiles = _trial_tiles(CONTRACT, here / "fields")
    half = _trial_tiles(replace(CONTRACT, scale=0.5), here / "fields")

    assert tiles.shape == half.shape == (2, 48, 48, 3)
    np.testing.assert_array_equal(tiles[0], pixels[41:89, 25:73])
    np.testing.assert_array_equal(tiles[1, :20, :30], pixels[:20, :30])
    assert export(run, to="keras", images="fields").results[0]["compared_tiles"] == 2


def test_tiles_of_another_size_can_be_asked_for(run):
    report = export(run, to="keras", tile_size=32)

    assert Contract.load(report.output).tile_size == 32


# --- refusals


def refused(error, *arguments, **keywords):
    with pytest.raises(error) as caught:
        export(*arguments, **keywords)
    return str(caught.value), caught.value.hint


def test_an_occupied_output_is_refused_or_put_aside(run, here):
    (here / "out").mkdir()
    (here / "out" / "mine.txt").write_text("kept")

    message, hint = refused(OutputError, run, to="keras", output="out")
    assert message == "out: the output folder is not empty" and "--overwrite" in hint

    export(run, to="keras", output="out", overwrite=True)
    [backup] = here.glob("out_*_bak")
    assert names(backup) == ["mine.txt"]
    assert names(here / "out") == ["contract.json", "model.keras"]


def test_what_another_process_is_writing_is_left_to_it(run, here):
    with claim(here / "out.partial") as partial:
        (partial / "model.keras").write_text("half of it")

        message, _ = refused(OutputError, run, to="keras", output="out")

        assert message == "out.partial: another cervseg is writing here"
        assert names(partial) == [".lock", "model.keras"]


def test_an_export_is_not_exported_again(run, here):
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    export(run, to="onnx", output="out")

    assert refused(ModelError, "out", to="openvino") == (
        "out: this is an export", "name the run that it was made of",
    )  # fmt: skip


def test_a_missing_extra_is_one_line(run, monkeypatch):
    monkeypatch.setattr(settings, "find_spec", lambda name: None)

    assert refused(ConfigError, run, to="openvino") == (
        "engine openvino needs openvino, not installed here", "pip install 'cervseg[openvino]'",
    )  # fmt: skip


def test_bfloat16_is_refused_where_it_can_not_be(run, monkeypatch):
    monkeypatch.setattr(settings.machine, "has_bfloat16", lambda: False)

    assert refused(ConfigError, run, to="onnx", precision="bfloat16")[0] == (
        "onnx is not exported in bfloat16"
    )
    assert "does not have" in refused(ConfigError, run, to="openvino", precision="bfloat16")[0]


def test_a_keras_file_in_bfloat16_passes_its_wider_limit(run):
    report = export(run, to="keras", precision="bfloat16")

    [result] = report.results
    assert 0 < result["largest_difference"] < result["limit"] == 1e-2


def test_too_little_memory_is_exit_code_5(run, here, monkeypatch):
    monkeypatch.undo()
    monkeypatch.chdir(here)
    monkeypatch.setattr(conversion.machine, "available_memory", lambda: 10**8)

    message, _ = refused(BudgetError, run, to="keras")

    assert message.endswith("0.9 GB of memory to become keras, 0.1 GB are available")
    assert names(here / "exported") == []


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"tile_size": 33}, ConfigError, "--tile-size 33 is no multiple of the model's 2"),
        ({"images": "nowhere"}, DataError, "nowhere: no such image or folder"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_work(run, *, keywords, error, message):
    assert refused(error, run, to="keras", **keywords)[0] == message


def test_it_is_a_function_of_the_package():
    assert cervseg.export is export

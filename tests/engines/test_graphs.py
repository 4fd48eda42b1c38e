"""Graphs are converted once, kept, and made anew when anything they depend on changes."""

import os
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from cervseg.classes import Classes
from cervseg.contract import Contract
from cervseg.engines import conversion, graphs
from cervseg.errors import BudgetError, FullDiskError, ModelError, OutputError

SIDE = (64, 64)
UNET = Contract(
    architecture="unet", options={"base_filters": 3, "num_layers": 3}, activation="sigmoid",
    classes=Classes.of({"cell": "#00ff00"}), tile_size=64, align=4,
)  # fmt: skip


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A folder that looks like a model, and conversions that only leave a mark."""
    folder = tmp_path / "model"
    UNET.save(folder)
    (folder / "model.weights.h5").write_bytes(b"weights")
    monkeypatch.setenv("CERVSEG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(graphs, "require", lambda *_, **__: None)
    made = []

    def convert(folder, kind, target, *, side):
        made.append((kind, side))
        target.write_text(kind)

    monkeypatch.setattr(graphs, "convert", convert)
    return SimpleNamespace(folder=folder, made=made, cache=tmp_path / "cache" / "graphs")


def graph(model, engine="onnx", *, contract=UNET, side=SIDE):
    return graphs.graph_of(model.folder, contract, engine, side=side)


def test_a_model_is_converted_once_for_each_engine_and_size(model):
    for _ in range(2):
        assert graph(model).read_text() == "onnx"
        assert graph(model, "openvino").read_text() == "openvino"
        assert graph(model, side=(32, 64)) != graph(model)

    assert model.made == [("onnx", SIDE), ("openvino", SIDE), ("onnx", (32, 64))]


def test_other_weights_or_options_are_another_graph(model):
    first = graph(model)
    other = graph(model, contract=replace(UNET, options={"base_filters": 5}))
    (model.folder / "model.weights.h5").write_bytes(b"heights")

    assert len({first, other, graph(model)}) == 3


def test_what_the_graph_does_not_hold_is_no_other_graph(model):
    changed = replace(UNET, temperature=2.0, color_order="BGR", threshold=(0.3,), tile_size=32)

    assert graph(model, contract=changed) == graph(model)


def test_a_conversion_that_failed_leaves_nothing_and_is_tried_again(model, monkeypatch):
    convert = graphs.convert

    def fail(folder, kind, target, *, side):
        target.write_text("half")
        raise ModelError("no")

    monkeypatch.setattr(graphs, "convert", fail)
    with pytest.raises(ModelError):
        graph(model)
    assert [path.suffix for path in model.cache.iterdir()] == [".lock"]

    monkeypatch.setattr(graphs, "convert", convert)
    assert graph(model).read_text() == "onnx"


def test_the_remains_of_a_killed_conversion_are_no_hindrance(model):
    entry = graph(model).parent
    entry.rename(entry.with_suffix(".partial"))

    assert graph(model).read_text() == "onnx"


def test_graphs_longest_unused_go(model):
    for number in range(graphs.CACHED + 2):
        path = graph(model, side=(number, 1))
        if number:
            os.utime(path.parent, (number, number))  # all used long ago, the first now

    kept = {path for path in model.cache.iterdir() if not path.suffix}
    assert len(kept) == graphs.CACHED
    assert graph(model, side=(0, 1)).parent in kept


def test_a_cache_that_can_not_be_written_is_one_line(model):
    model.cache.parent.write_text("a file")

    with pytest.raises(OutputError, match="can't be written"):
        graph(model)


def test_weights_are_where_the_models_look_for_them(started):
    from cervseg.models.folder import WEIGHTS

    assert WEIGHTS == graphs.WEIGHTS == conversion.WEIGHTS


# --- conversion


@pytest.mark.parametrize("kind", conversion.MEASURED)
def test_the_forecast_is_what_was_measured_and_grows(kind):
    for millions, gigabytes in conversion.MEASURED[kind]:
        assert conversion.memory_needed(kind, round(millions * 1e6)) == round(gigabytes * 1e9)
    needs = [conversion.memory_needed(kind, n * 10**6) for n in range(0, 400, 7)]
    assert needs == sorted(needs) and needs[-1] > 2 * needs[0]


def test_too_little_memory_is_refused_with_both_numbers(monkeypatch, tmp_path):
    monkeypatch.setattr(conversion.machine, "available_memory", lambda: 3 * 10**9)
    with (tmp_path / "model.weights.h5").open("wb") as file:
        file.truncate(4 * 124_400_000)

    with pytest.raises(BudgetError) as caught:
        conversion.convert(tmp_path, "onnx", tmp_path / "model.onnx", side=SIDE)

    needed = conversion.memory_needed("onnx", 124_400_000) / 1e9
    assert str(caught.value) == (
        f"124.4 million parameters need {needed:.1f} GB of memory to become onnx, "
        "3.0 GB are available"
    )
    assert (caught.value.hint, caught.value.exit_code) == ("openvino needs less", 5)


@pytest.mark.parametrize(
    ("program", "error", "message"),
    [
        ("import os; os.kill(os.getpid(), 9)", BudgetError, "ended with SIGKILL"),
        ("raise ValueError('too odd')", ModelError, "can't become onnx: ValueError: too odd"),
        (
            "import os; raise RuntimeError('x; ' + os.strerror(28))",  # as TensorFlow does
            FullDiskError,
            "model.onnx: the disk is full",
        ),
    ],
)  # fmt: skip
def test_a_process_that_dies_is_one_line(tmp_path, monkeypatch, *, program, error, message):
    (tmp_path / "model.weights.h5").write_bytes(b"weights")
    run = subprocess.run
    monkeypatch.setattr(
        conversion.subprocess,
        "run",
        lambda words, **keywords: run([sys.executable, "-c", program], **keywords),
    )

    with pytest.raises(error) as caught:
        conversion.convert(tmp_path, "onnx", tmp_path / "model.onnx", side=SIDE)

    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.slow
def test_what_is_wrong_with_a_model_is_told_by_the_other_process_too(tmp_path):
    """The one test here that starts it."""
    UNET.save(tmp_path)
    (tmp_path / "model.weights.h5").write_bytes(b"no weights")

    with pytest.raises(ModelError) as caught:
        conversion.convert(tmp_path, "keras", tmp_path / "model.keras", side=SIDE)

    assert str(caught.value).startswith(f"{tmp_path}/model.weights.h5: not a readable file")


# --- OpenVINO tells nobody


TELLS = """
import socket, sys
def refuse(*_, **__):
    raise AssertionError("the network is touched")
socket.socket.connect = socket.getaddrinfo = refuse
from cervseg.engines.openvino import import_openvino
openvino = import_openvino()
parameter = openvino.opset13.parameter([1, 2], openvino.Type.f32)
model = openvino.Model([openvino.opset13.relu(parameter)], [parameter])
openvino.Core().compile_model(model, "CPU")
openvino.save_model(model, "model.xml")
print([name for name, module in sys.modules.items() if "openvino_telemetry" in name and module])
"""


def test_importing_openvino_sends_nothing_and_writes_nothing_home(tmp_path):
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    home = tmp_path / "home"
    home.mkdir()

    ran = subprocess.run(
        [sys.executable, "-c", TELLS], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "HOME": str(home)},
    )  # fmt: skip

    assert (ran.stdout, ran.returncode) == ("[]\n", 0), ran.stderr
    assert list(home.iterdir()) == []


# --- batches


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_batches_are_all_of_one_size_and_no_tile_is_lost(count):
    from cervseg.engines.tiles import equal_batches

    tiles = np.arange(count, dtype=np.uint8).reshape(count, 1, 1, 1)

    batches = list(equal_batches(tiles, 3))

    assert {len(batch) for batch in batches} == {3}
    np.testing.assert_array_equal(np.concatenate(batches)[:count], tiles)


def test_logits_of_any_size_become_probabilities_without_a_warning():
    from cervseg.engines.tiles import finish_logits

    logits = np.array([[-1e4, 0, 1e4], [3, 3, 3]], np.float32)
    softmax = replace(UNET, activation="softmax", temperature=2.0)

    np.testing.assert_allclose(finish_logits(logits, UNET)[0], [0, 0.5, 1], atol=1e-7)
    np.testing.assert_allclose(finish_logits(logits, softmax), [[0, 0, 1], [1 / 3] * 3], atol=1e-7)

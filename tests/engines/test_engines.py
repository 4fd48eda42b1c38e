"""One law for all engines: the same contract, the same answer."""

import shutil
from importlib.util import find_spec

import numpy as np
import pytest

from cervseg import machine, runtime
from cervseg.engines import open_model
from cervseg.engines.choice import ENGINES
from cervseg.engines.graphs import GRAPH_FILES
from cervseg.engines.settings import EXTRAS
from cervseg.errors import ConfigError, ModelError

pytestmark = pytest.mark.usefixtures("started", "cache")

SIDE = 64
TILES = np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE, 3), np.uint8)
OTHERS = [name for name in ENGINES if name != "keras"]
QUICK = [*((engine, "unet") for engine in ENGINES), ("keras", "grey"), ("onnx", "grey")]
CASES = [
    pytest.param(engine, name, marks=() if (engine, name) in QUICK else pytest.mark.slow)
    for engine in ENGINES
    for name in ("unet", "grey", "lite_unet")
]
"""Each engine with each model; `make test` leaves out what takes long to convert."""


def opened(path, engine, **keywords):
    for library in EXTRAS.get(engine, ()):
        pytest.importorskip(library, reason=f"the extra {engine} is not installed")
    return open_model([path], engine=engine, **keywords)


@pytest.mark.parametrize(("engine", "name"), [c for c in CASES if c.values[0] in OTHERS])
def test_every_engine_has_the_same_contract_and_the_same_answer(models, engine, name):
    expected = open_model([models[name]])

    found = opened(models[name], engine)

    answer, reference = found.predict(TILES), expected.predict(TILES)
    assert found.contract == expected.contract
    assert (found.engine, found.precision, found.passes) == (engine, "float32", 1)
    assert (answer.dtype, answer.shape) == (np.float32, reference.shape)
    np.testing.assert_allclose(answer, reference, atol=1e-4)
    assert reference.std() > 0.005


@pytest.mark.parametrize(("engine", "name"), CASES)
def test_an_answer_does_not_depend_on_the_other_tiles_of_the_call(models, engine, name):
    predict = opened(models[name], engine, batch_size=2).predict
    together = predict(TILES)

    for place, tile in enumerate(TILES):
        others = np.full_like(TILES, 255 * (place % 2))
        others[place] = tile

        np.testing.assert_array_equal(predict(others)[place], together[place])
        # Keras on TensorFlow rounds by the place in the batch, too: 1.5e-7 seen.
        np.testing.assert_allclose(predict(tile[None])[0], together[place], atol=1e-6)


@pytest.mark.parametrize(("engine", "name"), CASES)
def test_an_answer_hardly_depends_on_batch_and_threads(models, engine, name):
    answers = [
        opened(models[name], engine, batch_size=batch, threads=threads).predict(TILES)
        for batch, threads in [(1, 1), (1, 2), (3, 2), (5, 1)]
    ]

    for answer in answers[1:]:
        np.testing.assert_allclose(answer, answers[0], atol=1e-5)
    if engine == "onnx":
        np.testing.assert_array_equal(answers[3], answers[0])
        np.testing.assert_array_equal(answers[2], answers[1])


@pytest.mark.parametrize("engine", ENGINES)
def test_the_answer_of_a_call_is_not_overwritten_by_the_next(models, engine):
    predict = opened(models["unet"], engine).predict
    first = predict(TILES[:1])
    kept = first.copy()

    predict(TILES[1:2])

    np.testing.assert_array_equal(first, kept)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_tiles_of_another_size_are_answered_too(models, engine):
    tiles = TILES[:2, :32]  # not square

    answer = opened(models["unet"], engine).predict(tiles)

    np.testing.assert_allclose(answer, open_model([models["unet"]]).predict(tiles), atol=1e-4)


# --- which engine


def test_auto_is_one_of_those_installed_and_told_with_times(models, caplog):
    caplog.set_level("INFO", logger="cervseg")

    found = open_model([models["unet"]], engine="auto", batch_size=2)

    installed = {n for n in ENGINES if n not in EXTRAS or find_spec(EXTRAS[n][0])}
    assert found.engine in installed
    [line] = [m for m in caplog.messages if m.startswith("engine auto is ")]
    assert all(f"{name} " in line for name in installed)
    expected = open_model([models["unet"]]).predict(TILES)
    np.testing.assert_allclose(found.predict(TILES), expected, atol=1e-4)


def test_auto_takes_the_fastest(models, monkeypatch):
    from cervseg.engines import choice

    seconds = iter([0.3, 0.1, *[0.2] * len(ENGINES)])
    monkeypatch.setattr(choice, "seconds_per_tile", lambda *_: next(seconds))
    monkeypatch.setattr(choice, "is_installed", lambda _: True)
    for name in ENGINES:
        monkeypatch.setitem(ENGINES, name, lambda *_, name=name: name)

    found = open_model([models["unet"]], engine="auto")

    assert (found.engine, found.predict) == ("openvino", "openvino")


def test_auto_goes_on_without_an_engine_that_can_not(models, monkeypatch):
    from cervseg.engines import choice

    def refuse(*_):
        raise ConfigError("no")

    monkeypatch.setattr(choice, "is_installed", lambda _: True)
    for name in OTHERS:
        monkeypatch.setitem(ENGINES, name, refuse)

    assert open_model([models["unet"]], engine="auto").engine == "keras"


@pytest.mark.parametrize("engine", EXTRAS)
def test_a_missing_extra_is_one_line_and_what_to_type(models, engine, monkeypatch):
    from cervseg.engines import settings

    monkeypatch.setattr(settings, "find_spec", lambda name: None)

    with pytest.raises(ConfigError) as caught:
        open_model([models["unet"]], engine=engine)

    wanted = " and ".join(EXTRAS[engine])
    assert str(caught.value) == f"engine {engine} needs {wanted}, not installed here"
    assert caught.value.hint == f"pip install 'cervseg[{engine}]'"
    assert caught.value.exit_code == 2


# --- bfloat16


@pytest.mark.parametrize("engine", ["keras", "openvino"])
def test_bfloat16_answers_nearly_the_same(models, engine):
    if not machine.has_bfloat16():
        pytest.skip("this processor has no bfloat16")

    found = opened(models["unet"], engine, precision="bfloat16")

    difference = np.abs(found.predict(TILES) - open_model([models["unet"]]).predict(TILES))
    assert found.precision == "bfloat16"
    assert 0 < difference.max() < 1e-2


@pytest.mark.parametrize("engine", ["keras", "openvino"])
def test_bfloat16_is_refused_where_the_processor_lacks_it(models, engine, monkeypatch):
    monkeypatch.setattr(machine, "has_bfloat16", lambda: False)
    monkeypatch.setattr(runtime, "on_cpu", lambda: True)

    with pytest.raises(ConfigError) as caught:
        opened(models["unet"], engine, precision="bfloat16")

    assert str(caught.value) == "precision is bfloat16, which this processor does not have"
    assert caught.value.hint == "use precision float32"


def test_onnx_has_no_bfloat16(models):
    with pytest.raises(ConfigError, match="engine onnx does not compute in bfloat16"):
        opened(models["unet"], "onnx", precision="bfloat16")


# --- exported folders


def exported(models, tmp_path, engine):
    """A folder as `cervseg export` writes it."""
    from cervseg.contract import Contract
    from cervseg.engines.graphs import graph_of

    for library in EXTRAS[engine]:
        pytest.importorskip(library, reason=f"the extra {engine} is not installed")
    graph = graph_of(models["unet"], Contract.load(models["unet"]), engine, side=(SIDE, SIDE))
    shutil.copytree(graph.parent, tmp_path / "exported")
    shutil.copy(models["unet"] / "contract.json", tmp_path / "exported")
    return tmp_path / "exported"


@pytest.mark.parametrize("engine", GRAPH_FILES)
def test_an_exported_model_is_computed_by_its_own_engine(models, tmp_path, engine):
    found = open_model([exported(models, tmp_path, engine)])

    assert found.engine == engine
    expected = open_model([models["unet"]]).predict(TILES)
    np.testing.assert_allclose(found.predict(TILES), expected, atol=1e-4)


@pytest.mark.parametrize("engine", GRAPH_FILES)
def test_an_exported_model_and_one_with_weights_have_a_mean(models, tmp_path, engine):
    found = open_model([models["unet"], exported(models, tmp_path, engine)], disagreement=True)

    assert (found.engine, found.passes) == (f"keras+{engine}", 2)
    answer = found.predict(TILES)
    np.testing.assert_allclose(
        answer[..., :1], open_model([models["unet"]]).predict(TILES), atol=1e-4
    )
    assert answer[..., 1].max() < 1e-4


@pytest.mark.parametrize("engine", GRAPH_FILES)
def test_an_exported_model_is_of_one_size(models, tmp_path, engine):
    folder = exported(models, tmp_path, engine)

    with pytest.raises(ModelError) as caught:
        open_model([folder]).predict(TILES[:, :32, :32])

    assert str(caught.value).endswith(": made for tiles of 64 x 64, not 32 x 32")
    assert caught.value.hint == "use tiles of 64, or export with --tile-size 32"


def test_a_model_exported_for_another_engine_is_refused(models, tmp_path):
    folder = exported(models, tmp_path, "onnx")

    with pytest.raises(ModelError, match="exported for engine onnx, so openvino can't compute it"):
        open_model([folder], engine="openvino")


@pytest.mark.parametrize("engine", GRAPH_FILES)
def test_a_contract_of_another_graph_is_refused(models, tmp_path, engine):
    folder = exported(models, tmp_path, engine)
    shutil.copy(models["grey"] / "contract.json", folder)

    with pytest.raises(ModelError, match=r"from 3 channels to 1, the contract says from 1 to 3"):
        open_model([folder]).predict(TILES)


@pytest.mark.parametrize("engine", GRAPH_FILES)
@pytest.mark.parametrize("damage", ["empty", "cut", "noise"])
def test_a_broken_graph_is_one_line(models, tmp_path, *, engine, damage):
    folder = exported(models, tmp_path, engine)
    path = folder / {"openvino": "model.xml", "onnx": "model.onnx"}[engine]
    whole = path.read_bytes()
    noise = np.random.default_rng(1).bytes(len(whole))
    path.write_bytes({"empty": b"", "cut": whole[: len(whole) // 2], "noise": noise}[damage])

    with pytest.raises(ModelError) as caught:
        open_model([folder]).predict(TILES)

    assert str(caught.value).startswith(f"{path}: not a readable graph: ")
    assert "\n" not in str(caught.value)


def test_a_folder_with_neither_weights_nor_graph_says_what_it_may_be(models, tmp_path):
    shutil.copy(models["unet"] / "contract.json", tmp_path)

    with pytest.raises(ModelError) as caught:
        open_model([tmp_path])

    assert "no model.weights.h5, model.xml or model.onnx in it" in str(caught.value)
    assert caught.value.hint == "what is exported as keras or saved_model is for other programs"

import io
import json
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cervseg.errors import DataError
from cervseg.training.checkpoints import State, load_state, save_state

pytestmark = pytest.mark.usefixtures("started")

STATE = State(
    epoch=3,
    rows=[{"epoch": 1, "loss": 0.1 + 0.2}, {"epoch": 2, "loss": float("nan")}],
    best=1 / 3,
    best_epoch=1,
    waited=2,
    plateau_best=0.25,
    plateau_waited=1,
    ended="stop",
)
INPUTS = np.random.default_rng(0).normal(0, 1, (4, 5)).astype("float32")
TARGETS = INPUTS[:, :1] * 2


def make(units=3):
    """A network with dropout, and an optimiser with moments; other initial weights each time."""
    import keras

    model = keras.Sequential(
        [keras.Input((5,)), keras.layers.Dense(units), keras.layers.Dropout(0.5, seed=7),
         keras.layers.BatchNormalization(), keras.layers.Dense(1)]
    )  # fmt: skip
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"], run_eagerly=True)
    return model


def steps(model, count):
    return [float(model.train_on_batch(INPUTS, TARGETS)[0]) for _ in range(count)]


def variables(model):
    return [np.array(v) for v in (*model.variables, *model.optimizer.variables)]


def test_a_training_goes_on_as_if_it_had_never_stopped(tmp_path):
    unbroken = make()
    steps(unbroken, 2)
    save_state(tmp_path / "last.npz", unbroken, STATE)
    unbroken.reset_metrics()
    expected = steps(unbroken, 3)

    resumed = make()
    assert load_state(tmp_path / "last.npz", resumed) is not None
    resumed.reset_metrics()

    assert steps(resumed, 3) == expected
    for one, two in zip(variables(unbroken), variables(resumed), strict=True):
        np.testing.assert_array_equal(one, two)


def test_without_the_seeds_of_dropout_it_would_not(tmp_path):
    """So that the test above can fail."""
    unbroken = make()
    steps(unbroken, 2)
    save_state(tmp_path / "last.npz", unbroken, STATE)
    unbroken.reset_metrics()
    resumed = make()
    load_state(tmp_path / "last.npz", resumed)
    resumed.reset_metrics()
    seeds = [v for v in resumed.variables if "seed" in v.path]
    assert seeds
    for seed in seeds:
        seed.assign(np.array(seed) + 1)

    assert steps(resumed, 2) != steps(unbroken, 2)


def test_what_the_training_knows_survives_to_the_last_bit(tmp_path):
    model = make()
    steps(model, 1)
    save_state(tmp_path / "last.npz", model, STATE)

    state = load_state(tmp_path / "last.npz", model)

    assert repr(state) == repr(STATE)  # nan is not equal to itself


def test_a_state_of_no_epoch_knows_no_best():
    state = State()

    assert (state.epoch, state.best, state.ended, state.columns()) == (0, float("inf"), None, {})


def test_the_history_is_a_list_a_column():
    rows = [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}]

    assert State(rows=rows).columns() == {"epoch": [1, 2], "loss": [0.5, 0.25]}


def test_where_nothing_was_saved_there_is_nothing_to_resume(tmp_path):
    assert load_state(tmp_path / "last.npz", make()) is None


def refusal(path, model):
    before = [np.array(v) for v in model.variables]
    with pytest.raises(DataError) as caught:
        load_state(path, model)
    assert caught.value.hint == "start anew with --overwrite"
    for one, two in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(one, np.array(two), "the model is left as it was")
    return str(caught.value)


@pytest.mark.parametrize("kept", [0, 0.3, 0.7, 0.99])
def test_a_truncated_state_is_refused_by_name(tmp_path, kept):
    path, model = tmp_path / "last.npz", make()
    save_state(path, model, STATE)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])

    assert refusal(path, model).startswith(f"{path}: can't be resumed from: ")


def test_a_damaged_state_is_refused_by_name(tmp_path):
    path, model = tmp_path / "last.npz", make()
    save_state(path, model, STATE)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)

    assert refusal(path, model).startswith(f"{path}: can't be resumed from: ")


@pytest.mark.parametrize("text", ["not json", "[1]", '{"format": 2}', '{"format": 1, "x": 0}', "7"])
def test_a_state_of_another_kind_is_refused_by_name(tmp_path, text):
    path, model = tmp_path / "last.npz", make()
    save_state(path, model, STATE)
    with np.load(path) as file:
        arrays = dict(file)
    arrays["state"] = np.frombuffer(text.encode(), np.uint8)
    np.savez(path, **arrays)

    assert refusal(path, model).startswith(f"{path}: can't be resumed from: ")


def test_the_state_of_another_network_is_refused_with_the_layer(tmp_path):
    path = tmp_path / "last.npz"
    other = make(units=4)
    steps(other, 1)
    save_state(path, other, STATE)

    told = refusal(path, make(units=3))

    assert re.fullmatch(
        re.escape(f"{path}: can't be resumed from: ") + r"\S+kernel is \(5, 4\), not \(5, 3\)", told
    )


def test_the_state_of_a_network_of_other_depth_is_refused_with_the_numbers(tmp_path):
    path, model = tmp_path / "last.npz", make()
    save_state(path, model, STATE)  # before its first step, so without an optimiser

    told = refusal(path, make())

    assert re.fullmatch(
        re.escape(f"{path}: can't be resumed from: ")
        + r"it holds (\d+) variables, the network has (\d+)",
        told,
    )


class Evil:
    """Would write a file, if anybody unpickled it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def entries_of(path):
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def put(path, entries, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in entries.items():
            file.writestr(name, content)


@pytest.mark.parametrize("place", ["state", "v00000", "alone", "raw"])
def test_a_pickle_is_not_opened_under_any_name(tmp_path, place):
    path, model = tmp_path / "last.npz", make()
    save_state(path, model, STATE)
    evil = Evil(tmp_path / "was here")
    if place == "alone":
        path.write_bytes(pickle.dumps(evil))
    else:
        buffer = io.BytesIO()
        np.save(buffer, np.array([evil], dtype=object), allow_pickle=True)
        name = "v00000" if place == "raw" else place
        content = pickle.dumps(evil) if place == "raw" else buffer.getvalue()
        put(path, {**entries_of(path), f"{name}.npy": content})

    assert refusal(path, model).startswith(f"{path}: can't be resumed from: ")
    assert not evil.path.exists()


@pytest.mark.parametrize("shape", [(2**40, 2), (10**9,), (0,), (3, 5), (-1, 3)])
def test_an_array_that_claims_to_be_larger_is_not_made_room_for(tmp_path, shape):
    path, model = tmp_path / "last.npz", make()
    model.optimizer.build(model.trainable_variables)
    save_state(path, model, STATE)
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": "<f4", "fortran_order": False, "shape": shape}
    )
    put(path, {**entries_of(path), "v00000.npy": buffer.getvalue()})

    assert re.search(r" is \(.*\), not \(\d+.*\)$", refusal(path, model))


def test_a_bomb_in_the_archive_is_not_unpacked(tmp_path):
    path, model = tmp_path / "last.npz", make()
    save_state(path, model, STATE)
    entries = entries_of(path)
    entries["v00000.npy"] += bytes(10**8)
    put(path, entries, zipfile.ZIP_DEFLATED)

    assert "is compressed, or " in refusal(path, model)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epoch": "3"}, "'epoch' must be a number, not '3'"),
        ({"best_epoch": 7}, "epoch 7 is best of 2"),
        ({"rows": 3}, "'rows' must be a list, not 3"),
        ({"rows": [{"loss": "x"}]}, "'rows' that are no numbers"),
        ({"rows": [{"loss": 1}, {"dice": 1}]}, "'rows' of unequal columns"),
        ({"best": None}, "'best' must be a number, not None"),
        ({"ended": 5}, "'ended' must be a str, not 5"),
    ],
)
def test_a_state_that_a_training_would_stumble_over_is_refused(tmp_path, changes, message):
    path, model = tmp_path / "last.npz", make()
    save_state(path, model, STATE)
    with np.load(path) as file:
        arrays = dict(file)
    document = {**json.loads(bytes(arrays["state"]).decode()), **changes}
    arrays["state"] = np.frombuffer(json.dumps(document).encode(), np.uint8)
    np.savez(path, **arrays)

    assert refusal(path, model) == f"{path}: can't be resumed from: {message}"


def test_saving_leaves_one_file_whole(tmp_path):
    for _ in range(2):
        save_state(tmp_path / "checkpoints" / "last.npz", make(), STATE)

    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["last.npz"]

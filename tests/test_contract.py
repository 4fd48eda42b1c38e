import json
import subprocess
import sys
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cervseg.classes import Classes
from cervseg.config.inference import InferConfig
from cervseg.contract import (
    Contract,
    Postprocessing,
    Preprocessing,
    TrainingImage,
    find_model,
)
from cervseg.errors import ModelError

FULL = Contract(
    architecture="unet",
    options={"base_filters": 8, "base_kernels": [3, 3], "rescaling": "unit", "dropout_seed": None},
    classes=Classes.of({"cell": "#00ff00", "nucleus": "#ff0000"}),
    activation="softmax",
    tile_size=96,
    align=16,
    input_channels=1,
    channels=3,
    color_order="BGR",
    preprocess=Preprocessing("lab", 1.5, 0.25),
    receptive_field=93,
    margin=48,
    scale=0.25,
    mpp=0.9,
    threshold=(0.35, 0.6),
    temperature=1.25,
    postprocess=Postprocessing(3.5, 0.8, 40, 60.5, 12),
    trained_on=(TrainingImage("0f" * 32, None, "train"), TrainingImage("1e" * 32, "ab", "valid")),
    statistics={"area": [12.5, 3]},
    seed=7,
    versions={"cervseg": "0.1.0"},
    created="2026-11-24T11:00:00+00:00",
)
PLAIN = Contract(
    architecture="unet",
    options={},
    classes=Classes.of({"cell": "#00ff00"}),
    activation="sigmoid",
    tile_size=64,
)


STEPS = asdict(Postprocessing())


def refusal(folder, changes):
    """The message with which a contract is refused after some of its values were replaced."""
    PLAIN.save(folder)
    path = folder / "contract.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(ModelError) as caught:
        Contract.load(folder)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value).removeprefix(f"{path}: ").removeprefix("broken contract: ")


@pytest.mark.parametrize("contract", [FULL, PLAIN], ids=["full", "plain"])
def test_a_contract_survives_being_written_and_read(tmp_path, contract):
    contract.save(tmp_path)

    assert Contract.load(tmp_path) == contract


@given(
    scale=st.floats(1e-4, 1e4),
    threshold=st.floats(1e-6, 1),
    margin=st.none() | st.integers(0, 10**6),
    tiles=st.integers(1, 64),
    align=st.integers(1, 64),
)
def test_numbers_survive_to_the_last_bit(
    tmp_path_factory, *, scale, threshold, margin, tiles, align
):
    contract = replace(
        PLAIN, scale=scale, threshold=(threshold,), margin=margin, tile_size=tiles * align,
        align=align,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("model")

    contract.save(folder)

    assert Contract.load(folder) == contract


def test_the_file_tells_a_reader_the_classes_and_the_format(tmp_path):
    FULL.save(tmp_path)

    document = json.loads((tmp_path / "contract.json").read_text())

    assert document["format"] == 1
    assert document["classes"] == [
        {"index": 1, "name": "cell", "colour": "#00ff00"},
        {"index": 2, "name": "nucleus", "colour": "#ff0000"},
    ]
    assert document["ignore"] == 255
    assert document["rescaling"] == "unit"


def test_a_contract_is_read_without_keras(tmp_path):
    PLAIN.save(tmp_path)
    code = (
        "import sys; from pathlib import Path; from cervseg.contract import Contract;"
        f"Contract.load(Path({str(tmp_path)!r}));"
        "print(sorted({'keras', 'tensorflow', 'jax', 'cv2'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": 5}, "'architecture' must be a str, not 5"),
        ({"options": []}, "'options' must be a dict, not []"),
        ({"activation": "relu"}, "'activation' must be one of sigmoid, softmax, not 'relu'"),
        ({"activation": ["sigmoid"]},
         "'activation' must be one of sigmoid, softmax, not ['sigmoid']"),
        ({"activation": "softmax"}, "1 channels for 1 classes and softmax"),
        ({"channels": 2}, "2 channels for 1 classes and sigmoid"),
        ({"channels": 10**9}, "'channels' must be from 1 to 256, not 1000000000"),
        ({"tile_size": 0}, "'tile_size' must be from 1 to 16384, not 0"),
        ({"tile_size": 10**400}, None),
        ({"tile_size": 64.5}, "'tile_size' must be a whole number, not 64.5"),
        ({"tile_size": True}, "'tile_size' must be a number, not True"),
        ({"tile_size": "64"}, "'tile_size' must be a number, not '64'"),
        ({"align": 48}, "tile_size 64 is no multiple of align 48"),
        ({"align": 0}, "'align' must be from 1 to 4096, not 0"),
        ({"input_channels": 4}, "'input_channels' must be from 1 to 3, not 4"),
        ({"input_channels": 2}, "'input_channels' must be 1 or 3, not 2"),
        ({"color_order": "GBR"}, "'color_order' must be one of RGB, BGR, not 'GBR'"),
        ({"margin": -1}, "'margin' must be from 0 to 1e+06, not -1"),
        ({"receptive_field": 1e300}, "'receptive_field' must be from 0 to 1e+06, not 1e+300"),
        ({"scale": 0}, "'scale' must be from 0.0001 to 10000, not 0"),
        ({"scale": float("nan")}, "'scale' must be a number, not nan"),
        ({"scale": float("inf")}, "'scale' must be a number, not inf"),
        ({"mpp": -0.5}, "'mpp' must be from 0.0001 to 10000, not -0.5"),
        ({"temperature": 0}, "'temperature' must be from 0.001 to 1000, not 0"),
        ({"threshold": 0.5}, "'threshold' must be a list, not 0.5"),
        ({"threshold": [1.5]}, "'threshold' must be from 1e-06 to 1, not 1.5"),
        ({"threshold": [0]}, "'threshold' must be from 1e-06 to 1, not 0"),
        ({"threshold": []}, "0 thresholds for 1 classes"),
        ({"threshold": [0.5, 0.5]}, "2 thresholds for 1 classes"),
        ({"seed": -1}, "'seed' must be from 0 to 2.14748e+09, not -1"),
        ({"created": None}, "'created' must be a str, not None"),
        ({"versions": 3}, "'versions' must be a dict, not 3"),
        ({"statistics": "x"}, "'statistics' must be a dict, not 'x'"),
        ({"classes": []}, "'classes' is empty"),
        ({"classes": [], "activation": "softmax", "threshold": []}, "'classes' is empty"),
        ({"classes": ["cell"]}, "'classes' must be a list of objects"),
        ({"classes": [{"name": "cell"}]}, "'colour' is missing"),
        ({"classes": [{"name": "cell", "colour": "green"}]}, "'green' is no colour like '#00ff00'"),
        ({"classes": [{"name": 1, "colour": "#00ff00"}]}, "'name' must be a str, not 1"),
        ({"classes": [{"name": "cell", "colour": None}]}, "'colour' must be a str, not None"),
        ({"classes": 2 * [{"name": "cell", "colour": "#00ff00"}], "channels": 2},
         "2 channels for 1 classes and sigmoid"),
        ({"preprocess": None}, "'preprocess' must be a dict, not None"),
        ({"preprocess": {"color_space": "hsv", "gamma": 1.0}}, "'sharpen' is missing"),
        ({"preprocess": {"color_space": "xyz", "gamma": 1, "sharpen": 0}},
         "'color_space' must be one of rgb, hsv, lab, not 'xyz'"),
        ({"preprocess": {"color_space": "rgb", "gamma": 0, "sharpen": 0}},
         "'gamma' must be from 0.01 to 100, not 0"),
        ({"trained_on": [{"sha256": 5, "phash": None, "split": "train"}]},
         "'sha256' must be a str, not 5"),
        ({"postprocess": {**STEPS, "blur": -1}}, "'blur' must be from 0 to 1000, not -1"),
        ({"postprocess": {**STEPS, "min_area": 1.5}},
         "'min_area' must be a whole number, not 1.5"),
        ({"postprocess": {**STEPS, "hysteresis": 2}}, "'hysteresis' must be from 0 to 1, not 2"),
        ({"postprocess": []}, "'postprocess' must be a dict, not []"),
        ({"postprocess": {}}, "'hysteresis' is missing"),
        ({"augment": "twice"},
         "'augment' must be one of none, flips, dihedral, not 'twice'"),
        ({"trained_on": [[]]}, "'trained_on' must be a list of objects"),
        ({"format": 2}, "format 2, written by cervseg unknown; this version reads format 1"),
    ],
)  # fmt: skip
def test_a_hostile_value_is_refused_by_file_and_key(tmp_path, changes, message):
    told = refusal(tmp_path, changes)

    assert message is None or told == message


@pytest.mark.parametrize("key", sorted({*PLAIN.__dataclass_fields__} - {"postprocess", "augment"}))
def test_a_missing_key_is_named(tmp_path, key):
    PLAIN.save(tmp_path)
    path = tmp_path / "contract.json"
    document = json.loads(path.read_text())
    del document[key]
    path.write_text(json.dumps(document))

    with pytest.raises(ModelError) as caught:
        Contract.load(tmp_path)

    assert str(caught.value) == f"{path}: broken contract: {key!r} is missing"


def test_an_older_one_that_says_nothing_of_masks_and_turns_is_read(tmp_path):
    PLAIN.save(tmp_path)
    path = tmp_path / "contract.json"
    document = json.loads(path.read_text())
    del document["postprocess"], document["augment"]
    path.write_text(json.dumps(document))

    read = Contract.load(tmp_path)
    assert (read.postprocess, read.augment) == (Postprocessing(), "none")


def test_a_section_changes_only_what_it_says():
    own = Postprocessing(3.5, 0.8, 40, 60.5, 12)

    assert own.but(InferConfig()) == own
    assert own.but(InferConfig(fill_holes=0, blur=1.0)) == Postprocessing(1.0, 0.8, 0, 60.5, 12)


def test_a_missing_contract_is_a_problem_of_the_model(tmp_path):
    with pytest.raises(ModelError) as caught:
        Contract.load(tmp_path)

    assert str(caught.value) == f"{tmp_path / 'contract.json'}: no such contract"


def test_a_model_is_found_in_its_run_and_by_itself(tmp_path):
    PLAIN.save(tmp_path / "run" / "model")

    assert find_model(tmp_path / "run") == tmp_path / "run" / "model"
    assert find_model(tmp_path / "run" / "model") == tmp_path / "run" / "model"


def test_a_model_that_is_not_there_is_refused_with_the_command_that_makes_one(tmp_path):
    with pytest.raises(ModelError) as caught:
        find_model(tmp_path / "run")

    assert str(caught.value) == f"{tmp_path / 'run'}: no such model"
    assert caught.value.hint == "make one with: cervseg train CONFIG"


def test_a_folder_without_a_model_is_refused_with_what_to_name(tmp_path):
    with pytest.raises(ModelError) as caught:
        find_model(tmp_path)

    assert str(caught.value) == f"{tmp_path}: no model in it (no contract.json)"
    assert caught.value.hint == "name a run folder, or its folder `model`"


@pytest.mark.parametrize(
    "parts", [("fold0", "fold2", "fold10"), ("seed1", "seed2"), ("seed0/fold0", "seed0/fold1")]
)
def test_of_folds_and_seeds_those_with_a_model_are_named_to_be_named(tmp_path, parts):
    run = tmp_path / "my run"
    for part in parts:
        PLAIN.save(run / part / "model")
    (run / "fold1").mkdir()  # has not ended

    with pytest.raises(ModelError, match="my run: no model in it") as caught:
        find_model(run)

    words = " ".join(f"'{run / part}'" for part in parts)
    assert caught.value.hint == f"name one within: {words}"


def test_a_run_that_has_not_ended_is_told_from_a_folder_without_a_model(tmp_path):
    (tmp_path / "run.json").write_text("{}")

    with pytest.raises(ModelError, match="its training has not ended") as caught:
        find_model(tmp_path)

    assert caught.value.hint == "go on with it: cervseg train CONFIG --resume"

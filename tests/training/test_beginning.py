import logging

import h5py
import numpy as np
import pytest

from cervseg.classes import Classes
from cervseg.contract import Contract, TrainingImage
from cervseg.errors import ConfigError, LeakError, ModelError

pytestmark = pytest.mark.usefixtures("started")

OPTIONS = {"base_filters": 2, "num_layers": 2, "normalization": "batch"}


def contract(**options):
    return Contract(
        architecture="unet", options={**OPTIONS, **options}, activation="sigmoid",
        classes=Classes.of({"cell": "#00ff00"}), tile_size=32, align=2,
    )  # fmt: skip


def network(**options):
    from cervseg.models.folder import build_network

    return build_network(contract(**options), where="here")


@pytest.fixture
def model(tmp_path):
    """A model folder with weights of its own."""
    from cervseg.models.folder import save_model

    made = network()
    for variable in made.weights:
        variable.assign(np.asarray(variable) + 1)
    save_model(tmp_path / "old", made, contract())
    return tmp_path / "old"


def values(made):
    return {v.path: np.asarray(v) for v in made.weights}


def test_weights_of_the_same_network_are_all_taken(model, caplog):
    from cervseg.models.folder import load_model
    from cervseg.training.beginning import start_from

    new, old = network(), values(load_model(model, contract()))
    with caplog.at_level(logging.INFO, "cervseg"):
        start_from(model, new, into=contract())

    for path, value in values(new).items():
        np.testing.assert_array_equal(value, old[path])
    assert caplog.messages == [f"{len(old)} of {len(old)} weights start from {model}"]


def test_what_does_not_fit_keeps_its_values_and_is_told(model, caplog):
    """Another depth: the bottleneck has another shape, one level is new."""
    from cervseg.models.folder import load_model
    from cervseg.training.beginning import start_from

    new, old = network(num_layers=3), values(load_model(model, contract()))
    before = values(new)
    with caplog.at_level(logging.DEBUG, "cervseg"):
        start_from(model, new, into=contract())

    after = values(new)
    taken = {path for path in after if not np.array_equal(after[path], before[path])}
    assert taken and all(np.array_equal(after[path], old[path]) for path in taken)
    assert "  not taken: down1_conv1/kernel: missing in the file" in caplog.messages
    told = "bottleneck_conv1/kernel: (3, 3, 2, 4) in the file, (3, 3, 4, 8) in the network"
    assert f"  not taken: {told}" in caplog.messages


def test_only_ten_are_told_on_the_screen(model, caplog):
    from cervseg.training.beginning import start_from

    with caplog.at_level(logging.INFO, "cervseg"):
        start_from(model, network(num_layers=4), into=contract())

    lines = [m for m in caplog.messages if m.startswith("  ")]
    assert len(lines) == 11 and lines[-1].endswith(" more, in log.txt")


def test_a_model_of_which_nothing_fits_is_refused(model):
    from cervseg.training.beginning import start_from

    with h5py.File(model / "model.weights.h5", "w") as file:
        file["other/kernel"] = np.zeros(3, "float32")

    with pytest.raises(ModelError) as caught:
        start_from(model, network(), into=contract())

    assert str(caught.value) == (f"{model}/model.weights.h5: none of its weights fits the network")


def test_another_architecture_of_which_little_fits_is_refused_and_named(model):
    from dataclasses import replace

    from cervseg.training.beginning import start_from

    other = replace(contract(), architecture="lite_unet")
    with pytest.raises(ModelError) as caught:
        start_from(model, network(num_layers=4), into=other)

    assert str(caught.value) == (
        f"{model}: only 24 of 78 weights fit: it is of architecture unet, the config's is lite_unet"
    )
    assert caught.value.hint == "say model.architecture=unet, or start from another model"
    start_from(model, network(), into=other)  # all of it fits


def test_a_start_at_another_scale_is_told(model, caplog):
    from dataclasses import replace

    from cervseg.training.beginning import start_from

    start_from(model, network(), into=replace(contract(), scale=0.375))

    told = f"{model} learned at scale 1, these tiles are at 0.375: what it knows has another size"
    assert told in [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]


def test_frozen_layers_are_those_of_the_pattern():
    from cervseg.training.beginning import freeze

    made = network()
    freeze(made, ("down*", "bottleneck_conv1"))

    frozen = {layer.name for layer in made.layers if layer.variables and not layer.trainable}
    assert frozen == {
        "down0_conv1", "down0_conv1_norm", "down0_conv2", "down0_conv2_norm", "bottleneck_conv1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (("encoder_*",), "'train.freeze': no layer is called 'encoder_*'"),
        (("*",), "'train.freeze' leaves nothing to train"),
    ],
)
def test_a_pattern_that_freezes_nothing_or_all_is_refused(patterns, message):
    from cervseg.training.beginning import freeze

    with pytest.raises(ConfigError) as caught:
        freeze(network(), patterns)

    assert str(caught.value) == message


def test_a_frozen_layer_keeps_its_weights_and_its_statistics(make_setup, model, tmp_path):
    from cervseg.models.folder import load_model
    from cervseg.models.weights import load_weights
    from cervseg.training.trainer import fit

    old = values(load_model(model, contract()))
    keys = {"optimizer": "lion", "learning_rate": 0.1}  # every gradient makes a step of 0.1
    setup = make_setup(tmp_path, epochs=1, start_from=str(model), freeze=["down0*"], **keys)

    fit(setup)

    trained = network()
    load_weights(setup.run.best, trained)
    new = values(trained)
    same = {path for path in old if np.array_equal(old[path], new[path])}
    assert same == {path for path in old if path.startswith("down0")}


def test_a_model_also_knows_the_images_of_the_one_it_started_from(make_setup, tmp_path, model):
    from dataclasses import replace

    from cervseg.training.trainer import untrained_contract

    seen = TrainingImage("ab" * 32, None, "train")
    replace(contract(), trained_on=(seen,)).save(model)

    drafted = untrained_contract(make_setup(tmp_path, start_from=str(model)))

    assert seen in drafted.trained_on and len(drafted.trained_on) > 1


def test_a_start_that_has_seen_held_out_images_is_refused(make_dataset, tmp_path, model):
    from dataclasses import replace

    from cervseg.commands.train import train
    from cervseg.config import Config

    data = make_dataset()
    known = data.sources_of("valid")[0]
    replace(contract(), trained_on=(TrainingImage(known.sha256, None, "train"),)).save(model)
    config = Config.model_validate(
        {
            "data": {"output": str(data.folder), "tile_size": 32},
            "train": {"output": str(tmp_path / "run"), "start_from": str(model)},
        }
    )

    with pytest.raises(LeakError, match=f"{known.name}: in its train split"):
        train(config)

    assert not (tmp_path / "run").exists()

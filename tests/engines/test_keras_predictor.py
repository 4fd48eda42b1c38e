from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cervseg.classes import Classes
from cervseg.contract import Contract, Preprocessing, TrainingImage
from cervseg.errors import ModelError
from cervseg.images.preprocess import preprocess

pytestmark = pytest.mark.usefixtures("started")

OPTIONS = {"base_filters": 2, "num_layers": 2, "normalization": "none"}
CONTRACT = Contract(
    architecture="unet", options=OPTIONS, classes=Classes.of({"cell": "#00ff00"}),
    activation="sigmoid", tile_size=12, align=2,
)  # fmt: skip
TWO = Classes.of({"cell": "#00ff00", "nucleus": "#ff0000"})
TILES = np.random.default_rng(0).integers(0, 256, (4, 8, 12, 3), np.uint8)


def network(contract, seed=0):
    """Its network as if trained: no weight at its initial value."""
    from cervseg.models.folder import build_network

    model, rng = build_network(contract, where="here"), np.random.default_rng(seed)
    for variable in model.weights:
        value = rng.normal(0, 0.4, variable.shape)
        variable.assign(np.abs(value) + 0.3 if "variance" in variable.path else value)
    return model


def predictor(model, contract=CONTRACT, **changes):
    from cervseg.engines.keras import KerasPredictor

    return KerasPredictor(model, replace(contract, **changes))


def logits(model, tiles):
    return np.asarray(model(tiles.astype("float32"), training=False)).astype(float)


# --- how pixels go in


def test_a_network_trained_on_blue_first_is_given_blue_first():
    model = network(CONTRACT)
    red_first = predictor(model, color_order="RGB")

    answer = predictor(model, color_order="BGR")(TILES)

    np.testing.assert_array_equal(answer, red_first(TILES[..., ::-1]))
    assert np.abs(answer - red_first(TILES)).max() > 0.01


def test_a_grey_network_is_given_the_luma():
    contract = replace(CONTRACT, input_channels=1)
    model = network(contract)
    luma = np.rint(TILES @ np.array([0.299, 0.587, 0.114]))[..., None]

    answer = predictor(model, contract)(TILES)

    np.testing.assert_allclose(answer, 1 / (1 + np.exp(-logits(model, luma))), atol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        Preprocessing(color_space="hsv"), Preprocessing(gamma=2.0), Preprocessing(sharpen=0.5),
    ],
    ids=["hsv", "gamma", "sharpen"],
)  # fmt: skip
def test_each_tile_is_preprocessed_as_in_training_and_turned_round_last(settings):
    model = network(CONTRACT)
    plain, ready = predictor(model), np.stack([preprocess(tile, settings) for tile in TILES])

    answer = predictor(model, preprocess=settings)(TILES)
    blue_first = predictor(model, preprocess=settings, color_order="BGR")(TILES)

    np.testing.assert_array_equal(answer, plain(ready))
    np.testing.assert_array_equal(blue_first, plain(ready[..., ::-1]))
    assert np.abs(answer - plain(TILES)).max() > 1e-4


# --- what comes out


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_sigmoid_channels_are_one_by_one_those_of_the_formula(temperature):
    contract = replace(CONTRACT, classes=TWO, channels=2, threshold=(0.5, 0.5))
    model = network(contract)

    answer = predictor(model, contract, temperature=temperature)(TILES)

    expected = 1 / (1 + np.exp(-logits(model, TILES) / temperature))
    assert (answer.shape, answer.dtype) == ((4, 8, 12, 2), np.float32)
    np.testing.assert_allclose(answer, expected, atol=1e-5)
    assert answer.std() > 0.01


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_softmax_channels_are_those_of_the_formula_and_add_up_to_one(temperature):
    contract = replace(
        CONTRACT, classes=TWO, channels=3, threshold=(0.5, 0.5), activation="softmax"
    )
    model = network(contract)

    answer = predictor(model, contract, temperature=temperature)(TILES)

    powers = np.exp(logits(model, TILES) / temperature)
    assert (answer.shape, answer.dtype) == ((4, 8, 12, 3), np.float32)
    np.testing.assert_allclose(answer, powers / powers.sum(axis=-1, keepdims=True), atol=1e-5)
    np.testing.assert_allclose(answer.sum(axis=-1), 1, atol=1e-6)


@pytest.mark.parametrize("normalization", ["none", "batch", "layer", "group"])
def test_a_tile_has_the_same_bits_whatever_the_others_of_its_batch_are(normalization):
    contract = replace(CONTRACT, options={**OPTIONS, "normalization": normalization})
    predict = predictor(network(contract), contract)
    together = predict(TILES)

    for place, tile in enumerate(TILES):
        others = np.full_like(TILES, 255 * (place % 2))
        others[place] = tile

        np.testing.assert_array_equal(predict(others)[place], together[place])


def test_weights_that_change_later_count():
    model = network(CONTRACT)
    predict = predictor(model)
    before = predict(TILES)

    for variable in model.weights:
        variable.assign(np.asarray(variable) * 0.5)

    np.testing.assert_allclose(predict(TILES), 1 / (1 + np.exp(-logits(model, TILES))), atol=1e-5)
    assert np.abs(predict(TILES) - before).max() > 0.01


# --- from a folder


def save(folder, *, contract=CONTRACT, seed=0):
    """Write a model as a training does, and give it back."""
    from cervseg.models.folder import save_model

    model = network(contract, seed)
    save_model(folder, model, contract)
    return model


def test_a_run_folder_and_its_model_folder_open_the_same_model(tmp_path):
    from cervseg.engines import open_model

    model = save(tmp_path / "run" / "model")

    for path in (tmp_path / "run", tmp_path / "run" / "model"):
        contract, predict = open_model([path])

        assert contract == CONTRACT
        np.testing.assert_array_equal(predict(TILES), predictor(model)(TILES))


def test_a_model_that_is_nowhere_is_refused_with_the_command_that_makes_one(tmp_path):
    from cervseg.engines import open_model

    with pytest.raises(ModelError) as caught:
        open_model([tmp_path / "run"])

    assert str(caught.value) == f"{tmp_path}/run: no such model"
    assert caught.value.hint == "make one with: cervseg train CONFIG"
    assert caught.value.exit_code == 3


def test_a_folder_without_a_model_is_refused(tmp_path):
    from cervseg.engines import open_model

    save(tmp_path / "one")
    (tmp_path / "empty").mkdir()

    with pytest.raises(ModelError) as caught:
        open_model([tmp_path / "one", tmp_path / "empty"])

    assert str(caught.value) == f"{tmp_path}/empty: no model in it (no contract.json)"
    assert caught.value.hint == "name a run folder, or its folder `model`"


def test_several_models_open_as_their_mean(tmp_path):
    from cervseg.engines import open_model

    one = save(tmp_path / "one")
    two = save(tmp_path / "two" / "model", contract=replace(CONTRACT, tile_size=20), seed=1)

    contract, predict = open_model([tmp_path / "one", tmp_path / "two"])

    expected = (predictor(one)(TILES) + predictor(two)(TILES)) / 2
    np.testing.assert_allclose(predict(TILES), expected, atol=1e-6)
    assert contract.tile_size == 20


# --- the contract of several


def merged(*changes):
    """The contract for models that differ from the first in these."""
    from cervseg.engines.wrappers import merge_contracts

    contracts = [replace(CONTRACT, **change) for change in changes]
    return merge_contracts(contracts, [Path(f"model{i}") for i in range(len(contracts))])


@pytest.mark.parametrize(
    ("margins", "expected"), [((4, 8, 6), 8), ((0, 0), 0), ((8, None, 4), None), ((None, 9), None)]
)
def test_the_widest_margin_holds_and_one_that_sees_the_whole_tile_sees_it_for_all(
    margins, expected
):
    assert merged(*({"margin": margin} for margin in margins)).margin == expected


@pytest.mark.parametrize(
    ("models", "align", "size"),
    [
        ([(4, 64), (6, 66)], 12, 72), ([(4, 64), (8, 64)], 8, 64), ([(1, 50), (16, 48)], 16, 64),
        ([(2, 10), (3, 9), (5, 25)], 30, 30),
    ],
)  # fmt: skip
def test_tiles_lie_on_the_stride_of_all_and_are_no_smaller_than_any(models, align, size):
    contract = merged(*({"align": a, "tile_size": s} for a, s in models))

    assert (contract.align, contract.tile_size) == (align, size)


def test_each_threshold_is_the_mean_over_models():
    two = {"classes": TWO, "channels": 2}

    contract = merged({**two, "threshold": (0.3, 0.5)}, {**two, "threshold": (0.6, 0.9)})

    assert contract.threshold == pytest.approx((0.45, 0.7))


def test_what_any_of_the_models_was_trained_on_all_were():
    a, b, c = (TrainingImage(name * 64, None, "train") for name in "abc")

    contract = merged({"trained_on": (a, b)}, {"trained_on": ()}, {"trained_on": (b, c)})

    assert set(contract.trained_on) == {a, b, c}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale": 0.25}, "model2: its scale is 0.25, that of model0 is 1.0"),
        ({"activation": "softmax"}, "model2: its activation is softmax, that of model0 is sigmoid"),
        (
            {"classes": Classes.of({"nucleus": "#00ff00"})},
            "model2: its classes is nucleus, that of model0 is cell",
        ),
    ],
    ids=["scale", "activation", "classes"],
)
def test_models_that_do_not_go_together_are_refused_by_name(change, message):
    with pytest.raises(ModelError) as caught:
        merged({}, {}, change)

    assert str(caught.value) == message

import math
from pathlib import Path

import h5py
import numpy as np
import pytest

from cervseg.errors import ModelError
from cervseg.models.inspection import geometry
from cervseg.models.lite_unet import STAGES, build, load_encoder
from cervseg.models.weights import save_weights

pytestmark = pytest.mark.usefixtures("started")

SIDE = 64
STATISTICS = ("moving_mean", "moving_variance")
UNET_OF_EIGHT_LEVELS = 78_900
"""Multiply-adds an input pixel of the network that this one is to undercut eightfold."""


def made(**options):
    return build((SIDE, SIDE, 3), 1, **options)


@pytest.fixture(scope="module")
def model(started):
    return made()


def multiply_adds(model):
    """An input pixel, by layer."""
    return {
        layer.name: math.prod(layer.output.shape[1:3]) * math.prod(layer.kernel.shape) / SIDE**2
        for layer in model.layers
        if type(layer).__name__ in ("Conv2D", "DepthwiseConv2D")
    }


def encoder_layers(model):
    return [layer for layer in model.layers if layer.name.startswith("encoder_")]


def encoder_weights(model):
    return {v.path: np.asarray(v) for v in model.weights if v.path.startswith("encoder_")}


@pytest.fixture(scope="module")
def given(started):
    """Another of the same, with no weight at its initial value."""
    network, rng = made(), np.random.default_rng(0)
    for variable in network.weights:
        variable.assign(rng.uniform(0.1, 1, variable.shape).astype("float32"))
    return network


def test_it_has_fewer_than_four_and_a_half_million_parameters(model):
    assert model.count_params() < 4_500_000


def test_it_costs_an_eighth_of_a_u_net_of_eight_levels(model):
    assert sum(multiply_adds(model).values()) < UNET_OF_EIGHT_LEVELS / 8


def test_only_convolutions_multiply_so_that_nothing_is_left_out_of_the_count(model):
    with_matrices = {type(x).__name__ for x in model.layers if any(v.ndim > 1 for v in x.weights)}

    assert with_matrices == {"Conv2D", "DepthwiseConv2D"}


def test_the_encoder_has_the_published_parameters_but_for_the_classifier(model):
    """Tan's table says 4.7 million for the whole; the author's code gives 4 652 008."""
    head = 320 * 1280 + 2 * 1280 + 1280 * 1000 + 1000

    learned = sum(a.size for path, a in encoder_weights(model).items() if "/moving" not in path)

    assert learned + head == 4_652_008


def test_the_encoder_has_sixteen_blocks_without_squeeze_excite(model):
    kinds = {type(layer).__name__ for layer in encoder_layers(model)}
    blocks = [layer for layer in encoder_layers(model) if layer.name.endswith("_project")]

    assert len(blocks) == 16 == sum(stage.blocks for stage in STAGES)
    assert kinds == {"Conv2D", "DepthwiseConv2D", "BatchNormalization", "ReLU", "Add"}
    assert geometry(model).radius is not None


def test_the_encoder_bends_at_six_and_nowhere_after_a_projection(model):
    bends = [layer for layer in encoder_layers(model) if type(layer).__name__ == "ReLU"]

    assert {layer.max_value for layer in bends} == {6.0}
    assert not [layer.name for layer in bends if "project" in layer.name]


def test_blocks_that_keep_stride_and_filters_add_their_input(model):
    added = {x.name.removesuffix("_add") for x in encoder_layers(model) if x.name.endswith("_add")}

    assert added == {
        f"encoder_stage{number}_block{block}"
        for number, stage in enumerate(STAGES, start=1)
        for block in range(2, stage.blocks + 1)
    }


def test_skips_are_taken_at_all_strides(model):
    skips = [model.get_layer(f"up{i}_skip").input[1].shape for i in (1, 2, 3, 4)]
    deepest = model.get_layer("up4_expand").input.shape

    assert [SIDE // shape[1] for shape in (*skips, deepest)] == [2, 4, 8, 16, 32]
    assert [shape[-1] for shape in (*skips, deepest)] == [16, 24, 40, 112, 320]
    assert geometry(model).align == 32


def test_the_decoder_has_the_filters_asked_for():
    model = made(decoder_filters=(9, 7, 5, 3))

    for conv in ("conv1", "conv2"):
        assert [model.get_layer(f"up{i}_{conv}").filters for i in (4, 3, 2, 1)] == [9, 7, 5, 3]


def test_pixels_are_scaled_as_the_published_weights_saw_them(model):
    scaled = model.get_layer("rescaling")(np.array([[[[127, 255, 0]]]], "float32"))

    np.testing.assert_allclose(np.ravel(scaled), [0, 1, -127 / 128])


def test_an_image_in_grey_is_taken_as_colour_of_equal_channels():
    grey, colour = build((None, None, 1), 2), build((None, None, 3), 2)
    colour.set_weights(grey.get_weights())
    image = np.random.default_rng(0).uniform(0, 255, (1, 32, 64, 1)).astype("float32")

    np.testing.assert_allclose(
        np.asarray(grey(image)), np.asarray(colour(image.repeat(3, axis=-1))), atol=1e-6
    )


def test_from_nothing_features_neither_die_nor_grow(model):
    import keras

    image = np.random.default_rng(0).uniform(0, 255, (2, SIDE, SIDE, 3)).astype("float32")
    deepest = keras.Model(model.input, model.get_layer("up4_expand").input)

    spread = np.asarray(deepest(image)).std()

    assert 0.01 < spread < 10


def test_dropout_comes_last_and_only_if_wanted():
    names = [layer.name for layer in made(dropout_rate=0.3, dropout_seed=1).layers]

    assert names[-3:] == ["dropout", "logits", "enlarge"]
    assert "dropout" not in [layer.name for layer in made().layers]


@pytest.mark.parametrize(("freeze", "trained"), [(False, 10**9), (True, 0), (40, 40), (999, 999)])
def test_the_encoder_is_frozen_but_for_its_last_layers(freeze, trained):
    model = made(freeze_encoder=freeze)

    encoder = encoder_layers(model)
    assert [layer.trainable for layer in encoder] == [
        place <= trained for place in range(len(encoder), 0, -1)
    ]
    assert all(x.trainable for x in model.layers if not x.name.startswith("encoder_"))


@pytest.mark.parametrize("norms", [True, False])
def test_norms_of_a_frozen_encoder_move_only_if_they_are_not_frozen_too(norms):
    model = made(freeze_encoder=True, freeze_norms=norms)
    before = encoder_weights(model)

    model(np.random.default_rng(0).uniform(0, 255, (2, SIDE, SIDE, 3)), training=True)

    statistics = {path for path, a in encoder_weights(model).items() if (a != before[path]).any()}
    learned = {v.path for v in model.trainable_variables if v.path.startswith("encoder_")}
    paths = set() if norms else {path.split("/")[0] for path in before if "_norm/" in path}
    assert statistics == {f"{p}/{part}" for p in paths for part in STATISTICS}
    assert learned == {f"{p}/{part}" for p in paths for part in ("gamma", "beta")}


def test_other_than_four_decoder_filters_are_refused():
    with pytest.raises(ValueError, match="decoder_filters are four numbers"):
        made(decoder_filters=(8, 8))


def test_an_input_of_two_channels_is_refused():
    with pytest.raises(ValueError, match="1 or 3 channels, not 2"):
        build((None, None, 2), 1)


def test_an_encoder_is_loaded_from_a_file_and_the_decoder_left_alone(tmp_path, given):
    path = tmp_path / "encoder.weights.h5"
    save_weights(path, given, prefix="encoder_")
    other = made(decoder_filters=(5, 4, 3, 2))
    decoder = {v.path: np.asarray(v) for v in other.weights if not v.path.startswith("encoder_")}

    load_encoder(other, path)

    wanted, found = encoder_weights(given), encoder_weights(other)
    assert wanted.keys() == found.keys()
    assert all(np.array_equal(wanted[name], found[name]) for name in wanted)
    after = {v.path: np.asarray(v) for v in other.weights if v.path in decoder}
    assert all(np.array_equal(after[name], decoder[name]) for name in decoder)


def test_what_is_no_file_is_refused_and_the_one_in_the_package_named(model):
    with pytest.raises(ModelError) as caught:
        load_encoder(model, Path("nowhere/encoder.weights.h5"))

    assert str(caught.value) == "nowhere/encoder.weights.h5: no such weights"
    assert caught.value.hint == "those in the package are `imagenet`"


def test_the_encoder_of_imagenet_comes_with_the_package():
    other = made()

    load_encoder(other, "imagenet")

    variances = {k: a for k, a in encoder_weights(other).items() if k.endswith("moving_variance")}
    assert len(variances) == 48
    assert all(len(np.unique(a)) > 1 for a in variances.values())  # measured, not as they begin


@pytest.mark.parametrize("flaw", ["shape", "missing", "more", "whole"])
def test_a_file_that_does_not_fit_is_refused_and_nothing_is_changed(
    tmp_path, *, model, given, flaw
):
    path = tmp_path / "encoder.weights.h5"
    save_weights(path, given, prefix="" if flaw == "whole" else "encoder_")
    with h5py.File(path, "a") as file:
        if flaw in ("shape", "missing"):
            del file["encoder_stem/kernel"]
        if flaw == "shape":
            file["encoder_stem/kernel"] = np.zeros((3, 3, 1, 32), "float32")
        if flaw == "more":
            file["encoder_head/kernel"] = np.zeros((1, 1, 320, 1280), "float32")
    before = encoder_weights(model)

    with pytest.raises(ModelError) as caught:
        load_encoder(model, path)

    name = {"more": "encoder_head/kernel", "whole": "logits/bias"}.get(flaw, "encoder_stem/kernel")
    assert str(caught.value).startswith(f"{path}: ") and f"  {name}: " in str(caught.value)
    assert all(np.array_equal(a, before[name]) for name, a in encoder_weights(model).items())


def test_a_file_of_anything_else_is_refused(tmp_path, model):
    path = tmp_path / "encoder.weights.h5"
    path.write_bytes(b"no weights")

    with pytest.raises(ModelError, match="not a readable file of weights"):
        load_encoder(model, path)

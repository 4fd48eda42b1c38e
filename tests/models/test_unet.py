import inspect
import typing

import numpy as np
import pytest

from cervseg.config.networks import Activation, UNetConfig
from cervseg.models.inspection import geometry
from cervseg.models.unet import build

pytestmark = pytest.mark.usefixtures("started")


def made(**options):
    return build((None, None, 3), 1, **{"base_filters": 2, "num_layers": 4, **options})


def convolutions(model, kind="conv1"):
    """Level to its layer, on the way down."""
    levels = ["down0", "down1", "down2", "bottleneck"]
    return [model.get_layer(f"{level}_{kind}") for level in levels]


def test_a_newcomer_finds_every_layer_by_level_and_role():
    names = [layer.name for layer in made(num_layers=2, normalization="none").layers]

    assert names == [
        "image", "rescaling",
        "down0_conv1", "down0_conv1_act", "down0_conv2", "down0_conv2_act", "down0_pool",
        "bottleneck_conv1", "bottleneck_conv1_act", "bottleneck_conv2", "bottleneck_conv2_act",
        "up0_expand", "up0_skip",
        "up0_conv1", "up0_conv1_act", "up0_conv2", "up0_conv2_act",
        "logits",
    ]  # fmt: skip


def test_filters_double_from_level_to_level():
    model = made(base_filters=3)

    assert [layer.filters for layer in convolutions(model)] == [3, 6, 12, 24]
    assert [model.get_layer(f"up{i}_conv2").filters for i in range(3)] == [3, 6, 12]
    assert [model.get_layer(f"up{i}_expand").filters for i in range(3)] == [3, 6, 12]


@pytest.mark.parametrize(
    ("base", "expected"),
    [(3, [3, 3, 3, 3]), (7, [7, 5, 3, 3]), (11, [11, 9, 7, 5]), (1, [1, 1, 1, 1])],
)
def test_kernels_shrink_by_two_from_level_to_level(base, expected):
    model = made(base_kernels=(base, base))

    for kind in ("conv1", "conv2"):
        kernels = [layer.kernel_size for layer in convolutions(model, kind)]
        assert kernels == [(k, k) for k in expected]
    up = [model.get_layer(f"up{i}_conv1").kernel_size[0] for i in range(3)]
    assert up == expected[:3]


@pytest.mark.parametrize(
    ("base", "expected"), [(1, [1, 1, 1, 1]), (3, [3, 2, 1, 1]), (5, [5, 4, 3, 2])]
)
def test_dilations_shrink_by_one_from_level_to_level(base, expected):
    model = made(dilation=(base, base))

    assert [layer.dilation_rate for layer in convolutions(model)] == [(d, d) for d in expected]
    assert [model.get_layer(f"up{i}_conv2").dilation_rate[0] for i in range(3)] == expected[:3]


def test_dropout_grows_from_level_to_level_and_spares_the_first():
    model = made(dropout_rate=0.35, dropout_seed=7)

    rates = {layer.name: layer.rate for layer in model.layers if "dropout" in layer.name}

    assert rates == {
        "down1_dropout": pytest.approx(0.35), "down2_dropout": pytest.approx(0.7),
        "bottleneck_dropout": 0.9,
        "up1_dropout": pytest.approx(0.35), "up2_dropout": pytest.approx(0.7),
    }  # fmt: skip


def test_no_dropout_is_no_layer():
    assert not [layer.name for layer in made().layers if "dropout" in layer.name]


def test_dropout_of_one_seed_falls_alike_and_of_another_not():
    tiles = np.full((1, 16, 24, 3), 99, "float32")

    def trained(seed):
        import keras

        keras.utils.set_random_seed(0)
        model = made(dropout_rate=0.3, dropout_seed=seed)
        return np.asarray(model(tiles, training=True))

    np.testing.assert_array_equal(trained(1), trained(1))
    assert not np.array_equal(trained(1), trained(2))


@pytest.mark.parametrize("kind", ["none", "batch", "layer", "group"])
def test_normalisation_follows_each_convolution_and_replaces_its_bias(kind):
    model = made(normalization=kind, num_layers=2, base_filters=3)

    norms = [layer.name for layer in model.layers if layer.name.endswith("_norm")]
    assert len(norms) == (0 if kind == "none" else 6)
    assert model.get_layer("down0_conv1").use_bias is (kind in ("none", "layer"))
    assert model.get_layer("logits").use_bias
    assert np.isfinite(np.asarray(model(np.full((1, 6, 10, 3), 255.0)))).all()


@pytest.mark.parametrize(
    ("kind", "local"), [("none", True), ("batch", True), ("layer", True), ("group", False)]
)
def test_a_network_that_normalises_over_the_tile_has_no_radius(kind, local):
    assert (geometry(made(normalization=kind)).radius is not None) is local


@pytest.mark.parametrize(
    ("options", "align", "radius"),
    [
        ({"num_layers": 1, "normalization": "none"}, 1, 2),
        ({"num_layers": 1, "base_kernels": (7, 7)}, 1, 6),
        ({"num_layers": 1, "dilation": (3, 3)}, 1, 6),
        ({"num_layers": 2}, 2, None),
        ({"num_layers": 5}, 16, None),
        ({"num_layers": 1, "base_kernels": (1, 1)}, 1, 0),
    ],
)
def test_stride_and_radius_follow_from_the_levels(options, align, radius):
    found = geometry(made(**options))

    assert found.align == align
    assert radius is None or found.radius == radius


def test_the_radius_of_two_levels_as_by_hand():
    """2 pixels down, 1 for a block of the pool, 2 x 2 at half size, 2 pixels up."""
    assert geometry(made(num_layers=2)).radius == 2 + 1 + 4 + 2


def test_rescaling_comes_first_or_not_at_all():
    tiles = np.random.default_rng(0).uniform(0, 255, (1, 8, 16, 3)).astype("float32")
    unit, none = (
        made(num_layers=2, normalization="none"),
        made(num_layers=2, normalization="none", rescaling="none"),
    )
    none.set_weights(unit.get_weights())

    np.testing.assert_allclose(np.asarray(unit(tiles)), np.asarray(none(tiles / 255)), atol=1e-5)
    assert "rescaling" not in [layer.name for layer in none.layers]


@pytest.mark.parametrize("activation", typing.get_args(Activation))
def test_every_activation_the_config_offers_is_one_of_keras(activation):
    model = build((None, None, 3), 1, base_filters=1, num_layers=1, activation=activation)

    assert model.get_layer("bottleneck_conv1_act").activation


def test_the_defaults_of_config_and_network_are_the_same():
    config, parameters = UNetConfig(), inspect.signature(build).parameters

    for name, parameter in parameters.items():
        if parameter.default is not parameter.empty:
            assert getattr(config, name) == parameter.default, name
    elsewhere = {"architecture", "input_channels", "final_activation"}
    assert set(UNetConfig.model_fields) - elsewhere == set(parameters) - {"input_shape", "channels"}

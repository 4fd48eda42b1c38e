from functools import cache

import numpy as np
import pytest

from cervseg.models.deeplabv3plus import build, pyramid, separable
from cervseg.models.inspection import geometry

pytestmark = pytest.mark.usefixtures("started")


@cache
def made(**options):
    options = {"encoder": "mobilenet_v3_small", "decoder_filters": 8, **options}
    return build((None, None, 3), 2, **options)


def features(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


@cache
def pyramid_alone(rates=(2, 3), filters=5, **options):
    import keras

    x = keras.Input((None, None, 4))
    return keras.Model(x, pyramid(x, filters, rates, **{"normalization": "none", **options}))


def test_the_pyramid_has_the_rates_of_the_paper():
    dilated = [layer for layer in made().layers if layer.name.startswith("aspp_rate")]

    rates = [layer.dilation_rate for layer in dilated if hasattr(layer, "dilation_rate")]

    assert rates == [(6, 6), (12, 12), (18, 18)]


def test_the_encoder_is_seen_at_strides_16_and_4():
    """The pyramid looks at stride 16; the decoder adds 48 channels of stride 4."""
    model = made()
    image = np.zeros((1, 32, 48, 3), "float32")
    inner = type(model)(
        model.inputs[0],
        [model.get_layer(n).output for n in ("aspp_mix_act", "low_level", "decoder_skip")],
    )

    deep, low, both = inner(image)

    assert deep.shape == (1, 2, 3, 8)
    assert low.shape == (1, 8, 12, 48)
    assert both.shape == (1, 8, 12, 8 + 48)


def test_it_answers_at_full_size_on_multiples_of_16():
    model = made()

    assert geometry(model) == (16, None)
    assert model(np.zeros((1, 16, 48, 3), "float32")).shape == (1, 16, 48, 2)


def test_the_pyramid_is_that_of_the_paper_on_numbers():
    """Branches side by side, the pooled one spread over the pixels, mixed by one convolution."""
    model, x = pyramid_alone(), features((2, 6, 9, 4))
    weights = {v.path: np.asarray(v) for v in model.weights}
    inner = type(model)(model.inputs[0], model.get_layer("aspp_concat").output)
    branches = np.asarray(inner(x))
    pooled = x.mean(axis=(1, 2), keepdims=True) @ weights["aspp_pool_conv/kernel"][0, 0]
    pooled = np.maximum(pooled + weights["aspp_pool_conv/bias"], 0)

    everything = np.concatenate([branches, np.broadcast_to(pooled, (2, 6, 9, 5))], axis=-1)
    kernel = np.concatenate([weights["aspp_mix/kernel"], weights["aspp_pool_mix/kernel"]], axis=2)
    expected = np.maximum(everything @ kernel[0, 0] + weights["aspp_mix/bias"], 0)

    assert branches.shape == (2, 6, 9, 15)
    assert (expected > 0).any()
    np.testing.assert_allclose(np.asarray(model(x)), expected, atol=1e-5)


def test_a_dilated_branch_looks_as_far_as_its_rate():
    import keras

    x = keras.Input((None, None, 1))
    y = separable(x, 1, name="branch", dilation=3, activation="linear", normalization="none")
    model = keras.Model(x, y)
    for variable in model.variables:
        variable.assign(np.ones(variable.shape) if "kernel" in variable.path else [0])
    spot = np.zeros((1, 9, 11, 1), "float32")
    spot[0, 4, 5] = 1

    rows, columns = np.nonzero(np.asarray(model(spot))[0, ..., 0])

    assert set(rows) == {1, 4, 7} and set(columns) == {2, 5, 8}


def test_both_convolutions_of_the_decoder_are_separable():
    import keras

    names = [n.name for n in made().layers if isinstance(n, keras.layers.SeparableConv2D)]

    assert names[-2:] == ["decoder_conv1", "decoder_conv2"]
    assert len(names) == 3 + 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["none", "layer", "group"])
def test_any_normalisation_will_do(kind):
    answer = np.asarray(made(normalization=kind)(features((1, 32, 16, 3)) + 128))

    assert np.isfinite(answer).all() and answer.std() > 0


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["resnet50", "mobilenet_v3_large", "efficientnet_b0"])
def test_other_encoders_will_do(encoder):
    model = made.__wrapped__(encoder=encoder, freeze_encoder=True)

    assert geometry(model).align == 16
    assert model(np.zeros((1, 32, 48, 3), "float32")).shape == (1, 32, 48, 2)
    assert not [v.path for v in model.trainable_variables if v.path.startswith("encoder_")]


def test_a_rate_that_stands_twice_is_refused():
    with pytest.raises(ValueError, match=r"a rate stands twice in atrous_rates \[6, 6\]"):
        made(atrous_rates=(6, 6))

import keras
import numpy as np
import pytest
from keras import layers

from cervseg.models.folding import fold_normalizations


def stir(model, seed=0):
    """Give every weight a value that a wrong fold would show; variances stay above 0."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        low, high = (0.5, 2.0) if "variance" in weight.path else (-0.4, 0.6)
        weight.assign(rng.uniform(low, high, weight.shape))
    return model


def images():
    return np.random.default_rng(9).uniform(0, 2, (2, 9, 13, 3)).astype("float32")


def normalizations(model):
    return [x.name for x in model.layers if isinstance(x, layers.BatchNormalization)]


def assert_same_answers(model, folded):
    want, got = (np.asarray(m(images(), training=False)) for m in (model, folded))
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False, "epsilon": 0.2}])
def test_a_convolution_takes_up_what_follows_it(use_bias, options):
    image = keras.Input((None, None, 3))
    x = layers.Conv2D(7, 3, dilation_rate=2, padding="same", use_bias=use_bias)(image)
    x = layers.BatchNormalization(**options)(x)
    x = layers.DepthwiseConv2D(3, strides=2, depth_multiplier=1, use_bias=use_bias)(x)
    x = layers.BatchNormalization(**options)(x)
    model = stir(keras.Model(image, layers.ReLU(6.0)(x)))
    folded = fold_normalizations(model)
    assert normalizations(folded) == []
    assert_same_answers(model, folded)


def test_the_model_itself_stays_as_it_is():
    image = keras.Input((None, None, 3))
    model = stir(keras.Model(image, layers.BatchNormalization()(layers.Conv2D(4, 3)(image))))
    before = [np.array(w) for w in model.weights]
    fold_normalizations(model)
    for old, new in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(old, np.asarray(new))


def test_what_cannot_be_folded_stays():
    image = keras.Input((None, None, 3))
    active = layers.Conv2D(4, 3, padding="same", activation="relu")(image)
    read_twice = layers.Conv2D(4, 3, padding="same")(active)
    behind = layers.BatchNormalization(name="behind_activation")(active)
    beside = layers.BatchNormalization(name="beside_another_reader")(read_twice)
    alone = layers.Conv2D(4, 1)(layers.Add()([behind, beside, read_twice]))
    model = stir(keras.Model(image, layers.BatchNormalization(name="alone")(alone)))
    folded = fold_normalizations(model)
    assert sorted(normalizations(folded)) == ["behind_activation", "beside_another_reader"]
    assert_same_answers(model, folded)


def test_a_network_without_any_is_given_back():
    image = keras.Input((None, None, 3))
    model = keras.Model(image, layers.Conv2D(2, 3)(image))
    assert fold_normalizations(model) is model


def test_a_convolution_that_is_an_output_too_stays():
    image = keras.Input((None, None, 3))
    x = layers.Conv2D(2, 3)(image)
    model = stir(keras.Model(image, [x, layers.BatchNormalization()(x)]))
    assert fold_normalizations(model) is model

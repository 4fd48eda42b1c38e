import keras
import numpy as np
import pytest
from keras import layers

from cervseg.models.normalization import BatchNormalization, ours

OPTIONS = {"momentum": 0.7, "epsilon": 1e-3}


def pair(**options):
    """Keras's layer and ours with the same weights, each as a model after a convolution."""
    models = []
    for kind in (layers.BatchNormalization, BatchNormalization):
        image = keras.Input((None, None, 3))
        x = layers.Conv2D(5, 3, padding="same", use_bias=False, name="conv")(image)
        models.append(keras.Model(image, kind(**OPTIONS, **options, name="norm")(x)))
    rng = np.random.default_rng(3)
    values = [rng.uniform(0.5, 1.5, w.shape).astype("float32") for w in models[0].weights]
    for model in models:
        model.set_weights(values)
    return models


def images(seed=0):
    return np.random.default_rng(seed).normal(3, 20, (3, 7, 11, 3)).astype("float32")


@pytest.mark.parametrize("training", [True, False])
def test_answers_as_keras_layer_does(training):
    keras_own, own = pair()
    want, got = (np.asarray(m(images(), training=training)) for m in (keras_own, own))
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


def test_moving_statistics_follow_as_in_keras():
    keras_own, own = pair()
    for seed in range(3):
        keras_own(images(seed), training=True)
        own(images(seed), training=True)
    for want, got in zip(keras_own.weights, own.weights, strict=True):
        np.testing.assert_allclose(np.asarray(got), np.asarray(want), rtol=1e-4, err_msg=got.path)


def test_training_steps_give_the_weights_of_keras_layer():
    models = pair()
    y = np.random.default_rng(1).normal(size=(3, 7, 11, 5)).astype("float32")
    for model in models:
        model.compile(optimizer=keras.optimizers.SGD(0.05), loss="mse", jit_compile=False)
        model.fit(images(), y, batch_size=3, epochs=3, shuffle=False, verbose=0)
    for want, got in zip(*(m.weights for m in models), strict=True):
        np.testing.assert_allclose(
            np.asarray(got), np.asarray(want), rtol=2e-3, atol=1e-4, err_msg=got.path
        )


def test_a_frozen_layer_uses_and_keeps_its_stored_statistics():
    _, own = pair()
    own.get_layer("norm").trainable = False
    before = [np.array(w) for w in own.weights]
    got = np.asarray(own(images(), training=True))
    np.testing.assert_array_equal(got, np.asarray(own(images(), training=False)))
    for old, new in zip(before, own.weights, strict=True):
        np.testing.assert_array_equal(old, np.asarray(new))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains_too(policy):
    layer = BatchNormalization(dtype=policy)
    got = layer(images(), training=True)
    assert got.dtype == policy.removeprefix("mixed_")
    assert np.isfinite(np.asarray(got, "float32")).all()
    assert abs(np.asarray(got, "float32").mean()) < 0.05


def test_replaces_keras_layer_and_no_other():
    assert ours(layers.BatchNormalization) is BatchNormalization
    assert ours(layers.Conv2D) is layers.Conv2D

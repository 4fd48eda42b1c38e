import re
import typing
from functools import cache

import numpy as np
import pytest

from cervseg.models.encoders import ENCODERS, Scaling, encode, load_encoder_weights
from cervseg.models.inspection import geometry

pytestmark = pytest.mark.usefixtures("started")

QUICK = ["mobilenet_v3_small"]
FAMILIES = [
    "vgg16", "resnet50", "resnet50_v2", "densenet121", "efficientnet_b0", "efficientnet_v2_b0",
    "mobilenet_v3_large",
]  # fmt: skip


def some(quick, rest):
    return [*quick, *(pytest.param(name, marks=pytest.mark.slow) for name in rest)]


def made(name, channels=3, **options):
    import keras

    image = keras.Input((None, None, channels), name="image")
    return keras.Model(image, encode(image, name, **options))


@cache
def shared(name, **options):
    """Built once: for tests that don't mind its weights."""
    return made(name, **options)


@cache
def application(name):
    import keras

    build = getattr(keras.applications, ENCODERS[name].application)
    return build(include_top=False, weights=None, input_shape=(None, None, 3))


def pixels(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype("float32")


def trained(network, seed=0):
    """As after a training: statistics and shifts that are not at their initial values."""
    rng = np.random.default_rng(seed)
    for variable in network.weights:
        if len(variable.shape) == 1 and "normalization" not in variable.path:
            variable.assign(np.asarray(variable) + rng.uniform(0, 0.3, variable.shape))
    return network


def as_the_application_takes_it(name, image):
    """By its own `preprocess_input`; those not listed scale inside."""
    from keras import applications

    for start, module in (("vgg", "vgg16"), ("densenet", "densenet"), ("resnet", "resnet")):
        if name.startswith(start):
            module += "_v2" * name.endswith("_v2")
            return getattr(applications, module).preprocess_input(image.copy())
    return image


def with_imagenet_statistics(network):
    """EfficientNet's first normalisation is part of its trained weights."""
    import keras

    for layer in network.layers:
        if isinstance(layer, keras.layers.Normalization) and layer.weights:
            mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
            layer.set_weights([mean, deviation**2, np.array(0)])
            layer.finalize_state()
    return network


@pytest.mark.parametrize("name", some([*QUICK, "vgg16"], FAMILIES[1:]))
def test_it_answers_like_the_application_with_the_same_weights(tmp_path, name):
    theirs = with_imagenet_statistics(trained(application(name)))
    theirs.save_weights(tmp_path / "encoder.weights.h5")
    image = pixels((2, 64, 96, 3))
    ours = shared(name)

    load_encoder_weights(ours, name, tmp_path / "encoder.weights.h5")

    found = np.asarray(ours(image, training=False)[-1])
    expected = np.asarray(theirs(as_the_application_takes_it(name, image), training=False))
    assert expected.std() > 1e-4
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=2e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", some(QUICK, [name for name in ENCODERS if name not in QUICK]))
def test_its_features_stand_at_strides_2_to_32_and_the_graph_can_be_walked(name):
    model = shared(name) if name in QUICK else made(name)  # all of them at once fill the memory

    features = model(pixels((1, 64, 96, 3)))

    assert [f.shape[1:3] for f in features] == [(64 // s, 96 // s) for s in (2, 4, 8, 16, 32)]
    assert geometry(model).align == 32


@pytest.mark.parametrize("name", some(QUICK, FAMILIES))
def test_it_has_all_weights_of_the_application(name):
    """But for the seven of EfficientNet's input scaling, which are fixed here."""
    scaling = 7 if re.match(r"efficientnet_b\d", name) else 0

    assert shared(name).count_params() == application(name).count_params() - scaling


@pytest.mark.parametrize("name", some(QUICK, FAMILIES))
def test_its_names_do_not_depend_on_what_was_built_before(name):
    import keras

    keras.layers.ReLU(), keras.layers.ZeroPadding2D(), keras.layers.Activation("relu")

    first, second = shared(name), made(name)

    assert [o.name for o in first.operations] == [o.name for o in second.operations]
    assert [v.path for v in first.weights] == [v.path for v in second.weights]
    names = [operation.name for operation in first.operations[1:]]
    assert len(set(names)) == len(names)
    assert all(n.startswith("encoder_") and not re.search(r"_\d+$", n) for n in names)


def test_an_image_of_one_channel_is_the_grey_image_of_three():
    grey = pixels((1, 64, 32, 1))
    one, three = made("mobilenet_v3_small", 1), shared("mobilenet_v3_small")
    one.set_weights(three.get_weights())

    for a, b in zip(one(grey), three(np.repeat(grey, 3, axis=-1)), strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


@pytest.mark.parametrize("scaling", typing.get_args(Scaling))
def test_each_scaling_is_used(scaling):
    assert scaling in {encoder.scaling for encoder in ENCODERS.values()}


def flags(model, kind=None):
    import keras

    kind = kind or keras.layers.Layer
    return [layer.trainable for layer in model.layers if isinstance(layer, kind) and layer.weights]


def test_nothing_is_frozen_unless_asked_for():
    assert all(flags(shared("mobilenet_v3_small")))


def test_all_of_it_can_be_frozen():
    model = made("mobilenet_v3_small", freeze=True)

    assert not any(flags(model)) and not model.trainable_variables


def test_normalisations_can_stay_trained_in_a_frozen_encoder():
    import keras

    model = made("mobilenet_v3_small", freeze=True, freeze_norms=False)

    assert all(flags(model, keras.layers.BatchNormalization))
    assert not any(flags(model, keras.layers.Conv2D))


@pytest.mark.parametrize(
    ("last", "trained_layers"),
    [
        (3, 2),
        pytest.param(0, 0, marks=pytest.mark.slow),
        pytest.param(2, 1, marks=pytest.mark.slow),
        pytest.param(10**6, None, marks=pytest.mark.slow),
    ],
)
def test_all_but_the_last_layers_are_frozen(last, trained_layers):
    """The last three of the application are a convolution, its normalisation, an activation."""
    found = flags(made("mobilenet_v3_small", freeze=last))

    assert sum(found) == (len(found) if trained_layers is None else trained_layers)
    assert found == sorted(found)  # the frozen ones come first


@pytest.mark.slow
def test_layers_are_counted_as_keras_counts_them():
    theirs = application("efficientnet_b0")
    last = {f"encoder_{layer.name}" for layer in theirs.layers[-61:]}

    model = made("efficientnet_b0", freeze=61)

    for layer in model.layers[1:]:
        if layer.weights:
            assert layer.trainable is (layer.name in last), layer.name


def test_a_frozen_encoder_answers_alike_in_training():
    """Neither stored statistics move nor are blocks dropped."""
    model = made("efficientnet_b0", freeze=True)
    image = pixels((3, 32, 64, 3))

    for a, b in zip(model(image, training=True), model(image, training=False), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_dropped_blocks_follow_the_seed():
    import keras

    def dropping(seed):
        model = made("efficientnet_b0", dropout_seed=seed)
        return [layer.seed for layer in model.layers if isinstance(layer, keras.layers.Dropout)]

    one, same, other = dropping(1), dropping(1), dropping(2)

    assert len(set(one)) == len(one) > 5
    assert one == same
    assert set(one) != set(other)


def test_its_layers_compute_in_the_precision_in_force():
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = made("mobilenet_v3_small")
    finally:
        keras.config.set_dtype_policy(before)

    assert {layer.compute_dtype for layer in model.layers[1:]} == {"bfloat16"}
    assert {v.dtype for v in model.trainable_variables} == {"float32"}


@pytest.mark.parametrize("name", some(["mobilenet_v3_small"], ["mobilenet_v3_large", "resnet50"]))
def test_the_last_stage_can_be_dilated_instead_of_strided(name):
    model = made(name, output_stride=16)

    shapes = [f.shape[1:3] for f in model(pixels((1, 64, 96, 3)))]

    assert shapes == [(64 // s, 96 // s) for s in (2, 4, 8, 16, 16)]
    assert geometry(model).align == 16


@pytest.mark.slow
def test_dilated_it_answers_as_strided_wherever_both_answer():
    """The first layers of ResNet's last stage stride with a kernel of 1: they skip, no more."""
    strided, dilated = made("resnet50"), made("resnet50", output_stride=16)
    dilated.set_weights(trained(strided).get_weights())
    image = pixels((1, 64, 96, 3))

    coarse, fine = (np.asarray(m(image, training=False)[-1]) for m in (strided, dilated))

    np.testing.assert_allclose(fine[:, ::2, ::2], coarse, rtol=1e-3, atol=1e-3)


def test_an_unknown_encoder_is_a_bug():
    with pytest.raises(ValueError, match="encoder 'resnet51' is not known"):
        made("resnet51")

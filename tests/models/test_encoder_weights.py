"""Weights from elsewhere: from a file, downloaded, refused."""

import re
import sys
from functools import cache

import numpy as np
import pytest

from cervseg.errors import ModelError
from cervseg.models.encoders import ENCODERS, encode, load_encoder_weights

pytestmark = pytest.mark.usefixtures("started")


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


@pytest.fixture(scope="module")
def small():
    network, rng = application("mobilenet_v3_small"), np.random.default_rng(0)
    for variable in network.weights:  # as if trained: nothing is at its initial value
        variable.assign(np.asarray(variable) + rng.uniform(0.01, 0.1, variable.shape))
    return network


@pytest.fixture(scope="module")
def small_file(small, tmp_path_factory):
    path = tmp_path_factory.mktemp("encoder") / "small.weights.h5"
    small.save_weights(path)
    return path


def test_loading_changes_all_of_the_encoder_and_nothing_else(small, small_file):
    import keras

    image = keras.Input((None, None, 3), name="image")
    features = encode(image, "mobilenet_v3_small")
    head = keras.layers.Conv2D(2, 1, name="logits")(features[-1])
    model = keras.Model(image, head)
    kernel = model.get_layer("logits").get_weights()[0]

    load_encoder_weights(model, "mobilenet_v3_small", small_file)

    np.testing.assert_array_equal(model.get_layer("logits").get_weights()[0], kernel)
    ours = [v for layer in model.layers if layer.name != "logits" for v in layer.get_weights()]
    assert len(ours) == len(small.get_weights())
    for a, b in zip(ours, small.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_network_that_uses_the_fine_features_alone_is_filled_as_well(small, small_file):
    import keras

    image = keras.Input((None, None, 3), name="image")
    model = keras.Model(image, encode(image, "mobilenet_v3_small")[1])

    load_encoder_weights(model, "mobilenet_v3_small", small_file)

    ours = model.get_weights()
    assert 0 < len(ours) < len(small.get_weights())
    for a, b in zip(ours, small.get_weights(), strict=False):
        np.testing.assert_array_equal(a, b)


def refusal(name, source):
    with pytest.raises(ModelError) as caught:
        load_encoder_weights(shared(name), name, source)
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_missing_file_is_named(tmp_path):
    path = tmp_path / "absent.h5"

    assert str(refusal("mobilenet_v3_small", path)) == f"{path}: no such weights"


def test_weights_of_another_network_are_refused_in_a_line(tmp_path):
    import keras

    image = keras.Input((8, 8, 3))
    path = tmp_path / "other.weights.h5"
    keras.Model(image, keras.layers.Conv2D(2, 3)(image)).save_weights(path)

    expected = "not weights of MobileNetV3Small of keras.applications without its top: "
    assert expected in str(refusal("mobilenet_v3_small", path))


@pytest.mark.parametrize("name", ["noise.h5", "noise.weights.h5", "noise.pt"])
def test_a_file_that_holds_no_weights_is_refused_in_a_line(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"not weights at all")

    assert f"{path}: not weights of" in str(refusal("mobilenet_v3_small", path))


def unreachable(monkeypatch, exception):
    from keras.src.utils import file_utils

    def get_file(name, origin, **_):
        raise exception(f"URL fetch failure on {origin}: None -- [Errno -3] no\nsuch host")

    monkeypatch.setattr(file_utils, "get_file", get_file)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("mobilenet_v3_small", "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5"),
        pytest.param("efficientnet_b0", "efficientnetb0_notop.h5", marks=pytest.mark.slow),
        pytest.param("resnet50", "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
                     marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_a_failed_download_names_the_file_and_what_to_do(monkeypatch, name, file):
    unreachable(monkeypatch, Exception)

    error = refusal(name, "imagenet")

    assert str(error) == f"can't download '{file}' for encoder {name}: [Errno -3] no such host"
    assert re.fullmatch(
        rf"download https://\S+/{re.escape(file)} elsewhere and give its path as "
        r"model\.encoder_weights", error.hint,
    )  # fmt: skip


def test_a_broken_download_is_a_line_as_well(monkeypatch):
    from keras.src.utils import file_utils

    def get_file(*_, **__):
        raise ValueError("Incomplete or corrupted file detected.")

    monkeypatch.setattr(file_utils, "get_file", get_file)

    error = refusal("mobilenet_v3_small", "imagenet")

    assert "for encoder mobilenet_v3_small: Incomplete or corrupted file" in str(error)


def test_a_bug_while_downloading_stays_a_bug(monkeypatch):
    unreachable(monkeypatch, NotImplementedError)

    with pytest.raises(NotImplementedError):
        load_encoder_weights(shared("mobilenet_v3_small"), "mobilenet_v3_small", "imagenet")


def test_downloaded_weights_are_those_of_a_file(monkeypatch, capsys, small_file):
    """Keras's own words about a download don't reach stdout."""
    from keras.src.utils import file_utils

    def get_file(*_, **__):
        sys.stdout.write("Downloading data")
        return str(small_file)

    monkeypatch.setattr(file_utils, "get_file", get_file)
    model = shared("mobilenet_v3_small")

    load_encoder_weights(model, "mobilenet_v3_small", "imagenet")

    shift = model.get_layer("encoder_conv_bn").get_weights()[1]
    assert shift.min() > 0  # a new one is 0
    assert capsys.readouterr().out == ""

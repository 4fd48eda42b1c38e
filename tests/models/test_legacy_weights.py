"""Weights of the reference's U-Net give the same answers in ours; what does not fit is named."""

import inspect
import json

import h5py
import numpy as np
import pytest

from cervseg.classes import Classes
from cervseg.contract import Contract
from cervseg.errors import ModelError

SIZE = 40


def reference_network(k, *, channels=1, filters=4, levels=3, kernel=3, dilation=1, norm=None):
    """The network of the reference as its config describes it, built with a Keras of our choice."""
    layers = k.layers

    def convolution(x, level, width):
        size = max(kernel - 2 * level, 3)
        fused = None if norm == "convolution" else "relu"
        x = layers.Conv2D(width, size, activation=fused, padding="same",
                          dilation_rate=max(dilation - level, 1))(x)  # fmt: skip
        if norm:
            x = layers.BatchNormalization()(x)
        return layers.Activation("relu")(x) if norm == "convolution" else x

    def block(x, level):
        width = filters * 2**level
        x = layers.Dropout(0.1 * level)(convolution(x, level, width))
        return convolution(x, level, width)

    inputs = x = layers.Input((SIZE, SIZE, 3))
    skips = []
    for level in range(levels):
        x = block(x, level)
        if level < levels - 1:
            skips.append(x)
            x = layers.MaxPooling2D(2)(x)
    for level in reversed(range(levels - 1)):
        x = layers.Conv2DTranspose(filters * 2**level, 2, strides=2, padding="same")(x)
        x = block(layers.Concatenate()([x, skips[level]]), level)
    return k.Model(inputs, layers.Conv2D(channels, 1, activation="sigmoid")(x))


def randomize(model):
    """Numbers as after a training: biases and statistics that are not 0 and 1."""
    rng = np.random.default_rng(7)
    model.set_weights([w + rng.uniform(0.05, 0.3, w.shape) * (w.ndim < 4)
                       for w in model.get_weights()])  # fmt: skip
    return model


def write_by_hand(path, model, *, group=""):
    """The layout of Keras 2, made from a network of Keras 3."""
    with h5py.File(path, "w") as file:
        root = file.create_group(group) if group else file
        names = []
        for layer in model.layers:
            names.append(layer.name)
            inner = root.create_group(layer.name)
            inner.attrs["weight_names"] = [f"{w.path}:0" for w in layer.weights]
            for weight in layer.weights:
                inner[f"{weight.path}:0"] = np.asarray(weight)
        root.attrs["layer_names"] = names


def contract_for(*, channels=1, filters=4, levels=3, kernel=3, dilation=1, norm=None, **others):
    options = {"base_filters": filters, "num_layers": levels, "base_kernels": [kernel, kernel],
               "dilation": [dilation, dilation], "dropout_rate": 0.1, "rescaling": "none",
               "normalization": "batch" if norm else "none"}  # fmt: skip
    if norm == "activation":
        options["normalize_after"] = norm
    names = {f"class_{i}": f"#0000{i + 16:02x}" for i in range(channels)}
    return Contract("unet", {**options, **others}, Classes.of(names), "sigmoid", SIZE,
                    channels=channels, threshold=(0.5,) * channels)  # fmt: skip


def knows_both_orders():
    from cervseg.models import unet

    return "normalize_after" in inspect.signature(unet.build).parameters


def assert_same_answers(path, theirs, settings):
    from cervseg.models.legacy import load_legacy

    pixels = np.random.default_rng(1).integers(0, 256, (2, SIZE, SIZE, 3)).astype("float32") / 64
    ours = load_legacy(path, contract_for(**settings))

    logits = np.asarray(ours(pixels), "float64")
    expected = np.asarray(theirs(pixels))
    assert expected.std() > 1e-3
    assert 0.01 < expected.mean() < 0.99
    np.testing.assert_allclose((1 + np.tanh(logits / 2)) / 2, expected, atol=1e-5)


SETTINGS = [
    {},
    {"norm": "convolution"},
    {"norm": "activation"},
    {"kernel": 7, "dilation": 5, "channels": 3},
    {"kernel": 5, "dilation": 2, "channels": 2, "norm": "convolution", "levels": 2},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_weights_give_the_answers_of_the_network_they_come_from(started, tmp_path, settings):
    import keras

    if settings.get("norm") == "activation" and not knows_both_orders():
        pytest.skip("our U-Net normalises before the activation only")
    theirs = randomize(reference_network(keras, **settings))
    write_by_hand(tmp_path / "w.h5", theirs)

    assert_same_answers(tmp_path / "w.h5", theirs, settings)


@pytest.mark.parametrize(
    ("number", "whole"), [(0, True), (1, False), (2, False), (3, True)], ids=str
)
def test_files_that_keras_2_wrote_itself_are_read(started, tmp_path, *, number, whole):
    settings = SETTINGS[number]
    if settings.get("norm") == "activation" and not knows_both_orders():
        pytest.skip("our U-Net normalises before the activation only")
    k = pytest.importorskip("tf_keras")
    theirs = randomize(reference_network(k, **settings))
    if whole:
        with pytest.warns(UserWarning, match="HDF5"):
            theirs.save(tmp_path / "w.h5")
    else:
        theirs.save_weights(tmp_path / "w.h5")

    assert_same_answers(tmp_path / "w.h5", theirs, settings)


def test_a_model_with_its_weights_in_a_group_is_read(started, tmp_path):
    import keras

    theirs = randomize(reference_network(keras))
    write_by_hand(tmp_path / "w.h5", theirs, group="model_weights")

    assert_same_answers(tmp_path / "w.h5", theirs, {})


# --- what does not fit


@pytest.fixture
def written(started, tmp_path):
    """Writes a file of the reference and returns its path."""
    import keras

    def write(**settings):
        path = tmp_path / "w.h5"
        write_by_hand(path, randomize(reference_network(keras, **settings)))
        return path

    return write


def refusal(path, **settings):
    from cervseg.models.legacy import load_legacy

    with pytest.raises(ModelError) as caught:
        load_legacy(path, contract_for(**settings))
    return str(caught.value)


def test_other_shapes_are_refused_layer_by_layer_with_both_names(written):
    message = refusal(written(filters=4), filters=6)

    assert "layers do not fit the network" in message
    assert "/kernel for down0_conv1/kernel: (3, 3, 3, 4) in the file, (3, 3, 3, 6)" in message
    assert message.endswith("more")


def test_other_depths_are_refused(written):
    message = refusal(written(levels=2), levels=3)

    assert "in the file" in message
    assert "in the network" in message


def test_a_normalisation_that_the_config_does_not_know_of_is_refused(written):
    message = refusal(written(norm="convolution"), norm=None)

    assert "batch_normalization" in message


def test_a_normalisation_after_the_activation_does_not_pass_for_one_before(written):
    message = refusal(written(norm="activation"), norm="convolution")

    assert "normalises after the activation, the network after the convolution" in message


def test_other_architectures_are_refused(started, tmp_path):
    from dataclasses import replace

    from cervseg.models.legacy import load_legacy

    with pytest.raises(ModelError, match="weights of a basnet can't be taken over"):
        load_legacy(tmp_path / "w.h5", replace(contract_for(), architecture="basnet"))


def test_no_file_and_no_hdf5_are_told_apart(started, tmp_path):
    assert "no such weights" in refusal(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("no weights")
    assert "not a readable file of Keras 2 weights" in refusal(tmp_path / "text.h5")


def test_weights_of_keras_3_are_told_apart(started, tmp_path):
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.create_group("layers")

    assert "no layer_names" in refusal(tmp_path / "w.h5")


def first_layer(path):
    with h5py.File(path) as file:
        names = [name for name in file.attrs["layer_names"] if len(file[name])]
        return f"{names[0]}/{file[names[0]].attrs['weight_names'][0]}"


@pytest.mark.parametrize("kind", ["soft", "external"])
def test_links_are_not_followed(written, tmp_path, kind):
    path = written()
    other = tmp_path / "other.h5"
    other.write_bytes(path.read_bytes())
    name = first_layer(path)
    with h5py.File(path, "r+") as file:
        file["elsewhere"] = file[name][()]
        del file[name]
        file[name] = (
            h5py.SoftLink("/elsewhere") if kind == "soft" else h5py.ExternalLink(other, name)
        )

    assert "a link, not data" in refusal(path)


def test_a_linked_group_is_not_followed(written, tmp_path):
    path = written()
    layer = first_layer(path).split("/")[0]
    other = tmp_path / "other.h5"
    other.write_bytes(path.read_bytes())
    with h5py.File(path, "r+") as file:
        del file[layer]
        file[layer] = h5py.ExternalLink(other, layer)

    assert "is no group" in refusal(path)


@pytest.mark.parametrize("names", [["/etc//x"], [""], [3.5], ["missing"]])
def test_odd_names_are_refused(written, names):
    path = written()
    with h5py.File(path, "r+") as file:
        file.attrs["layer_names"] = names

    assert "not a readable file of Keras 2 weights" in refusal(path)


def test_names_that_keras_had_to_divide_are_put_together(started, tmp_path):
    import keras

    theirs = randomize(reference_network(keras))
    path = tmp_path / "w.h5"
    write_by_hand(path, theirs)
    with h5py.File(path, "r+") as file:
        names = list(file.attrs["layer_names"])
        del file.attrs["layer_names"]
        file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:5], names[5:]

    assert_same_answers(path, theirs, {})


def test_the_description_of_a_model_is_never_read(started, tmp_path):
    import keras

    theirs = randomize(reference_network(keras))
    path = tmp_path / "w.h5"
    write_by_hand(path, theirs, group="model_weights")
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Lambda", "config": "os.system"})

    assert_same_answers(path, theirs, {})

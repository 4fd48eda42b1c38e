import numpy as np
import pytest

from cervseg.models import unet
from cervseg.models.attention_unet import build, gate
from cervseg.models.inspection import geometry

pytestmark = pytest.mark.usefixtures("started")

GATES = range(3)


def made(**options):
    return build((None, None, 3), 1, **{"base_filters": 2, "num_layers": 4, **options})


def pixels(*shape):
    return np.random.default_rng(0).uniform(0, 255, shape).astype("float32")


def producer(model, name, which=0):
    """The layer whose output another one takes."""
    return model.get_layer(name)._inbound_nodes[0].input_tensors[which]._keras_history.operation


def enlarged(x, axis):
    """Twice as long, bilinear: each new pixel lies a quarter from its own old one."""
    middle = np.moveaxis(x, axis, 0)
    padded = np.concatenate([middle[:1], middle, middle[-1:]])
    pairs = np.stack([middle * 0.75 + padded[:-2] * 0.25, middle * 0.75 + padded[2:] * 0.25], 1)
    return np.moveaxis(pairs.reshape(-1, *middle.shape[1:]), 0, axis)


@pytest.mark.parametrize(("levels", "gates"), [(1, 0), (2, 1), (4, 3), (5, 4)])
def test_every_skip_has_a_gate(levels, gates):
    model = made(num_layers=levels)

    products = [layer.name for layer in model.layers if type(layer).__name__ == "Multiply"]
    assert sorted(products) == [f"up{i}_gate_multiply" for i in range(gates)]
    for i in range(gates):
        assert producer(model, f"up{i}_skip", 1).name == f"up{i}_gate_multiply"


def test_a_gate_is_steered_by_the_level_below_it():
    model = made()

    steered = [producer(model, f"up{i}_gate_signal").name for i in GATES]
    assert steered == ["up1_conv2_act", "up2_conv2_act", "bottleneck_conv2_act"]
    weighed = [producer(model, f"up{i}_gate_multiply").name for i in GATES]
    assert weighed == [f"down{i}_conv2_act" for i in GATES]


def test_a_gate_gives_what_its_formula_says():
    import keras

    skip, signal = keras.Input((4, 6, 2)), keras.Input((2, 3, 5))
    model = keras.Model([skip, signal], gate(skip, signal, name="gate"))
    rng = np.random.default_rng(1)
    weights = [rng.normal(size=v.shape).astype("float32") for v in model.weights]
    model.set_weights(weights)
    by_path = dict(zip((v.path for v in model.weights), weights, strict=True))
    x, g = (rng.normal(size=(2, *s)).astype("float32") for s in ((4, 6, 2), (2, 3, 5)))

    found = np.asarray(model([x, g]))

    blocks = x.reshape(2, 2, 2, 3, 2, 2)  # image, row, row of block, column, column of block, c
    seen = np.einsum("nhiwjc,ijcf->nhwf", blocks, by_path["gate_skip/kernel"])
    asked = g @ by_path["gate_signal/kernel"][0, 0] + by_path["gate_signal/bias"]
    q = np.maximum(seen + asked, 0) @ by_path["gate_psi/kernel"][0, 0] + by_path["gate_psi/bias"]
    alpha = enlarged(enlarged(1 / (1 + np.exp(-q)), 1), 2)
    np.testing.assert_allclose(found, x * alpha, atol=1e-5)


def shift_gate(model, level, value):
    """Add to what the sigmoid of a gate sees."""
    ends = {v.path: v for v in model.weights if v.path.startswith(f"up{level}_gate_psi")}
    last = [v for path, v in ends.items() if path.endswith(("psi/bias", "psi_norm/beta"))]
    assert len(last) == 1
    last[0].assign([value])


@pytest.mark.parametrize("kind", ["none", "batch", "layer"])
def test_with_open_gates_it_is_a_unet(kind):
    model = made(normalization=kind)
    plain = unet.build((None, None, 3), 1, base_filters=2, num_layers=4, normalization=kind)
    ours = {variable.path: variable for variable in model.weights}
    for variable in plain.weights:
        variable.assign(np.asarray(ours[variable.path]))
    for i in GATES:
        shift_gate(model, i, 100.0)
    tiles = pixels(1, 16, 24, 3)

    np.testing.assert_allclose(np.asarray(model(tiles)), np.asarray(plain(tiles)), atol=1e-5)


def test_through_closed_gates_nothing_passes():
    model = made(normalization="none")
    for i in GATES:
        shift_gate(model, i, -1e4)
    tiles = pixels(1, 16, 24, 3)
    before = np.asarray(model(tiles))

    for i in GATES:  # of the skip's half: what is concatenated second
        kernel = np.array(model.get_layer(f"up{i}_conv1").kernel)
        kernel[:, :, kernel.shape[2] // 2 :] = 7
        model.get_layer(f"up{i}_conv1").kernel.assign(kernel)

    np.testing.assert_allclose(np.asarray(model(tiles)), before, atol=1e-5)


def test_a_gate_of_f_filters_costs_six_f_squared_and_little_more():
    """2 x 2 x F x F over the skip, 2F x F over the signal, psi, and the two biases."""
    plain = unet.build((None, None, 3), 1, base_filters=2, num_layers=4, normalization="none")

    extra = made(normalization="none").count_params() - plain.count_params()

    assert extra == sum(4 * f * f + 2 * f * f + f + f + 1 for f in (2, 4, 8))


def test_the_gates_see_farther_than_the_skips():
    plain = unet.build((None, None, 3), 1, base_filters=2, num_layers=4)

    assert geometry(made()).align == geometry(plain).align == 8
    assert geometry(made()).radius > geometry(plain).radius


def test_the_activation_of_the_network_is_that_of_its_gates_too():
    model = made(activation="tanh")

    assert model.get_layer("up0_gate_act").activation.__name__ == "tanh"
    assert model.get_layer("up0_gate_sigmoid").activation.__name__ == "sigmoid"


def test_dropout_grows_from_level_to_level_and_no_two_share_a_seed():
    model = made(dropout_rate=0.35, dropout_seed=7)

    found = {x.name: (x.rate, x.seed) for x in model.layers if "dropout" in x.name}
    assert {name: rate for name, (rate, _) in found.items()} == {
        "down1_dropout": pytest.approx(0.35), "down2_dropout": pytest.approx(0.7),
        "bottleneck_dropout": 0.9,
        "up1_dropout": pytest.approx(0.35), "up2_dropout": pytest.approx(0.7),
    }  # fmt: skip
    assert len({seed for _, seed in found.values()}) == 5


@pytest.mark.parametrize(("filters", "layers"), [(512, 6), (1, 15), (8193, 1)])
def test_a_network_of_too_many_filters_is_not_built(filters, layers):
    with pytest.raises(ValueError) as caught:
        made(base_filters=filters, num_layers=layers)

    assert str(caught.value) == "the bottleneck would have over 8192 filters"

import numpy as np
import pytest

from cervseg.models.inspection import geometry
from cervseg.models.multires_unet import build, multires_block, res_path, shares

pytestmark = pytest.mark.usefixtures("started")

PLAIN = {"activation": "relu", "normalization": "none"}


def made(**options):
    return build((None, None, 3), 1, **{"base_filters": 4, "num_layers": 4, **options})


def producer(model, name, which=0):
    """The layer whose output another one takes."""
    return model.get_layer(name)._inbound_nodes[0].input_tensors[which]._keras_history.operation


def alone(part, channels):
    """A block or a path as a network, its weights drawn anew, biases too."""
    import keras

    x = keras.Input((None, None, channels))
    model = keras.Model(x, part(x))
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=v.shape).astype("float32") for v in model.weights])
    return model, {v.path: np.asarray(v) for v in model.weights}


def convolved(x, weights, name):
    """A padded convolution and its bias, by hand."""
    kernel, bias = weights[f"{name}/kernel"], weights[f"{name}/bias"]
    size, reach = len(kernel), len(kernel) // 2
    padded = np.pad(x, ((reach, reach), (reach, reach), (0, 0)))
    height, width = x.shape[:2]
    shifted = [
        padded[i : i + height, j : j + width] @ kernel[i, j]
        for i in range(size)
        for j in range(size)
    ]
    return sum(shifted) + bias


def test_a_block_is_alpha_times_as_wide_as_the_level_it_replaces():
    model = build((None, None, 3), 1, base_filters=12, num_layers=3, alpha=2.5)

    for i, level in enumerate(["down0", "down1", "bottleneck"]):
        width = model.get_layer(f"{level}_shortcut").filters
        assert 2.5 * 12 * 2**i - 3 < width <= 2.5 * 12 * 2**i


def test_the_paper_splits_its_width_into_a_sixth_a_third_and_a_half():
    assert shares(60) == (10, 20, 30)
    assert shares(1.67 * 32) == (8, 17, 26)  # the table of the paper, 51 filters together


def test_the_decoder_mirrors_the_encoder():
    model = made()

    for i in range(3):
        for role in ("shortcut", "conv1", "conv2", "conv3"):
            assert (
                model.get_layer(f"up{i}_{role}").filters
                == model.get_layer(f"down{i}_{role}").filters
            )
    goes_up = [producer(model, f"up{i}_expand").name for i in range(3)]
    assert goes_up == ["up1_norm", "up2_norm", "bottleneck_norm"]


def test_a_block_gives_what_its_formula_says():
    model, weights = alone(lambda x: multires_block(x, 12.5, name="block", **PLAIN), channels=3)
    x = np.random.default_rng(1).normal(size=(5, 7, 3)).astype("float32")

    found = np.asarray(model(x[None]))[0]

    first = np.maximum(convolved(x, weights, "block_conv1"), 0)
    second = np.maximum(convolved(first, weights, "block_conv2"), 0)
    third = np.maximum(convolved(second, weights, "block_conv3"), 0)
    joined = np.concatenate([first, second, third], axis=-1)
    expected = np.maximum(joined + convolved(x, weights, "block_shortcut"), 0)
    assert expected.shape == (5, 7, 2 + 4 + 6)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_a_path_gives_what_its_formula_says():
    model, weights = alone(lambda x: res_path(x, 4, units=2, name="path", **PLAIN), channels=3)
    x = np.random.default_rng(1).normal(size=(5, 7, 3)).astype("float32")

    found = np.asarray(model(x[None]))[0]

    for unit in ("path_unit1", "path_unit2"):
        convolution = np.maximum(convolved(x, weights, f"{unit}_conv"), 0)
        x = np.maximum(convolution + convolved(x, weights, f"{unit}_shortcut"), 0)
    np.testing.assert_allclose(found, x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("levels", "units"), [(1, []), (2, [1]), (5, [4, 3, 2, 1])])
def test_the_finer_the_skip_the_longer_its_path(levels, units):
    model = made(num_layers=levels)

    names = [layer.name for layer in model.layers]
    assert [sum(f"skip{i}_unit{j}_conv" in names for j in range(1, 9)) for i in range(6)] == [
        *units,
        *[0] * (6 - len(units)),
    ]
    for i, last in enumerate(units):
        assert producer(model, f"skip{i}_unit1_conv").name == f"down{i}_norm"
        assert producer(model, f"up{i}_skip", 1).name == f"skip{i}_unit{last}_norm"
        assert producer(model, f"down{i}_pool").name == f"down{i}_norm"


def test_a_path_has_the_filters_of_the_level_in_the_unet():
    model = made(base_filters=5)

    for i in range(3):
        filters = 5 * 2**i
        assert model.get_layer(f"skip{i}_unit1_conv").filters == filters
        assert model.get_layer(f"skip{i}_unit1_shortcut").filters == filters
        assert model.get_layer(f"up{i}_expand").filters == filters


def test_convolutions_concatenations_and_sums_are_normalised():
    model = made(num_layers=2)

    norms = {x.name for x in model.layers if type(x).__name__ == "BatchNormalization"}
    blocks = [
        f"{level}_{role}"
        for level in ("down0", "bottleneck", "up0")
        for role in ("shortcut_norm", "conv1_norm", "conv2_norm", "conv3_norm", "join_norm", "norm")
    ]
    path = [f"skip0_unit1_{role}" for role in ("shortcut_norm", "conv_norm", "norm")]
    assert norms == {*blocks, *path}
    assert producer(model, "down0_add", 1).name == "down0_join_norm"
    assert producer(model, "down0_norm").name == "down0_act"


def test_a_shortcut_is_not_activated():
    import keras

    model = made(num_layers=2)

    for name in ("down0_shortcut_act", "skip0_unit1_shortcut_act"):
        assert model.get_layer(name).activation is keras.activations.linear


def test_a_block_sees_three_pixels_to_each_side_and_a_unit_one():
    assert geometry(made(num_layers=1)).radius == 3
    # 3 down, 1 for a block of the pool, 2 x 3 at half size, 3 up.
    assert geometry(made(num_layers=2)).radius == 3 + 1 + 6 + 3
    assert geometry(made(num_layers=5)).align == 16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base_filters": 3}, "alpha · base_filters is under 6, too narrow to split"),
        (
            {"base_filters": 7, "normalization": "layer"},
            "alpha · base_filters is under 12, too narrow to split",
        ),
        ({"alpha": 1000.0, "num_layers": 5}, "the bottleneck would have over 8192 filters"),
        ({"num_layers": 15}, "the bottleneck would have over 8192 filters"),
    ],
)
def test_widths_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ValueError) as caught:
        made(**options)

    assert str(caught.value) == message

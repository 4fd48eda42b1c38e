import numpy as np
import pytest

from cervseg.models import unet
from cervseg.models.inspection import geometry
from cervseg.models.sharp_unet import build, sharpen

pytestmark = pytest.mark.usefixtures("started")

SKIPS = range(3)


def made(**options):
    return build((None, None, 3), 1, **{"base_filters": 2, "num_layers": 4, **options})


def plain(**options):
    options = {"base_filters": 2, "num_layers": 4, **options}
    return unet.build((None, None, 3), 1, **options)


def producer(model, name, which=0):
    """The layer whose output another one takes."""
    return model.get_layer(name)._inbound_nodes[0].input_tensors[which]._keras_history.operation


def sharpened(image):
    """An image or a batch through the layer alone."""
    import keras

    x = keras.Input((None, None, image.shape[-1]))
    return np.asarray(keras.Model(x, sharpen(x, "sharpen"))(image[None]))[0]


def test_what_is_even_vanishes_but_at_the_border():
    found = sharpened(np.full((5, 7, 2), 3, "float32"))

    np.testing.assert_array_equal(found[1:-1, 1:-1], 0)
    np.testing.assert_array_equal(found[0, 1:-1], 9)  # three neighbours of nine are missing
    np.testing.assert_array_equal(found[0, 0], 15)


def test_a_point_keeps_its_channel_and_stands_out_eightfold():
    image = np.zeros((5, 7, 3), "float32")
    image[2, 3, 1] = 2

    found = sharpened(image)

    expected = np.zeros_like(image)
    expected[1:4, 2:5, 1] = -2
    expected[2, 3, 1] = 16
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("levels", "skips"), [(1, 0), (2, 1), (4, 3), (5, 4)])
def test_every_skip_is_sharpened(levels, skips):
    model = made(num_layers=levels)

    kernels = [layer.name for layer in model.layers if type(layer).__name__ == "DepthwiseConv2D"]
    assert sorted(kernels) == [f"skip{i}_sharpen" for i in range(skips)]
    for i in range(skips):
        assert producer(model, f"skip{i}_sharpen").name == f"down{i}_conv2_act"
        assert producer(model, f"up{i}_skip", 1).name == f"skip{i}_sharpen"


def test_what_goes_down_is_not_sharpened():
    model = made()

    assert [producer(model, f"down{i}_pool").name for i in SKIPS] == [
        f"down{i}_conv2_act" for i in SKIPS
    ]


def test_what_two_convolutions_make_of_a_concatenation_goes_on_up():
    model = made()

    for i in SKIPS:
        assert producer(model, f"up{i}_conv1").name == f"up{i}_skip"
        assert producer(model, f"up{i}_conv2").name == f"up{i}_conv1_act"
    goes_up = [producer(model, f"up{i}_expand").name for i in SKIPS]
    assert goes_up == ["up1_conv2_act", "up2_conv2_act", "bottleneck_conv2_act"]
    assert producer(model, "logits").name == "up0_conv2_act"


def test_nothing_more_is_learned_than_by_a_unet():
    def learned(model):
        return {v.path: tuple(v.shape) for v in model.trainable_variables}

    assert learned(made()) == learned(plain())
    extra = made().count_params() - plain().count_params()
    assert extra == sum(9 * filters for filters in (2, 4, 8))


def test_a_step_of_training_leaves_the_kernels_as_they_are():
    import keras

    model = made()
    model.compile(keras.optimizers.SGD(1.0), "mse", run_eagerly=True)
    tiles = np.random.default_rng(0).uniform(0, 255, (2, 16, 24, 3)).astype("float32")
    first = np.array(model.get_layer("up0_conv1").kernel)

    model.train_on_batch(tiles, tiles[..., :1] / 255)

    assert not np.array_equal(np.asarray(model.get_layer("up0_conv1").kernel), first)
    for i in SKIPS:
        kernel = np.asarray(model.get_layer(f"skip{i}_sharpen").kernel)
        assert (kernel[1, 1] == 8).all() and (np.delete(kernel.reshape(9, -1), 4, 0) == -1).all()


def test_with_kernels_of_a_point_it_is_a_unet():
    model, other = made(normalization="layer"), plain(normalization="layer")
    ours = {variable.path: variable for variable in model.weights}
    for variable in other.weights:
        variable.assign(np.asarray(ours[variable.path]))
    for i in SKIPS:
        kernel = model.get_layer(f"skip{i}_sharpen").kernel
        point = np.zeros(kernel.shape, "float32")
        point[1, 1] = 1
        kernel.assign(point)
    tiles = np.random.default_rng(0).uniform(0, 255, (1, 16, 24, 3)).astype("float32")

    np.testing.assert_allclose(np.asarray(model(tiles)), np.asarray(other(tiles)), atol=1e-5)


def test_a_sharpened_skip_reaches_no_farther_than_the_way_over_the_bottleneck():
    assert geometry(made()).align == geometry(plain()).align == 8
    assert geometry(made()).radius == geometry(plain()).radius


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

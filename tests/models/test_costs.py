import numpy as np
import pytest

from cervseg.models.costs import inference_bytes, layer_costs, multiply_adds, training_bytes

pytestmark = pytest.mark.usefixtures("started")


def of(inputs, x):
    import keras

    return keras.Model(inputs, x)


def test_the_multiply_adds_of_a_small_unet_equal_a_count_by_hand():
    """Two levels of 4 and 8 filters on 16 x 24 pixels in colour, kernels of 3, two classes."""
    from cervseg.models.unet import build

    model = build((None, None, 3), 2, base_filters=4, num_layers=2)
    fine, coarse = 16 * 24, 8 * 12

    by_hand = (
        fine * 9 * (3 * 4 + 4 * 4)  # two convolutions down
        + coarse * 9 * (4 * 8 + 8 * 8)  # two in the bottleneck
        + coarse * 2 * 2 * 8 * 4  # the transposed one, 2 x 2, from 8 to 4
        + fine * 9 * (8 * 4 + 4 * 4)  # two convolutions up, after the skip of 4
        + fine * 4 * 2  # the logits
    )

    assert multiply_adds(model, 16, 24) == by_hand


@pytest.mark.slow
def test_the_published_unet_takes_78_900_multiply_adds_a_pixel():
    from cervseg.models.unet import build

    model = build((None, None, 3), 1, base_filters=16, num_layers=8)

    assert multiply_adds(model, 512, 512) / 512**2 == pytest.approx(78_900, rel=1e-3)


def layers():
    """Name to a layer, the input's channels, and its multiply-adds on 6 x 10 pixels by hand."""
    from keras import layers as k

    return {
        "grouped": (k.Conv2D(8, 3, groups=2, padding="same"), 4, 60 * 8 * 9 * 2),
        "strided": (k.Conv2D(8, (3, 5), strides=2, padding="same"), 4, 15 * 8 * 15 * 4),
        "depthwise": (k.DepthwiseConv2D(5, padding="same"), 4, 60 * 4 * 25),
        "separable": (k.SeparableConv2D(7, 3, padding="same"), 4, 60 * (4 * 9 + 4 * 7)),
        "transposed": (k.Conv2DTranspose(5, 3, strides=2, padding="same"), 4, 60 * 9 * 4 * 5),
        "dense": (k.Dense(5), 4, 60 * 4 * 5),
        "norm": (k.BatchNormalization(), 4, 0),
        "pool": (k.MaxPooling2D(2), 4, 0),
    }


@pytest.mark.parametrize("name", ["grouped", "strided", "depthwise", "separable", "transposed",
                                  "dense", "norm", "pool"])  # fmt: skip
def test_a_layer_costs_what_a_count_by_hand_says(name):
    import keras

    layer, channels, expected = layers()[name]
    inputs = keras.Input((None, None, channels))

    assert multiply_adds(of(inputs, layer(inputs)), 6, 10) == expected


def test_a_layer_is_told_with_shape_and_parameters():
    import keras

    inputs = keras.Input((None, None, 3), name="image")
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", name="conv")(inputs)

    image, conv = layer_costs(of(inputs, x), 6, 10)

    assert (image.name, image.shape, image.parameters) == ("image", (6, 10, 3), 0)
    assert (conv.name, conv.kind, conv.shape, conv.parameters) == (
        "conv", "Conv2D", (3, 5, 4), 3 * 3 * 3 * 4 + 4,
    )  # fmt: skip


def test_what_is_pooled_over_the_tile_counts_once():
    import keras

    inputs = keras.Input((None, None, 4))
    pooled = keras.layers.GlobalAveragePooling2D(keepdims=True)(inputs)
    x = keras.layers.Conv2D(16, 1)(pooled)

    assert multiply_adds(of(inputs, x), 32, 64) == 4 * 16


def test_training_needs_every_activation_twice_and_every_weight_four_times():
    import keras

    inputs = keras.Input((None, None, 1))
    x = keras.layers.Conv2D(2, 3, padding="same")(inputs)  # 20 weights
    model = of(inputs, keras.layers.MaxPooling2D(2)(x))
    values = 8 * 8 * (1 + 2) + 4 * 4 * 2

    assert training_bytes(model, 3, 8) == 4 * (2 * 3 * values + 4 * 20)


def test_prediction_needs_only_what_is_alive_at_once():
    """A skip of 8 channels lives until it is joined; a chain forgets what is behind it."""
    import keras
    from keras import layers as k

    inputs = keras.Input((None, None, 1))
    x = k.Activation("relu")(inputs)
    for _ in range(5):
        x = k.Activation("relu")(x)
    chain = of(inputs, x)
    assert inference_bytes(chain, 2, 8) == 4 * 2 * 2 * 64

    skip = k.Concatenate()([inputs] * 8)
    x = k.UpSampling2D(2)(k.MaxPooling2D(2)(inputs))
    joined = of(inputs, k.Concatenate()([skip, x]))
    assert inference_bytes(joined, 1, 8) >= 4 * 64 * (8 + 1 + 9)


def test_the_estimate_of_prediction_is_below_that_of_training():
    from cervseg.models.unet import build

    model = build((None, None, 3), 1, base_filters=4, num_layers=3)

    assert np.array_equal(
        [inference_bytes(model, n, 32) < training_bytes(model, n, 32) for n in (1, 2, 7)],
        [True] * 3,
    )


def test_attention_holds_a_score_for_each_pair_of_tokens_and_head():
    from cervseg.models.segformer import build

    model = build((None, None, 3), 1)
    attention = next(x for x in model.layers if hasattr(x, "hidden_values"))
    heads, reduction = attention.heads, attention.reduction

    found = attention.hidden_values(8 * reduction, 4 * reduction)

    assert found == 2 * heads * (8 * reduction * 4 * reduction) * (8 * 4)
    grown = training_bytes(model, 1, 512) / training_bytes(model, 1, 256)
    assert grown > 4, "pairs of tokens grow with the square of the area"

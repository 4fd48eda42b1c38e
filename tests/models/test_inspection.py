import numpy as np
import pytest

from cervseg.errors import ConfigError
from cervseg.models.inspection import Geometry, geometry, refuse_misfit

pytestmark = pytest.mark.usefixtures("started")


def stack(*made):
    """A model of layers one after another, all kernels one, so that nothing cancels."""
    import keras

    inputs = x = keras.Input((None, None, 1))
    for layer in made:
        x = layer(x)
    model = keras.Model(inputs, x)
    model.set_weights([np.ones_like(w) for w in model.get_weights()])
    return model


def measured_radius(model, align, side=48):
    """The farthest input row that moves an output row, over all phases of the stride."""
    images = np.zeros((side, side, 2 * align, 1), "float32")
    for row in range(side):
        images[row, row] = 1
    answers = np.asarray(model(images))[..., 0].max(axis=2)  # (input row, output row)
    middle = range(side // 2 - align, side // 2 + align)
    return max(np.abs(np.flatnonzero(answers[:, row]) - row).max() for row in middle)


def networks():
    """Name to layers, and the total stride."""
    from keras import layers as k

    same = {"padding": "same", "use_bias": False}

    def bilinear(factor):
        return k.UpSampling2D(factor, interpolation="bilinear")

    return {
        "one convolution": ([k.Conv2D(1, 5, **same)], 1),
        "an even kernel": ([k.Conv2D(1, 4, **same)], 1),
        "dilated": ([k.Conv2D(1, 3, dilation_rate=3, **same)], 1),
        "two convolutions": ([k.Conv2D(1, 3, **same), k.Conv2D(1, 5, **same)], 1),
        "pointwise": ([k.Conv2D(1, 1, **same), k.Activation("relu"), k.Dropout(0.5)], 1),
        "depthwise": ([k.DepthwiseConv2D(5, **same)], 1),
        "pool and repeat": ([k.MaxPooling2D(2), k.UpSampling2D(2)], 2),
        "mean and repeat": ([k.AveragePooling2D(4), k.UpSampling2D(4)], 4),
        "mean and bilinear 2": ([k.AveragePooling2D(2), bilinear(2)], 2),
        "mean and bilinear 3": ([k.AveragePooling2D(3), bilinear(3)], 3),
        "mean and bilinear 4": ([k.AveragePooling2D(4), bilinear(4)], 4),
        "mean and bilinear 5": ([k.AveragePooling2D(5), bilinear(5)], 5),
        "padded, then strided": (
            [k.ZeroPadding2D(((0, 1), (0, 1))), k.Conv2D(1, 3, strides=2, use_bias=False),
             k.UpSampling2D(2)], 2,
        ),
        "padded evenly, then strided": (
            [k.ZeroPadding2D(3), k.Conv2D(1, 7, strides=2, use_bias=False), k.UpSampling2D(2)], 2,
        ),
        "wide pool": ([k.MaxPooling2D(3, strides=2, padding="same"), k.UpSampling2D(2)], 2),
        "strided": ([k.Conv2D(1, 3, strides=2, **same), k.UpSampling2D(2)], 2),
        "strided far": ([k.Conv2D(1, 7, strides=2, **same), k.UpSampling2D(2)], 2),
        "transposed 2": ([k.MaxPooling2D(2), k.Conv2DTranspose(1, 2, strides=2, **same)], 2),
        "transposed 3": ([k.MaxPooling2D(2), k.Conv2DTranspose(1, 3, strides=2, **same)], 2),
        "transposed 4": ([k.MaxPooling2D(2), k.Conv2DTranspose(1, 4, strides=2, **same)], 2),
        "transposed 5": ([k.MaxPooling2D(2), k.Conv2DTranspose(1, 5, strides=2, **same)], 2),
        "two levels": (
            [k.Conv2D(1, 3, **same), k.MaxPooling2D(2), k.Conv2D(1, 3, **same), k.MaxPooling2D(2),
             k.Conv2D(1, 3, **same), k.UpSampling2D(2), k.Conv2D(1, 3, **same),
             k.Conv2DTranspose(1, 2, strides=2, **same), k.Conv2D(1, 3, **same)], 4,
        ),
    }  # fmt: skip


NAMES = [
    "one convolution", "an even kernel", "dilated", "two convolutions", "pointwise", "depthwise",
    "pool and repeat", "mean and repeat", "mean and bilinear 2", "mean and bilinear 3",
    "mean and bilinear 4", "mean and bilinear 5", "padded, then strided",
    "padded evenly, then strided", "wide pool", "strided", "strided far", "transposed 2",
    "transposed 3", "transposed 4", "transposed 5", "two levels",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_the_graph_says_what_a_measurement_finds(name):
    layers, align = networks()[name]
    model = stack(*layers)

    found = geometry(model)

    assert found.align == align
    assert measured_radius(model, align) == found.radius


def test_the_longest_way_through_a_branched_network_counts():
    import keras
    from keras import layers as k

    inputs = keras.Input((None, None, 1))
    short = k.Conv2D(1, 3, padding="same")(inputs)
    long = k.UpSampling2D(4)(k.MaxPooling2D(4)(k.Conv2D(1, 5, padding="same")(inputs)))
    model = keras.Model(inputs, k.Concatenate()([short, long]))

    assert geometry(model) == Geometry(align=4, radius=2 + 3)


@pytest.mark.parametrize("axis", [(1, 2), (1, 2, 3)])
def test_a_layer_that_sees_the_whole_tile_leaves_no_bound(axis):
    from keras import layers as k

    model = stack(k.Conv2D(1, 3, padding="same"), k.LayerNormalization(axis=-1))
    assert geometry(model).radius == 1

    import keras

    inputs = keras.Input((8, 16, 2))
    whole = keras.Model(inputs, k.LayerNormalization(axis=axis)(inputs))
    assert geometry(whole) == Geometry(1, None)


def test_a_layer_of_unknown_reach_is_a_bug_that_says_so():
    from keras import layers as k

    with pytest.raises(NotImplementedError, match="the reach of layer Cropping2D is not known"):
        geometry(stack(k.Cropping2D(1)))
    with pytest.raises(NotImplementedError, match="the reach of layer UpSampling2D is not known"):
        geometry(stack(k.UpSampling2D(2, interpolation="bicubic")))


@pytest.mark.parametrize(("reach", "radius"), [("pointwise", 1), ("tile", None)])
def test_a_layer_of_ours_tells_its_reach(reach, radius):
    import keras
    from keras import layers as k

    class Ours(keras.layers.Layer):
        def call(self, x):
            return x

    Ours.reach = reach

    assert geometry(stack(k.Conv2D(1, 3, padding="same"), Ours())).radius == radius


@pytest.mark.parametrize(
    ("size", "align", "hint"),
    [(100, 32, "96 or 128 would do"), (7, 16, "16 would do"), (513, 512, "512 or 1024 would do")],
)
def test_a_tile_off_the_stride_is_refused_with_the_nearest_that_would_do(size, align, hint):
    with pytest.raises(ConfigError) as caught:
        refuse_misfit(size, align)

    assert str(caught.value) == (
        f"'data.tile_size' {size} is no multiple of the network's stride {align}"
    )
    assert caught.value.hint == f"{hint}, or a network of fewer levels"
    refuse_misfit(2 * align, align)

import numpy as np
import pytest

from cervseg.models.inspection import geometry
from cervseg.models.xception_unet import build

pytestmark = pytest.mark.usefixtures("started")


def made(**options):
    return build((None, None, 3), 2, **{"base_filters": 3, "filters": (4, 6), **options})


def named(model, kind):
    import keras

    return [n.name for n in model.layers if isinstance(n, getattr(keras.layers, kind))]


def test_a_newcomer_finds_every_layer_by_level_and_role():
    names = [layer.name for layer in made(filters=(4,), normalization="none").layers]

    block = ["conv1_act", "conv1", "conv2_act", "conv2"]
    assert names == [
        "image", "rescaling", "entry_conv", "entry_conv_act",
        *[f"down0_{n}" for n in block], "down0_residual_pick", "down0_pool", "down0_residual",
        "down0_add",
        *[f"up1_{n}" for n in block], "up1_residual", "up1_add", "up1_enlarge",
        *[f"up0_{n}" for n in block], "up0_residual", "up0_add", "up0_enlarge",
        "logits",
    ]  # fmt: skip


def test_it_goes_down_by_separable_convolutions_and_up_by_plain_ones():
    model = made()

    assert named(model, "SeparableConv2D") == [
        "down0_conv1", "down0_conv2", "down1_conv1", "down1_conv2",
    ]  # fmt: skip
    assert all(f"up{i}_conv{j}" in named(model, "Conv2D") for i in range(3) for j in (1, 2))


def test_the_way_up_mirrors_the_filters_and_ends_in_those_of_the_entry():
    model = made(base_filters=3, filters=(4, 6, 8))

    filters = [model.get_layer(f"up{i}_conv2").filters for i in (3, 2, 1, 0)]

    assert filters == [8, 6, 4, 3]
    assert model.get_layer("entry_conv").filters == 3
    assert [model.get_layer(f"down{i}_conv1").filters for i in range(3)] == [4, 6, 8]


@pytest.mark.parametrize(("filters", "stride"), [((4,), 4), ((4, 6), 8), ((4, 6, 8), 16)])
def test_its_stride_doubles_with_each_block(filters, stride):
    model = made(filters=filters)

    assert geometry(model).align == stride
    assert model(np.zeros((1, stride, 3 * stride, 3))).shape == (1, stride, 3 * stride, 2)


@pytest.mark.parametrize("block", ["down1", "up1"])
def test_each_block_adds_a_projection_of_its_input(block):
    """With its convolutions at zero, nothing but the residual is left."""
    model = made(normalization="none", activation="linear")
    for conv in ("conv1", "conv2"):
        layer = model.get_layer(f"{block}_{conv}")
        layer.set_weights([np.zeros_like(w) for w in layer.get_weights()])
    add, residual = (model.get_layer(f"{block}_{n}").output for n in ("add", "residual"))
    image = np.random.default_rng(0).uniform(0, 255, (1, 16, 24, 3)).astype("float32")

    found, expected = type(model)(model.inputs[0], [add, residual])(image)

    assert np.asarray(expected).std() > 0
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))


def test_dilation_widens_what_it_sees():
    narrow, wide = geometry(made()), geometry(made(dilation=(2, 2)))

    assert wide.align == narrow.align
    assert wide.radius > 1.5 * narrow.radius
    dilated = made(dilation=(2, 2))
    names = ["down0_conv1", "down1_conv2", "up2_conv1", "up0_conv2"]
    assert {dilated.get_layer(n).dilation_rate for n in names} == {(2, 2)}
    assert dilated.get_layer("entry_conv").dilation_rate == (1, 1)


@pytest.mark.parametrize("kind", ["none", "batch", "layer", "group"])
def test_normalisation_replaces_the_bias_of_its_convolution(kind):
    model = made(normalization=kind)

    for name in ("entry_conv", "down0_conv1", "up0_conv2"):
        assert model.get_layer(name).use_bias is (kind in ("none", "layer"))
    norms = [layer.name for layer in model.layers if layer.name.endswith("_norm")]
    assert len(norms) == (0 if kind == "none" else 1 + 2 * 2 + 2 * 3)
    assert np.isfinite(np.asarray(model(np.full((1, 8, 16, 3), 255.0)))).all()


def test_rescaling_comes_first_or_not_at_all():
    tiles = np.random.default_rng(0).uniform(0, 255, (1, 8, 16, 3)).astype("float32")
    unit, none = made(normalization="none"), made(normalization="none", rescaling="none")
    none.set_weights(unit.get_weights())

    np.testing.assert_allclose(np.asarray(unit(tiles)), np.asarray(none(tiles / 255)), atol=1e-5)

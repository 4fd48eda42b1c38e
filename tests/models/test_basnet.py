import math

import numpy as np
import pytest

from cervseg.models.basnet import build
from cervseg.models.inspection import geometry

pytestmark = pytest.mark.usefixtures("started")


@pytest.fixture(scope="module")
def whole(started):
    """All six levels, a thirty-second as wide."""
    return build((None, None, 3), 2, base_filters=2)


def made(**options):
    return build((None, None, 3), 2, **{"base_filters": 4, "num_layers": 2, **options})


def part(model, *names):
    import keras

    return keras.Model(model.inputs[0], [model.get_layer(name).output for name in names])


def pixels(*shape):
    return np.random.default_rng(0).uniform(0, 255, shape).astype("float32")


def silence(layer):
    layer.set_weights([np.zeros_like(w) for w in layer.get_weights()])


def test_the_encoder_has_the_stages_of_resnet_34_and_two_more(whole):
    names = [layer.name for layer in whole.layers if layer.name.endswith("_sum")]

    assert [sum(n.startswith(f"down{i}_") for n in names) for i in range(6)] == [3, 4, 6, 3, 3, 3]


def test_the_first_stage_is_at_full_size_and_each_other_at_half_the_one_before(whole):
    tile = pixels(1, 64, 96, 3)
    names = ["in_act", *(f"down{i}_block3_act" for i in range(6)), "bridge_conv3_act"]

    shapes = [x.shape[1:] for x in part(whole, *names)(tile)]

    assert shapes == [
        (64, 96, 2),
        (64, 96, 2), (32, 48, 4), (16, 24, 8), (8, 12, 16), (4, 6, 16), (2, 3, 16),
        (2, 3, 16),
    ]  # fmt: skip


def test_resnets_stages_shrink_by_strides_and_the_two_more_by_pooling(whole):
    strided = [x.name for x in whole.layers if "conv1" in x.name and getattr(x, "strides", 0)]

    strided = [name for name in strided if whole.get_layer(name).strides == (2, 2)]

    assert strided == [f"down{i}_block1_conv1" for i in (1, 2, 3)]
    pools = [x.name for x in whole.layers if x.name.startswith("down") and x.name.endswith("pool")]
    assert pools == ["down3_pool", "down4_pool"]


def test_the_bridge_and_the_deepest_decoder_stage_dilate(whole):
    names = [f"{stage}_conv{k}" for stage in ("bridge", "up5", "up4", "up0") for k in (1, 2, 3)]

    rates = [whole.get_layer(name).dilation_rate[0] for name in names]

    assert rates == [2, 2, 2, 1, 2, 2, 1, 1, 1, 1, 1, 1]


def test_a_decoder_stage_ends_as_wide_as_the_next(whole):
    widths = [[whole.get_layer(f"up{i}_conv{k}").filters for k in (1, 2, 3)] for i in range(6)]

    assert widths == [[2, 2, 2], [4, 4, 2], [8, 8, 4], [16, 16, 8], [16, 16, 16], [16, 16, 16]]


def test_heads_stand_on_every_decoder_stage_and_the_bridge(whole):
    heads = [whole.get_layer(f"side{k}_logits") for k in range(1, 8)]

    readers = [h._inbound_nodes[0].input_tensors[0]._keras_history.operation.name for h in heads]
    assert readers == [*(f"up{i}_conv3_act" for i in range(6)), "bridge_conv3_act"]
    assert {head.kernel_size for head in heads} == {(3, 3)}
    sizes = [whole.get_layer(f"side{k}_resize").size[0] for k in range(2, 8)]
    assert sizes == [2, 4, 8, 16, 32, 32]
    assert len(whole.outputs) == 8


def test_the_refinement_adds_to_the_logits_at_full_size():
    model = made()
    tile = pixels(1, 16, 32, 3)
    refined, coarse, *_ = (np.asarray(x) for x in model(tile))
    residual = np.asarray(part(model, "refine_residual")(tile)[0])
    np.testing.assert_allclose(refined, coarse + residual, atol=1e-5)
    assert residual.std() > 0

    silence(model.get_layer("refine_residual"))

    refined, coarse, *_ = (np.asarray(x) for x in model(tile))
    np.testing.assert_array_equal(refined, coarse)


def test_the_refinement_is_a_u_net_of_one_width_that_pools_four_times(whole):
    refinement = [layer for layer in whole.layers if layer.name.startswith("refine_")]

    convolutions = [x for x in refinement if hasattr(x, "filters")]

    assert sum(layer.name.endswith("pool") for layer in refinement) == 4
    assert len(convolutions) == 1 + 4 + 1 + 4 + 1
    assert {layer.filters for layer in convolutions} == {2}  # as many as classes: 2, too
    assert geometry(whole).align == 32


def test_the_stride_is_never_under_that_of_the_refinement():
    assert geometry(made(num_layers=2)).align == 16


def test_a_residual_block_adds_its_input():
    model = made(normalization="none")
    silence(model.get_layer("down0_block2_conv2"))

    before, after = part(model, "down0_block1_act", "down0_block2_act")(pixels(1, 6, 10, 3))

    assert np.asarray(before).std() > 0
    np.testing.assert_array_equal(np.asarray(after), np.asarray(before))


def test_a_strided_block_brings_every_other_pixel_along_by_one_by_one():
    model = made(normalization="none", activation="linear")
    silence(model.get_layer("down1_block1_conv2"))
    kernel = model.get_layer("down1_block1_shortcut").get_weights()[0]

    before, after = part(model, "down0_block3_act", "down1_block1_act")(pixels(1, 6, 10, 3))

    assert kernel.shape == (1, 1, 4, 8)
    expected = np.asarray(before)[:, ::2, ::2] @ kernel[0, 0]
    np.testing.assert_allclose(np.asarray(after), expected, atol=1e-4)


def test_the_windows_of_a_strided_convolution_are_centred_on_the_pixels_of_the_shortcut():
    model = made(normalization="none")
    layer = model.get_layer("down1_block1_conv1")
    kernel, bias = (np.zeros_like(w) for w in layer.get_weights())
    kernel[1, 1] = np.random.default_rng(2).normal(size=kernel[1, 1].shape)
    layer.set_weights([kernel, bias])

    before, after = part(model, "down0_block3_act", "down1_block1_conv1")(pixels(1, 6, 10, 3))

    expected = np.asarray(before)[:, ::2, ::2] @ kernel[1, 1]
    np.testing.assert_allclose(np.asarray(after), expected, atol=1e-4)


def test_half_precision_does_not_round_the_logits_that_are_refined():
    import keras

    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = made()
    finally:
        keras.config.set_dtype_policy("float32")

    assert model.get_layer("logits").compute_dtype == "float32"
    assert {x.dtype for x in model.outputs} == {"float32"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_layers": 1}, "a BASNet has 2 to 6 levels"),
        ({"num_layers": 7}, "a BASNet has 2 to 6 levels"),
        ({"base_filters": 0}, "base_filters 0 is not from 1 to 1024"),
        ({"base_filters": 1025}, "base_filters 1025 is not from 1 to 1024"),
    ],
)
def test_what_is_out_of_bounds_is_refused(options, words):
    with pytest.raises(ValueError) as caught:
        made(**options)

    assert str(caught.value) == words


@pytest.mark.slow
def test_it_has_as_many_parameters_as_the_authors_program():
    model = build((None, None, 3), 1)

    learned = sum(math.prod(v.shape) for v in model.trainable_variables)
    assert learned / 1e6 == pytest.approx(87.06, abs=0.02)

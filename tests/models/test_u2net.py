import math

import numpy as np
import pytest

from cervseg.models.inspection import geometry
from cervseg.models.u2net import build

pytestmark = pytest.mark.usefixtures("started")

STAGES = ["down0", "down1", "down2", "down3", "down4", "bottleneck"]
DECODER = ["up0", "up1", "up2", "up3", "up4"]


@pytest.fixture(scope="module")
def full(started):
    """All six levels, a sixteenth as wide."""
    return build((None, None, 3), 2, base_filters=4)


def made(**options):
    return build((None, None, 3), 2, **{"base_filters": 4, "num_layers": 3, **options})


def widths(model, stage):
    """M and C_out of a residual U-block."""
    middle = {model.get_layer(f"{stage}_{part}").filters for part in ("down0", "bottom", "up1")}
    outer = {model.get_layer(f"{stage}_{part}").filters for part in ("in", "up0")}
    (m,), (c,) = middle, outer
    return m, c


def pools(model, stage):
    """Of a block itself; that between stages is named after the stage alone."""
    names = [layer.name for layer in model.layers if layer.name.startswith(f"{stage}_down")]
    return sum(name.endswith("_pool") for name in names)


def test_the_blocks_are_as_high_as_in_the_paper(full):
    assert [pools(full, stage) for stage in STAGES] == [5, 4, 3, 2, 0, 0]
    assert [pools(full, stage) for stage in DECODER] == [5, 4, 3, 2, 0]


def test_the_blocks_are_as_wide_as_in_the_paper(full):
    paper = [(32, 64), (32, 128), (64, 256), (128, 512), (256, 512), (256, 512)]
    decoder = [(16, 64), (32, 64), (64, 128), (128, 256), (256, 512)]

    assert [widths(full, stage) for stage in STAGES] == [(m // 16, c // 16) for m, c in paper]
    assert [widths(full, stage) for stage in DECODER] == [(m // 16, c // 16) for m, c in decoder]


def test_all_blocks_of_the_small_one_are_alike():
    model = made(size="small", base_filters=8)

    stages = ["down0", "down1", "bottleneck", "up0", "up1"]
    assert {widths(model, stage) for stage in stages} == {(2, 8)}


def test_only_the_bottom_of_a_pooling_block_dilates(full):
    rates = {n: full.get_layer(f"down0_{n}").dilation_rate[0] for n in ("down0", "down5", "up3")}

    assert rates == {"down0": 1, "down5": 1, "up3": 1}
    assert full.get_layer("down0_bottom").dilation_rate == (2, 2)


@pytest.mark.parametrize("stage", ["down4", "bottleneck", "up4"])
def test_the_flat_block_dilates_instead_of_pooling(full, stage):
    names = ("down0", "down1", "down2", "bottom", "up2", "up1", "up0")

    rates = [full.get_layer(f"{stage}_{name}").dilation_rate[0] for name in names]

    assert rates == [1, 2, 4, 8, 4, 2, 1]


def test_no_block_pools_below_the_bottleneck():
    for levels in (2, 3):
        assert geometry(made(num_layers=levels)).align == 2 ** (levels - 1)


def test_the_papers_network_has_a_stride_of_32(full):
    assert geometry(full).align == 32


def test_a_block_adds_its_u_to_what_its_first_convolution_gives():
    import keras

    model = made(normalization="none")
    last = model.get_layer("up0_up0")
    last.set_weights([np.zeros_like(w) for w in last.get_weights()])  # the U is silent
    tile = np.random.default_rng(0).uniform(0, 255, (1, 8, 12, 3)).astype("float32")

    outputs = [model.get_layer(name).output for name in ("up0_sum", "up0_in_act")]
    whole, entry = keras.Model(model.inputs[0], outputs)(tile)

    assert np.asarray(entry).std() > 0
    np.testing.assert_array_equal(np.asarray(whole), np.asarray(entry))


def test_the_answer_is_a_weighing_of_all_heads():
    model = made()
    rng = np.random.default_rng(1)
    fuse = model.get_layer("logits")
    kernel, bias = (rng.normal(size=w.shape).astype("float32") for w in fuse.get_weights())
    fuse.set_weights([kernel, bias])

    fused, *sides = (np.asarray(x) for x in model(rng.uniform(0, 255, (2, 8, 12, 3))))

    assert kernel.shape == (1, 1, 3 * 2, 2) and {x.shape for x in sides} == {(2, 8, 12, 2)}
    np.testing.assert_allclose(fused, np.concatenate(sides, -1) @ kernel[0, 0] + bias, atol=1e-4)


def test_the_heads_stand_on_the_decoder_and_the_bottleneck():
    model = made()

    heads = [model.get_layer(f"side{k}_logits") for k in (1, 2, 3)]

    readers = [h._inbound_nodes[0].input_tensors[0]._keras_history.operation.name for h in heads]
    assert readers == ["up0_sum", "up1_sum", "bottleneck_sum"]
    assert {head.kernel_size for head in heads} == {(3, 3)}


def test_half_precision_does_not_round_the_logits_that_are_fused():
    import keras

    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = made(num_layers=2)
    finally:
        keras.config.set_dtype_policy("float32")

    assert model.get_layer("sides").compute_dtype == "float32"
    assert {x.dtype for x in model.outputs} == {"float32"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_layers": 1}, "a U²-Net has 2 to 14 levels"),
        ({"num_layers": 10**6}, "a U²-Net has 2 to 14 levels"),
        ({"base_filters": 6}, "base_filters 6 is no multiple of 4 up to 1024"),
        ({"base_filters": 1028}, "base_filters 1028 is no multiple of 4 up to 1024"),
        ({"base_filters": 0}, "base_filters 0 is no multiple of 4 up to 1024"),
        ({"size": "tiny"}, "size 'tiny' is not known"),
    ],
)
def test_what_is_out_of_bounds_is_refused(options, words):
    with pytest.raises(ValueError) as caught:
        made(**options)

    assert str(caught.value) == words


@pytest.mark.slow
@pytest.mark.parametrize(("size", "megabytes"), [("full", 176.3), ("small", 4.7)])
def test_it_is_as_large_as_in_the_paper(size, megabytes):
    """Theirs is the size of the file, in float32, names and biases before norms included."""
    model = build((None, None, 3), 1, size=size)

    found = 4 * sum(math.prod(v.shape) for v in model.weights) / 1e6

    assert found == pytest.approx(megabytes, rel=0.04)

import math

import pytest

from cervseg.models.folder import final_network
from cervseg.models.unet3plus import build

pytestmark = pytest.mark.usefixtures("started")


def made(**options):
    return build((None, None, 3), 2, **{"base_filters": 3, "num_layers": 4, **options})


def source(layer):
    """Name of the layer that a layer of one input reads."""
    return layer._inbound_nodes[0].input_tensors[0]._keras_history.operation.name


def head_names(model):
    return [x._keras_history.operation.name for x in model.outputs]


def test_every_decoder_level_reads_every_scale():
    model = made()

    for i in range(3):
        parts = model.get_layer(f"up{i}_skip")._inbound_nodes[0].input_tensors
        names = [x._keras_history.operation.name for x in parts]
        assert names == [f"up{i}_from{k}_conv_act" for k in range(4)]
        assert source(model.get_layer(f"up{i}_conv")) == f"up{i}_skip"


def test_higher_scales_come_from_the_encoder_in_one_pooling():
    model = made()

    for i, k in ((1, 0), (2, 0), (2, 1)):
        pool = model.get_layer(f"up{i}_from{k}_pool")
        assert pool.pool_size == pool.strides == (2 ** (i - k),) * 2
        assert source(pool) == f"down{k}_conv2_act"
    for i in range(3):
        assert source(model.get_layer(f"up{i}_from{i}_conv")) == f"down{i}_conv2_act"


def test_deeper_scales_come_from_the_decoder_in_one_bilinear_step():
    model = made()

    for i, k in ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)):
        resize = model.get_layer(f"up{i}_from{k}_resize")
        assert resize.size == (2 ** (k - i),) * 2 and resize.interpolation == "bilinear"
        assert source(resize) == ("bottleneck_conv2_act" if k == 3 else f"up{k}_conv_act")


@pytest.mark.parametrize(("given", "filters"), [(None, 3), (5, 5)])
def test_each_scale_gives_as_many_channels_and_a_level_keeps_them_all(given, filters):
    model = made(cat_channels=given)

    for i in range(3):
        assert {model.get_layer(f"up{i}_from{k}_conv").filters for k in range(4)} == {filters}
        assert model.get_layer(f"up{i}_conv").filters == 4 * filters


def test_a_decoder_level_has_as_many_weights_as_the_papers_formula_says():
    """9 · ((ΣE(k) + ΣD(k)) · c + (n · c)²): encoder widths to level i, decoder widths below it."""
    model = made(cat_channels=5)
    encoder, decoder = [3, 6, 12, 24], [20, 20, 20, 24]

    for i in range(3):
        kernels = [
            math.prod(v.shape)
            for v in model.trainable_variables
            if v.path.startswith(f"up{i}_") and v.path.endswith("kernel")
        ]
        scales = sum(encoder[: i + 1]) + sum(decoder[i + 1 :])
        assert sum(kernels) == 9 * (scales * 5 + 20**2)


def test_deep_supervision_asks_every_level_and_enlarges_its_answer():
    model = made(deep_supervision=True)

    assert head_names(model) == ["logits", "side1_resize", "side2_resize", "side3_resize"]
    readers = ["up0_conv_act", "up1_conv_act", "up2_conv_act", "bottleneck_conv2_act"]
    for i, reader in enumerate(readers):
        head = model.get_layer(f"side{i}_logits" if i else "logits")
        assert source(head) == reader and head.kernel_size == (3, 3)
    assert [model.get_layer(f"side{i}_resize").size for i in (1, 2, 3)] == [(2, 2), (4, 4), (8, 8)]


def test_deep_supervision_changes_nothing_of_the_network_that_answers():
    cut, plain = final_network(made(deep_supervision=True)), made()

    assert head_names(plain) == ["logits"]
    assert [v.path for v in cut.weights] == [v.path for v in plain.weights]


def test_too_few_levels_and_too_many_filters_are_refused():
    with pytest.raises(ValueError, match=r"^a UNet 3\+ has at least 2 levels$"):
        made(num_layers=1)
    for options in (
        {"base_filters": 4097, "num_layers": 2},
        {"num_layers": 10**6},
        {"cat_channels": 2049},
    ):
        with pytest.raises(ValueError, match="would have over 8192 filters$"):
            made(**options)


@pytest.mark.slow
def test_it_has_as_many_parameters_as_in_the_paper():
    model = build((None, None, 3), 1, base_filters=64)

    learned = sum(math.prod(v.shape) for v in model.trainable_variables)
    assert round(learned / 1e6, 2) == 26.97

import numpy as np
import pytest

from cervseg.models.attention import Attention
from cervseg.models.inspection import geometry
from cervseg.models.trans_unet import PositionEmbedding, build

pytestmark = pytest.mark.usefixtures("started")

SMALL = {
    "filter_num": (4, 6, 8), "embed_dim": 12, "num_mlp": 20, "num_heads": 3, "num_transformer": 2,
}  # fmt: skip


def made(**options):
    return build((None, None, 3), 1, **{**SMALL, **options})


def position(grid, vectors):
    layer = PositionEmbedding(grid)
    layer.build((None, None, None, vectors.shape[-1]))
    layer.vectors.assign(vectors)
    return layer


def test_a_position_embedding_of_its_own_size_is_added_as_it_is():
    vectors = np.random.default_rng(0).normal(size=(5, 5, 3)).astype("float32")

    found = np.asarray(position(5, vectors)(np.ones((2, 5, 5, 3), "float32")))

    np.testing.assert_allclose(found, 1 + np.stack([vectors, vectors]), atol=1e-6)


def test_a_position_embedding_is_stretched_bilinearly():
    """Two cells over four pixels: their centres lie at 0.5 and 2.5; beyond them it stays."""
    vectors = np.array([[0.0, 1.0], [10.0, 11.0]], "float32")[..., None]

    found = np.asarray(position(2, vectors)(np.zeros((1, 4, 2, 1), "float32")))[0, :, :, 0]

    np.testing.assert_allclose(found[:, 0], [0, 2.5, 7.5, 10], atol=1e-6)
    np.testing.assert_allclose(found[:, 1], [1, 3.5, 8.5, 11], atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(1, 3), (7, 20), (14, 5)])
def test_a_position_embedding_of_equal_vectors_is_equal_everywhere(height, width):
    vectors = np.full((4, 4, 2), 3, "float32")

    found = np.asarray(position(4, vectors)(np.zeros((1, height, width, 2), "float32")))

    np.testing.assert_allclose(found, 3, atol=1e-6)


def test_position_multiply_adds_are_those_of_two_stretches():
    import keras

    x = keras.Input((None, None, 3))
    layer = PositionEmbedding(4)
    layer(x)

    assert layer.multiply_adds(5, 6) == (5 * 4 * 4 + 5 * 4 * 6) * 3


def test_the_transformer_works_on_the_coarsest_features():
    model = made()

    attentions = [layer for layer in model.layers if isinstance(layer, Attention)]
    assert [layer.name for layer in attentions] == ["block0_attention", "block1_attention"]
    assert all(layer.heads == 3 and layer.reduction == 1 for layer in attentions)
    assert model.get_layer("embed").input is model.get_layer("down2_conv2_act").output
    assert model.get_layer("embed").units == 12
    assert model.get_layer("block1_mlp_expand").units == 20
    assert geometry(model) == (4, None)


def test_plain_has_two_convolutions_a_level_and_a_skip_from_each_but_the_last():
    model = made()

    for i, filters in enumerate((4, 6, 8)):
        assert [model.get_layer(f"down{i}_conv{k}").filters for k in (1, 2)] == [filters] * 2
    for i, filters in enumerate((4, 6)):
        skip = model.get_layer(f"up{i}_skip").input
        assert skip[1] is model.get_layer(f"down{i}_conv2_act").output
        assert [model.get_layer(f"up{i}_conv{k}").filters for k in (1, 2)] == [filters] * 2
    assert model.get_layer("tokens_conv").filters == 8
    assert model.get_layer("logits").kernel_size == (3, 3)


@pytest.mark.slow
def test_with_an_encoder_the_last_enlargement_has_no_skip():
    model = made(encoder="mobilenet_v3_small", filter_num=(8, 12, 16), rescaling="none")

    names = {layer.name for layer in model.layers}
    assert {"encoder_rescaling", "last_expand", "last_conv2"} <= names
    assert not {"rescaling", "down0_conv1", "last_skip"} & names
    assert model.get_layer("last_conv1").filters == 2
    assert geometry(model).align == 8
    assert np.asarray(model(np.zeros((1, 16, 24, 3)))).shape == (1, 16, 24, 1)


@pytest.mark.slow
def test_a_frozen_encoder_is_not_trained():
    model = made(encoder="mobilenet_v3_small", freeze_encoder=True)

    trained = {v.path.split("_")[0] for v in model.trainable_variables}
    assert "encoder" not in trained and trained


@pytest.mark.slow
def test_it_has_the_parameters_of_the_paper_but_for_three_blocks_of_the_resnet():
    """Their ResNet has nine blocks at stride 16, that of Keras six; theirs in all: 105.28 million.

    A block there: 1 × 1 from 1024 to 256, 3 × 3, 1 × 1 to 1024, each with a scale and a shift.
    """
    model = build((None, None, 3), 9, encoder="resnet50", freeze_norms=False)
    block = 2 * 1024 * 256 + 9 * 256 * 256 + 2 * (256 + 256 + 1024)

    parameters = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    assert (parameters + 3 * block) / 1e6 == pytest.approx(105.28, rel=0.001)


def test_it_sees_the_whole_tile():
    model = made(dropout_rate=0.0)
    image = np.random.default_rng(0).uniform(0, 255, (1, 48, 64, 3)).astype("float32")
    changed = image.copy()
    changed[:, :4, :4] = 255 - changed[:, :4, :4]

    moved = np.abs(np.asarray(model(image)) - np.asarray(model(changed)))

    assert moved[:, -4:, -4:].max() > 0


def test_dropout_thins_tokens_and_mlps_with_seeds_of_their_own():
    model = made(dropout_rate=0.2, dropout_seed=4)

    drops = {layer.name: layer.seed for layer in model.layers if "drop" in layer.name}
    assert drops == {
        "position_dropout": 4,
        "block0_mlp_expand_dropout": 5, "block0_mlp_contract_dropout": 6,
        "block1_mlp_expand_dropout": 7, "block1_mlp_contract_dropout": 8,
    }  # fmt: skip
    assert not [layer.name for layer in made(dropout_rate=0.0).layers if "drop" in layer.name]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filter_num": (4,)}, "filter_num has 1 numbers; 2 or more, with an encoder up to 5"),
        ({"filter_num": (4,) * 6, "encoder": "vgg16"}, "filter_num has 6 numbers"),
        ({"num_heads": 5}, "embed_dim 12 is no multiple of num_heads 5"),
        ({"encoder": "resnet51"}, "encoder 'resnet51' is not known"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        made(**options)

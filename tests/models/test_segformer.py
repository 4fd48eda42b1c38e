import numpy as np
import pytest

from cervseg.models.inspection import geometry
from cervseg.models.segformer import SIZES, build

pytestmark = pytest.mark.usefixtures("started")


def made(**options):
    return build((None, None, 3), 1, **options)


@pytest.fixture(scope="module")
def smallest(started):
    return made()


def trainable(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


@pytest.mark.parametrize(
    ("size", "millions"),
    [
        ("b0", 3.8),
        pytest.param("b1", 13.7, marks=pytest.mark.slow),
        pytest.param("b2", 27.5, marks=pytest.mark.slow),
    ],
)
def test_it_has_as_many_parameters_as_the_paper_says(size, millions):
    model = build((None, None, 3), 150, size=size)

    assert trainable(model) / 1e6 == pytest.approx(millions, rel=0.02)


def test_patches_overlap_and_stages_halve(smallest):
    embeds = [smallest.get_layer(f"stage{i}_embed") for i in range(4)]

    assert [layer.kernel_size[0] for layer in embeds] == [7, 3, 3, 3]
    assert [layer.strides[0] for layer in embeds] == [4, 2, 2, 2]
    assert [smallest.get_layer(f"stage{i}_pad").padding[0] for i in range(4)] == [
        (3, 3), (1, 1), (1, 1), (1, 1),
    ]  # fmt: skip
    assert geometry(smallest) == (32, None)


def test_keys_are_reduced_by_8_4_2_and_not_at_all(smallest):
    names = {layer.name for layer in smallest.layers}
    reduced = [f"stage{i}_block0_attention_reduce" for i in range(4)]

    found = [smallest.get_layer(n).strides[0] if n in names else 1 for n in reduced]
    attentions = [smallest.get_layer(f"stage{i}_block1_attention") for i in range(4)]

    assert found == [8, 4, 2, 1]
    assert [layer.reduction for layer in attentions] == [8, 4, 2, 1]
    assert [layer.heads for layer in attentions] == [1, 2, 5, 8]


def test_a_mix_ffn_convolves_each_of_four_times_the_channels(smallest):
    for i, filters in enumerate(SIZES["b0"].filters):
        layer = smallest.get_layer(f"stage{i}_block0_mlp_depthwise")

        assert layer.kernel.shape == (3, 3, 4 * filters, 1) and layer.use_bias


@pytest.mark.slow
@pytest.mark.parametrize("size", sorted(SIZES))
def test_a_size_has_its_blocks_and_its_decoder(size):
    model = made(size=size)
    names = [layer.name for layer in model.layers]

    for i, blocks in enumerate(SIZES[size].blocks):
        own = [n for n in names if n.startswith(f"stage{i}_block") and n.endswith("_attention")]
        assert len(own) == blocks
        assert model.get_layer(f"stage{i}_norm").output.shape[-1] == SIZES[size].filters[i]
        assert model.get_layer(f"decoder_linear{i}").units == SIZES[size].decoder
    assert model.get_layer("decoder_fuse").filters == SIZES[size].decoder


def test_the_decoder_joins_all_stages_at_a_quarter_of_the_size(smallest):
    import keras

    inner = keras.Model(
        smallest.input,
        [smallest.get_layer(n).output for n in ("decoder_join", "logits", "logits_resize")],
    )

    joined, logits, final = inner(np.zeros((1, 32, 64, 3)), training=False)

    assert joined.shape == (1, 8, 16, 4 * 256)
    assert logits.shape == (1, 8, 16, 1) and final.shape == (1, 32, 64, 1)


def test_stochastic_depth_grows_from_block_to_block_and_seeds_differ():
    model = made(drop_path_rate=0.21, dropout_rate=0.3, dropout_seed=9)
    drops = [layer for layer in model.layers if "drop" in layer.name]
    paths = [layer for layer in drops if layer.name.endswith("drop_path")]

    assert [layer.rate for layer in paths[::2]] == pytest.approx([0.03 * i for i in range(1, 8)])
    assert [layer.rate for layer in paths[1::2]] == [layer.rate for layer in paths[::2]]
    assert [layer.name for layer in drops if layer not in paths] == ["decoder_dropout"]
    assert len({layer.seed for layer in drops}) == len(drops) == 15
    assert min(layer.seed for layer in drops) == 9


def test_no_dropout_is_no_layer():
    model = made(drop_path_rate=0.0, dropout_rate=0.0)

    assert not [layer.name for layer in model.layers if "drop" in layer.name]


@pytest.mark.parametrize(("kind", "biased"), [("batch", False), ("layer", True)])
def test_what_a_batch_normalisation_would_cancel_is_left_out(kind, biased):
    model = made(normalization=kind)

    layers = [model.get_layer(f"decoder_linear{i}") for i in range(4)]
    assert [layer.use_bias for layer in layers] == [biased] * 4


def test_it_sees_the_whole_tile(smallest):
    image = np.random.default_rng(0).uniform(0, 255, (1, 64, 96, 3)).astype("float32")
    changed = image.copy()
    changed[:, :8, :8] = 255 - changed[:, :8, :8]

    moved = np.abs(np.asarray(smallest(image)) - np.asarray(smallest(changed)))

    assert moved[:, -8:, -8:].min() > 0


def test_an_unknown_size_is_refused():
    with pytest.raises(ValueError, match="size 'b9' is not known"):
        made(size="b9")

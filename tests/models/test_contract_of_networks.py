"""What every network promises: a new line in `ARCHITECTURES` is tested by being there.

`make test-all` runs this file on both backends, `make test` the quick part under TensorFlow.
"""

from functools import cache

import numpy as np
import pytest

from cervseg import runtime
from cervseg.classes import Classes
from cervseg.contract import Contract
from cervseg.losses import SegmentationLoss
from cervseg.models import ARCHITECTURES
from cervseg.models.costs import training_bytes
from cervseg.models.folder import final_network, load_model, save_model, training_network
from cervseg.models.folding import fold_normalizations
from cervseg.models.inspection import geometry

pytestmark = pytest.mark.usefixtures("started")

SMALL = {
    "unet": {"base_filters": 4, "num_layers": 3},
    "attention_unet": {"base_filters": 4, "num_layers": 3},
    "multires_unet": {"base_filters": 8, "num_layers": 3},
    "sharp_unet": {"base_filters": 4, "num_layers": 3},
    "unetplusplus": {"base_filters": 4, "num_layers": 3, "deep_supervision": True},
    "unet3plus": {"base_filters": 4, "num_layers": 3, "deep_supervision": True},
    "u2net": {"base_filters": 4, "num_layers": 3},
    "basnet": {"base_filters": 4, "num_layers": 2},
    "segformer": {"drop_path_rate": 0.0, "dropout_rate": 0.0},
    "swin_unet": {
        "filter_num_begin": 8,
        "depth": 2,
        "num_heads": [1, 2],
        "window_size": 3,
        "patch_size": [2, 2],
        "drop_path_rate": 0.0,
    },
    "trans_unet": {
        "filter_num": [4, 6, 8],
        "embed_dim": 8,
        "num_mlp": 16,
        "num_heads": 2,
        "num_transformer": 2,
        "dropout_rate": 0.0,
    },
    "efficient_unet": {"decoder_filters": [16, 12, 8, 8, 4]},
    "deeplabv3plus": {"encoder": "mobilenet_v3_small", "decoder_filters": 8},
    "xception_unet": {"base_filters": 4, "filters": [6, 8]},
    "lite_unet": {"decoder_filters": [16, 12, 8, 8]},
}
"""Options that keep the tests short; a network without gets its defaults."""

LOCAL = {
    "unet": {**SMALL["unet"], "normalization": "layer", "activation": "tanh"},
    "attention_unet": {
        **SMALL["attention_unet"],
        "normalization": "layer",
        "activation": "tanh",
    },
    "multires_unet": {**SMALL["multires_unet"], "normalization": "layer", "activation": "tanh"},
    "sharp_unet": {**SMALL["sharp_unet"], "normalization": "layer", "activation": "tanh"},
    "unetplusplus": {**SMALL["unetplusplus"], "normalization": "layer", "activation": "tanh"},
    "unet3plus": {**SMALL["unet3plus"], "normalization": "layer", "activation": "tanh"},
    "u2net": {**SMALL["u2net"], "normalization": "layer", "activation": "tanh"},
    "basnet": {**SMALL["basnet"], "normalization": "layer", "activation": "tanh"},
    "xception_unet": {**SMALL["xception_unet"], "normalization": "layer", "activation": "tanh"},
    "lite_unet": {"decoder_filters": [16, 12, 8, 8]},
}
"""Options with which an output pixel sees a bounded part of the input, where there are any."""

NO_GRADIENT: dict[str, tuple[str, ...]] = {}
"""Variables (ends of their paths) that a loss can't move, by network; each with its reason."""

BIAS_BEFORE_NORM: dict[str, tuple[str, ...]] = {}
"""Layers (starts of their names) with a bias that a normalisation cancels, where weights of
others have it."""

NEAR: dict[str, int] = {"u2net": 6}
"""The share 1 / n of the radius within which a network surely looks; 2 for those not named."""

NAMES = sorted(ARCHITECTURES)
QUICK = ("unet",)
SLOWLY = [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.slow, id=name) for name in NAMES
]


def build(name, *, channels=1, inputs=3, **options):
    options = {**SMALL.get(name, {}), **options}
    return ARCHITECTURES[name]((None, None, inputs), channels, **options)


@cache
def built(name):
    """A network for tests that leave it as it is."""
    return build(name, channels=2)


def build_local(name):
    if name in SMALL and name not in LOCAL:
        return build(name)
    return ARCHITECTURES[name]((None, None, 3), 1, **LOCAL.get(name, {}))


def pixels(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype("float32")


def outputs(model, images):
    """All answers; on JAX as one program, since there each operation alone is compiled too."""
    found = model.predict_on_batch(images) if runtime.on_jax() else model(images, training=False)
    return [np.asarray(x) for x in (found if isinstance(found, list) else [found])]


def answers(model, images):
    """Of the final output."""
    return outputs(model, images)[0]


def moved(model, delta=0.1):
    """As if trained: nothing is at its initial value."""
    for variable in model.variables:
        if "seed" not in variable.path:
            variable.assign(np.asarray(variable) + np.asarray(delta, variable.dtype))
    return model


def for_training(model, *, optimizer, loss="bce_dice", activation="sigmoid"):
    """Compiled as the trainer does it: side outputs beside the final one."""
    channels = model.outputs[0].shape[-1]
    model = training_network(model)
    model.compile(optimizer, SegmentationLoss(loss, activation, channels=channels))
    return model


def lesson(model, *, classes=1):
    """Four images and what is bright in them."""
    side = max(4 * geometry(model).align, 32)
    tiles = pixels((4, side // 4, side // 4, 3)).repeat(4, axis=1).repeat(4, axis=2)
    return tiles, (tiles.mean(axis=-1) > 128).astype("uint8") * np.uint8(classes)


@pytest.mark.parametrize("name", NAMES)
def test_it_answers_any_size_on_its_stride_with_float32_logits(name):
    model = built(name)
    align = geometry(model).align

    for height, width in ((align, 2 * align), (3 * align, align)):
        found = outputs(model, pixels((1, height, width, 3)))

        assert {x.shape for x in found} == {(1, height, width, 2)}
        assert {x.dtype for x in found} == {np.dtype("float32")}
        assert all(np.isfinite(x).all() and x.std() > 0 for x in found)


@pytest.mark.parametrize("name", SLOWLY)
def test_it_takes_images_in_grey(name):
    model = build(name, channels=4, inputs=1)
    align = geometry(model).align

    logits = answers(model, pixels((2, align, 2 * align, 1)))

    assert logits.shape == (2, align, 2 * align, 4) and np.isfinite(logits).all()
    assert logits.std() > 0


@pytest.mark.parametrize("name", SLOWLY)
def test_it_answers_alike_with_its_normalisations_folded(name):
    model = moved(build(name, channels=2), delta=0.03)
    align = geometry(model).align
    images = pixels((1, align, 2 * align, 3))

    want, got = (outputs(m, images) for m in (model, fold_normalizations(model)))

    for before, after in zip(want, got, strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-3, atol=1e-4 * before.std() + 1e-5)


@pytest.mark.parametrize("name", SLOWLY)
def test_it_is_the_same_after_being_saved_and_loaded(tmp_path, name):
    model = moved(build(name, channels=3), delta=0.01)
    contract = Contract(
        architecture=name, options=SMALL.get(name, {}), activation="softmax", channels=3,
        classes=Classes.of({"cell": "#00ff00", "nucleus": "#ff0000"}),
        tile_size=geometry(model).align, threshold=(0.5, 0.5), align=geometry(model).align,
    )  # fmt: skip
    align = geometry(model).align
    tiles = pixels((1, align, 2 * align, 3))

    save_model(tmp_path, model, contract)
    loaded = load_model(tmp_path, Contract.load(tmp_path))

    np.testing.assert_array_equal(answers(loaded, tiles), answers(model, tiles))
    assert {v.path for v in loaded.weights} == {v.path for v in final_network(model).weights}
    assert len(loaded.outputs) == 1


@pytest.mark.parametrize("name", SLOWLY)
def test_its_answer_for_a_tile_does_not_depend_on_the_other_tiles(name):
    model = build(name)
    align = geometry(model).align
    tiles = pixels((3, align, 2 * align, 3))
    tiles[1] = 255  # a mate unlike the others

    together = answers(model, tiles)
    alone = np.concatenate([answers(model, tile[None]) for tile in tiles])

    np.testing.assert_allclose(together, alone, atol=1e-5 * max(1, np.abs(alone).max()))


@pytest.mark.parametrize("name", SLOWLY)
@pytest.mark.parametrize("activation", ["sigmoid", pytest.param("softmax", marks=pytest.mark.slow)])
def test_one_step_lowers_the_loss(name, activation):
    import keras

    keras.utils.set_random_seed(1)
    classes = 1 if activation == "sigmoid" else 2
    model = build(name, channels=classes + (activation == "softmax"))
    tiles, masks = lesson(model, classes=classes)
    loss = "bce_dice" if activation == "sigmoid" else "categorical_crossentropy"
    model = for_training(
        model, optimizer=keras.optimizers.SGD(1e-3), loss=loss, activation=activation
    )

    losses = [float(model.train_on_batch(tiles, masks)) for _ in range(3)]  # each before its step

    assert np.isfinite(losses).all() and losses[1] < losses[0] and losses[-1] < losses[0]


@pytest.mark.parametrize("name", SLOWLY)
def test_every_weight_moves_in_a_step_of_training(name):
    import keras

    keras.utils.set_random_seed(1)
    model = build(name)
    tiles, masks = lesson(model)
    trained = for_training(model, optimizer=keras.optimizers.SGD(1e3))
    before = [np.asarray(v) for v in trained.trainable_variables]

    trained.train_on_batch(tiles, masks)

    still = {
        variable.path
        for variable, old in zip(trained.trainable_variables, before, strict=True)
        if np.array_equal(np.asarray(variable), old)
    }
    excused = NO_GRADIENT.get(name, ())
    assert {path for path in still if not path.endswith(excused or ("\0",))} == set()


@pytest.mark.parametrize("name", NAMES)
def test_no_convolution_has_a_bias_that_a_normalization_cancels(name):
    model = built(name)
    excused = BIAS_BEFORE_NORM.get(name, ())

    found = [
        before.name
        for layer in model.layers
        if type(layer).__name__ == "BatchNormalization"
        for before in [layer._inbound_nodes[0].input_tensors[0]._keras_history.operation]
        if getattr(before, "use_bias", False)
    ]

    assert [n for n in found if not n.startswith(excused or ("\0",))] == []


@pytest.mark.parametrize("name", SLOWLY)
@pytest.mark.parametrize(
    "policy", ["mixed_bfloat16", pytest.param("mixed_float16", marks=pytest.mark.slow)]
)
def test_it_computes_in_half_precision_and_ends_in_float32(name, policy):
    import keras

    keras.config.set_dtype_policy(policy)
    try:
        keras.utils.set_random_seed(1)
        model = build(name)
        tiles, masks = lesson(model)
        found = answers(model, tiles)
        trained = for_training(model, optimizer=keras.optimizers.SGD(1e-3))
        loss = float(trained.train_on_batch(tiles, masks))
    finally:
        keras.config.set_dtype_policy("float32")

    assert found.dtype == np.float32 and np.isfinite(found).all() and np.isfinite(loss)
    assert all(v.dtype == "float32" for v in trained.trainable_variables)
    computing = {x.dtype for layer in model.layers for x in layer._inbound_nodes[0].output_tensors}
    assert policy.removeprefix("mixed_") in computing


@pytest.mark.parametrize("name", SLOWLY)
@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("backwards", [False, True])
def test_what_lies_beyond_its_radius_is_not_seen_and_what_lies_within_is(name, *, axis, backwards):
    model = build_local(name)
    align, radius = geometry(model)
    if radius is None:
        pytest.skip("it sees the whole tile, and says so")
    side = -(-(2 * radius + 3 * align) // align) * align
    image = pixels((side, align, 3))
    phases = range(1, 1 + align, max(1, align // 8))  # of the stride
    rows = [radius + phase for phase in phases]

    def moves(distance):
        """How far the answer in each row moves when all that is farther above it changes."""
        stack = np.stack([image] * (1 + len(rows)))
        for changed, row in zip(stack[1:], rows, strict=True):
            changed[: row - distance] = 255 - changed[: row - distance]
        stack = stack[:, ::-1] if backwards else stack
        found = answers(model, stack.swapaxes(1, axis)).swapaxes(1, axis)
        found = found[:, ::-1] if backwards else found
        return [np.abs(found[i, r] - found[0, r]).max() for i, r in enumerate(rows, start=1)]

    assert max(moves(radius)) < 1e-5
    assert min(moves(radius // NEAR.get(name, 2))) > 1e-5


@pytest.mark.parametrize("name", SLOWLY)
def test_an_input_shifted_by_its_stride_gives_a_shifted_answer(name):
    model = build_local(name)
    align, radius = geometry(model)
    if radius is None:
        pytest.skip("it sees the whole tile, and says so")
    side = -(-(2 * radius + 6 * align) // align) * align
    image = pixels((side + align, 4 * align, 3))

    whole = answers(model, np.stack([image[:-align], image[align:]]))

    inner = slice(radius, side - radius - align)
    shifted = slice(radius + align, side - radius)
    np.testing.assert_allclose(whole[0, shifted], whole[1, inner], atol=1e-4)


@pytest.mark.parametrize("name", SLOWLY)
def test_its_memory_grows_with_the_batch_and_the_tile(name):
    model = build(name)
    side = 2 * geometry(model).align

    small = training_bytes(model, 1, side)

    weights = 16 * model.count_params()
    assert weights < small
    assert training_bytes(model, 2, side) - weights > 1.9 * (small - weights)
    assert training_bytes(model, 1, 2 * side) - weights > 2.5 * (small - weights)


@pytest.mark.parametrize("name", SLOWLY)
def test_its_layers_are_named_alike_each_time(name):
    paths = [[v.path for v in model.weights] for model in (built(name), build(name, channels=2))]

    assert paths[0] == paths[1]
    assert len(set(paths[0])) == len(paths[0])
    assert not any(part.endswith("_") for p in paths[0] for part in p.rstrip("0123456789").split())

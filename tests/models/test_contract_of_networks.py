"""What every network promises: a new line in `ARCHITECTURES` is tested by being there."""

import numpy as np
import pytest

from cervseg.classes import Classes
from cervseg.contract import Contract
from cervseg.losses import SegmentationLoss
from cervseg.models import ARCHITECTURES
from cervseg.models.folder import load_model, save_model
from cervseg.models.inspection import geometry, training_bytes

pytestmark = pytest.mark.usefixtures("started")

SMALL = {"unet": {"base_filters": 4, "num_layers": 3}}
"""Options that keep the tests short; a network without gets its defaults."""

LOCAL = {"unet": {**SMALL["unet"], "normalization": "layer", "activation": "tanh"}}
"""Options with which an output pixel sees a bounded part of the input, where there are any."""

NAMES = sorted(ARCHITECTURES)


def build(name, *, channels=1, inputs=3, **options):
    options = {**SMALL.get(name, {}), **options}
    return ARCHITECTURES[name]((None, None, inputs), channels, **options)


def pixels(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype("float32")


def answers(model, images):
    return np.asarray(model(images, training=False))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("inputs", "channels"), [(3, 1), (1, 4)])
def test_it_answers_any_size_on_its_stride_with_float32_logits(name, inputs, channels):
    model = build(name, channels=channels, inputs=inputs)
    align = geometry(model).align

    for height, width in ((align, 2 * align), (3 * align, 5 * align)):
        logits = answers(model, pixels((2, height, width, inputs)))

        assert logits.shape == (2, height, width, channels) and logits.dtype == np.float32
        assert np.isfinite(logits).all()
        assert logits.min() < 0 or logits.max() > 1 or logits.std() > 0


@pytest.mark.parametrize("name", NAMES)
def test_its_answer_for_a_tile_does_not_depend_on_the_other_tiles(name):
    model = build(name)
    side = 4 * geometry(model).align
    tiles = pixels((3, side, side, 3))

    together = answers(model, tiles)
    alone = np.concatenate([answers(model, tile[None]) for tile in tiles])

    np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_the_same_after_being_saved_and_loaded(tmp_path, name):
    model = build(name, channels=3)
    contract = Contract(
        architecture=name, options=SMALL.get(name, {}), activation="softmax", channels=3,
        classes=Classes.of({"cell": "#00ff00", "nucleus": "#ff0000"}), tile_size=64,
        threshold=(0.5, 0.5), align=geometry(model).align,
    )  # fmt: skip
    for variable in model.variables:  # as if trained: nothing is at its initial value
        if "seed" not in variable.path:
            variable.assign(np.asarray(variable) + 0.1)
    side = 4 * geometry(model).align
    tiles = pixels((1, side, 2 * side, 3))

    save_model(tmp_path, model, contract)
    loaded = load_model(tmp_path, Contract.load(tmp_path))

    np.testing.assert_array_equal(answers(loaded, tiles), answers(model, tiles))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_one_step_lowers_the_loss(name, activation):
    import keras

    keras.utils.set_random_seed(1)
    classes = 1 if activation == "sigmoid" else 2
    model = build(name, channels=classes + (activation == "softmax"))
    side = 4 * geometry(model).align
    tiles = pixels((4, side, side, 3))
    masks = (tiles.mean(axis=-1) > 128).astype("uint8") * np.uint8(classes)
    loss = "bce_dice" if activation == "sigmoid" else "categorical_crossentropy"
    model.compile(keras.optimizers.Adam(1e-3), SegmentationLoss(loss, activation), run_eagerly=True)

    losses = [float(model.train_on_batch(tiles, masks)) for _ in range(2)]

    assert losses[1] < losses[0]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("backwards", [False, True])
def test_what_lies_beyond_its_radius_is_not_seen_and_what_lies_within_is(name, *, axis, backwards):
    model = build(name, **LOCAL.get(name, {}))
    align, radius = geometry(model)
    if radius is None:
        pytest.skip("it sees the whole tile, and says so")
    side = -(-(2 * radius + 3 * align) // align) * align
    image = pixels((side, align, 3))
    rows = range(radius + 1, radius + 1 + align)  # every phase of the stride

    def moves(distance):
        """How far the answer in each row moves when all that is farther above it changes."""
        stack = np.stack([image] * (1 + align))
        for changed, row in zip(stack[1:], rows, strict=True):
            changed[: row - distance] = 255 - changed[: row - distance]
        stack = stack[:, ::-1] if backwards else stack
        found = answers(model, stack.swapaxes(1, axis)).swapaxes(1, axis)
        found = found[:, ::-1] if backwards else found
        return [np.abs(found[i, r] - found[0, r]).max() for i, r in enumerate(rows, start=1)]

    assert max(moves(radius)) < 1e-5
    assert min(moves(radius // 2)) > 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_an_input_shifted_by_its_stride_gives_a_shifted_answer(name):
    model = build(name, **LOCAL.get(name, {}))
    align, radius = geometry(model)
    if radius is None:
        pytest.skip("it sees the whole tile, and says so")
    side = -(-(2 * radius + 6 * align) // align) * align
    image = pixels((side + align, side + align, 3))

    whole = answers(model, np.stack([image[:-align, :-align], image[align:, align:]]))

    inner = slice(radius, side - radius - align)
    shifted = slice(radius + align, side - radius)
    np.testing.assert_allclose(whole[0, shifted, shifted], whole[1, inner, inner], atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_its_memory_grows_with_the_batch_and_the_tile(name):
    model = build(name)

    small = training_bytes(model, 1, 64)

    assert 4 * 4 * model.count_params() < small
    assert training_bytes(model, 2, 64) > 1.5 * small - 16 * model.count_params()
    assert training_bytes(model, 1, 128) > 3.5 * (small - 16 * model.count_params())


@pytest.mark.parametrize("name", NAMES)
def test_its_layers_have_names_of_their_own(name):
    model = build(name)

    names = [layer.name for layer in model.layers if layer.variables]

    assert len(set(names)) == len(names)
    assert not any(n.rstrip("0123456789").endswith("_") for n in names), "Keras numbered it"

from typing import get_args

import numpy as np
import pytest

from cervseg import runtime
from cervseg.config.losses import LossName
from cervseg.errors import ConfigError
from cervseg.losses import (
    LOSSES,
    SegmentationLoss,
    Term,
    activate,
    encode,
    needs_softmax,
    treats_channels_alone,
)

pytestmark = pytest.mark.usefixtures("started")

LABELS = np.array([[[0, 1, 2], [255, 2, 0]]], np.uint8)

FIELD = np.zeros((2, 13, 17), np.uint8)
FIELD[0, 3:9, 2:8] = 1
FIELD[0, 5:12, 10:15] = 2
FIELD[1, 2:6, 4:9] = 2
FIELD[:, 0, 0] = 255
"""Two tiles: class 1 is in one of them only."""


def logits_for(labels, channels, *, first, size=60.0):
    """Logits that are sure and right; whatever where ignored."""
    indices = np.arange(first, first + channels)
    return np.where(labels[..., None] == indices, size, -size).astype("float32")


def draw(channels, *, seed=1, size=1.0, labels=FIELD):
    rng = np.random.default_rng(seed)
    return rng.normal(0, size, (*labels.shape, channels)).astype("float32")


def gradient(loss, labels, logits):
    if runtime.on_jax():
        import jax

        return np.asarray(jax.grad(lambda x: loss(labels, x))(logits))
    import tensorflow as tf

    logits = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = loss(labels, logits)
    return tape.gradient(value, logits).numpy()


PAIRS = [
    (name, activation)
    for name in sorted(LOSSES)
    for activation in ("sigmoid", "softmax")
    if not (needs_softmax(name) and activation == "sigmoid")
]
CHANNELS = {"sigmoid": 2, "softmax": 3}
each_pair = pytest.mark.parametrize(("name", "activation"), PAIRS)


def test_the_config_offers_exactly_the_losses_there_are():
    assert set(get_args(LossName)) == set(LOSSES)


def test_one_loss_needs_exclusive_channels_and_some_do_not_see_that_they_are():
    assert [name for name in LOSSES if needs_softmax(name)] == ["categorical_crossentropy"]
    assert {name for name in LOSSES if treats_channels_alone(name)} == {
        "binary_crossentropy", "bce_dice", "bce_iou", "basnet_hybrid"
    }  # fmt: skip


def test_sigmoid_channels_stand_for_the_classes_from_one_on():
    truth, weights = (np.asarray(x) for x in encode(LABELS, 2, activation="sigmoid"))

    assert truth.shape == (1, 2, 3, 2) and truth.dtype == weights.dtype == np.float32
    np.testing.assert_array_equal(truth[..., 0], LABELS == 1)
    np.testing.assert_array_equal(truth[..., 1], LABELS == 2)
    np.testing.assert_array_equal(weights[..., 0], LABELS != 255)


def test_softmax_channels_begin_with_the_background():
    truth, weights = (np.asarray(x) for x in encode(LABELS, 3, activation="softmax"))

    for index in range(3):
        np.testing.assert_array_equal(truth[..., index], index == LABELS)
    np.testing.assert_array_equal(truth.sum(axis=-1), weights[..., 0])


def test_labels_of_any_integer_type_mean_the_same():
    for kind in ("int32", "int64", "float32"):
        truth, _ = encode(LABELS.astype(kind), 2, activation="sigmoid")
        np.testing.assert_array_equal(np.asarray(truth)[..., 0], LABELS == 1)


def test_activation_gives_float32_probabilities():
    logits = np.random.default_rng(0).normal(0, 3, (1, 2, 3, 4)).astype("float16")

    sigmoid, softmax = (np.asarray(activate(logits, a)) for a in ("sigmoid", "softmax"))

    assert sigmoid.dtype == softmax.dtype == np.float32
    np.testing.assert_allclose(sigmoid, 1 / (1 + np.exp(-logits.astype("float32"))), rtol=1e-5)
    np.testing.assert_allclose(softmax.sum(axis=-1), 1, atol=1e-6)


@each_pair
def test_a_sure_and_right_answer_costs_nothing_and_a_wrong_one_something(name, activation):
    first, channels = (1, 2) if activation == "sigmoid" else (0, 3)
    right = logits_for(FIELD, channels, first=first)
    loss = SegmentationLoss(name, activation)

    assert float(loss(FIELD, right)) == pytest.approx(0, abs=1e-6)
    assert float(loss(FIELD, np.roll(right, 6, axis=1))) > 0.15


@each_pair
def test_what_is_answered_where_ignored_does_not_matter(name, activation):
    labels = FIELD.copy()
    labels[0, 2, 14:] = labels[1, 9:, 16] = 255
    logits = draw(CHANNELS[activation])
    other = logits.copy()
    other[labels == 255] = 99
    loss = SegmentationLoss(name, activation)

    assert float(loss(labels, logits)) == float(loss(labels, other))
    assert not gradient(loss, labels, logits)[labels == 255].any()


@each_pair
@pytest.mark.parametrize("per", ["batch", "image"])
def test_tiles_with_nothing_all_or_no_known_pixel_on_them_have_a_loss(name, activation, per):
    takes_per = any("per" in part.options for part in LOSSES[name])
    term = Term(name, params={"per": per} if takes_per else {})
    loss, logits = SegmentationLoss([term], activation), draw(CHANNELS[activation])

    for value in (0, 1):
        assert np.isfinite(float(loss(np.full_like(FIELD, value), logits)))
    assert float(loss(np.full_like(FIELD, 255), logits)) == 0


@each_pair
@pytest.mark.parametrize("size", [0.0, 0.5, 1e4])
def test_gradients_are_finite_and_there_where_there_is_something_to_mend(name, activation, size):
    first, channels = (1, 2) if activation == "sigmoid" else (0, 3)
    loss = SegmentationLoss(name, activation)
    cases = {
        "random": (FIELD, draw(channels, size=size)),
        "right": (FIELD, logits_for(FIELD, channels, first=first, size=size)),
        "wrong": (FIELD, logits_for(FIELD, channels, first=first, size=-size)),
        "empty": (0 * FIELD, draw(channels, size=size)),
        "unknown": (0 * FIELD + 255, draw(channels, size=size)),
    }

    found = {case: gradient(loss, *given) for case, given in cases.items()}

    for case, values in found.items():
        assert np.isfinite(values).all(), case
    if size == 0.5:
        assert all(found[case].any() for case in cases if case != "unknown")
        assert not found["unknown"].any()


@pytest.mark.parametrize("name", ["binary_crossentropy", "focal", "lovasz"])
def test_a_pixel_that_is_sure_and_wrong_still_has_a_gradient(name):
    wrong = logits_for(FIELD, 2, first=1, size=-200.0)

    assert np.abs(gradient(SegmentationLoss(name, "sigmoid"), FIELD, wrong)).max() > 1e-6


@each_pair
def test_it_is_computed_in_float32_whatever_the_network_computes_in(name, activation):
    import keras

    logits = draw(CHANNELS[activation]).astype("float16")
    expected = float(SegmentationLoss(name, activation)(FIELD, logits.astype("float32")))

    keras.config.set_dtype_policy("mixed_float16")
    try:
        value = SegmentationLoss(name, activation)(FIELD, logits)
    finally:
        keras.config.set_dtype_policy("float32")

    assert np.asarray(value).dtype == np.float32
    assert float(value) == expected


@pytest.mark.parametrize("name", ["focal", "tversky", "lovasz", "boundary", "ssim"])
def test_sizes_may_be_unknown_when_it_is_traced(name):
    if runtime.on_jax():
        pytest.skip("on JAX all sizes are known when it is traced")
    import tensorflow as tf

    logits = draw(3)
    loss = SegmentationLoss(name, "softmax")
    unknown = [tf.TensorSpec([None] * 3, "uint8"), tf.TensorSpec([None] * 3 + [3])]
    traced = tf.function(loss, input_signature=unknown)

    value = float(traced(FIELD, logits))

    assert value == pytest.approx(float(loss(FIELD, logits)), rel=1e-5)


@pytest.mark.parametrize(
    ("name", "parts"),
    {
        "bce_dice": ("binary_crossentropy", "dice"),
        "bce_iou": ("binary_crossentropy", "iou"),
        "basnet_hybrid": ("binary_crossentropy", "ssim", "iou"),
    }.items(),
)
def test_a_joined_loss_is_the_mean_of_its_parts(name, parts):
    logits = draw(2)

    together, *alone = (
        float(SegmentationLoss(n, "sigmoid")(FIELD, logits)) for n in (name, *parts)
    )

    assert together == pytest.approx(np.mean(alone), rel=1e-6)


def test_terms_are_added_up_by_their_weights():
    logits = draw(2)
    dice, focal = (float(SegmentationLoss(n, "sigmoid")(FIELD, logits)) for n in ("dice", "focal"))

    both = SegmentationLoss([Term("dice"), Term("focal", 0.5)], "sigmoid")

    assert float(both(FIELD, logits)) == pytest.approx(dice + 0.5 * focal, rel=1e-6)


@each_pair
def test_options_reach_the_loss_and_those_it_lacks_are_refused(name, activation):
    """Any option at another value gives another loss."""
    other = {"gamma": 3.0, "alpha": 0.9, "beta": 0.1, "theta0": 7, "theta": 9, "per": "image"}
    logits = draw(CHANNELS[activation])
    plain = float(SegmentationLoss(name, activation)(FIELD, logits))

    for option, value in other.items():
        terms = [Term(name, params={option: value})]
        if any(option in part.options for part in LOSSES[name]):
            changed = float(SegmentationLoss(terms, activation)(FIELD, logits))
            assert changed != pytest.approx(plain, rel=1e-5), option
        else:
            with pytest.raises(ValueError, match=f"loss {name!r} takes no {option!r}"):
                SegmentationLoss(terms, activation)


@each_pair
def test_of_class_weights_only_the_ratios_count(name, activation):
    logits, channels = draw(CHANNELS[activation]), CHANNELS[activation]

    def value(*weights):
        return float(
            SegmentationLoss([Term(name, 1.0, weights or None)], activation)(FIELD, logits)
        )

    assert value(*[7] * channels) == pytest.approx(value(), rel=1e-5)
    some = value(*(1, 4, 2)[:channels])
    assert some == pytest.approx(value(*(10, 40, 20)[:channels]), rel=1e-5)
    assert some != pytest.approx(value(), rel=1e-4)


@each_pair
def test_a_class_of_weight_0_does_not_matter(name, activation):
    """Where softmax binds the channels, at least its truth does not."""
    weights = (1, 0) if activation == "sigmoid" else (1, 1, 0)
    loss = SegmentationLoss([Term(name, class_weights=weights)], activation)
    logits = draw(CHANNELS[activation])
    if activation == "sigmoid":
        other = logits.copy()
        other[..., 1] = 50
        assert float(loss(FIELD, logits)) == float(loss(FIELD, other))
        assert not gradient(loss, FIELD, logits)[..., 1].any()
    elif name in ("categorical_crossentropy", "focal"):
        assert not gradient(loss, FIELD, logits)[FIELD == 2].any()


def test_class_weights_are_one_for_each_channel():
    terms = [Term("dice", class_weights=(1.0, 2.0))]

    SegmentationLoss(terms, "sigmoid", channels=2)
    with pytest.raises(ConfigError) as caught:
        SegmentationLoss(terms, "softmax", channels=3)

    assert str(caught.value) == "'train.loss' dice has 2 'class_weights' for 3 channels"
    assert caught.value.hint == "one for each class; with softmax the background first"


def test_it_does_not_depend_on_how_the_batch_is_cut_into_height_and_width():
    logits = draw(2, labels=LABELS)
    loss = SegmentationLoss("bce_dice", "sigmoid")

    turned = loss(LABELS.swapaxes(1, 2), logits.swapaxes(1, 2))

    assert float(loss(LABELS, logits)) == pytest.approx(float(turned), rel=1e-6)


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
@pytest.mark.parametrize("side_weight", [0.0, 0.25, 1.0])
def test_side_outputs_behind_the_final_one_have_a_loss_each(activation, side_weight):
    channels = CHANNELS[activation]
    outputs = [draw(channels, seed=i) for i in range(3)]
    final, *sides = (float(SegmentationLoss("bce_dice", activation)(FIELD, x)) for x in outputs)

    loss = SegmentationLoss("bce_dice", activation, channels=channels, side_weight=side_weight)

    value = float(loss(FIELD, np.concatenate(outputs, axis=-1)))
    assert value == pytest.approx(final + side_weight * sum(sides), rel=1e-5)
    assert float(loss(FIELD, outputs[0])) == pytest.approx(final, rel=1e-6)


def test_channels_that_are_no_whole_outputs_are_refused():
    loss = SegmentationLoss("dice", "softmax", channels=3)

    with pytest.raises(ValueError, match="4 channels are no outputs of 3 each"):
        loss(FIELD, draw(4))

from itertools import pairwise

import numpy as np
import pytest

from cervseg.losses.overlap import lovasz_hinge_loss, lovasz_softmax_loss

pytestmark = pytest.mark.usefixtures("started")


def jaccard_loss(wrong, truth):
    """1 - IoU of the truth and of what is answered when the pixels of `wrong` are mistaken."""
    answer = truth ^ wrong
    union = (answer | truth).sum()
    return 0.0 if union == 0 else 1 - (answer & truth).sum() / union


def lovasz_extension(errors, truth):
    """As the definition by level sets: the integral of the loss of {error > θ} over θ >= 0."""
    levels = sorted({0.0, *(float(e) for e in errors if e > 0)})
    return sum(
        (high - low) * jaccard_loss(errors > (low + high) / 2, truth)
        for low, high in pairwise(levels)
    )


def draw(rng, shape=(1, 2, 3, 2)):
    truth = rng.integers(0, 2, shape).astype("float32")
    return truth, rng.normal(0, 2, shape).astype("float32"), np.ones((*shape[:3], 1), "float32")


@pytest.mark.parametrize("seed", range(12))
def test_the_hinge_is_the_extension_by_its_definition(seed):
    truth, logits, ones = draw(np.random.default_rng(seed))
    errors = 1 - logits * (2 * truth - 1)

    expected = [
        lovasz_extension(errors[..., c].ravel(), truth[..., c].ravel() > 0) for c in range(2)
    ]

    assert float(lovasz_hinge_loss(truth, logits, ones)) == pytest.approx(
        np.mean(expected), rel=1e-5
    )


@pytest.mark.parametrize("seed", range(12))
def test_the_softmax_is_the_extension_by_its_definition_over_present_classes(seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, (1, 2, 3)) % 3
    truth = np.eye(3, dtype="float32")[labels]
    guess = rng.dirichlet([1, 1, 1], labels.shape).astype("float32")
    errors = np.abs(truth - guess)

    expected = [
        lovasz_extension(errors[..., c].ravel(), labels.ravel() == c) for c in np.unique(labels)
    ]

    loss = float(lovasz_softmax_loss(truth, guess, np.ones((1, 2, 3, 1), "float32")))
    assert loss == pytest.approx(np.mean(expected), rel=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_on_hard_answers_it_is_the_jaccard_loss(seed):
    rng = np.random.default_rng(seed)
    labels, answers = rng.integers(0, 3, (2, 2, 5, 7))
    truth, guess = (np.eye(3, dtype="float32")[x] for x in (labels, answers))

    expected = [
        1 - ((labels == c) & (answers == c)).sum() / ((labels == c) | (answers == c)).sum()
        for c in range(3)
    ]

    loss = float(lovasz_softmax_loss(truth, guess, np.ones((2, 5, 7, 1), "float32")))
    assert loss == pytest.approx(np.mean(expected), rel=1e-5)


def test_a_two_by_two_is_as_by_hand():
    """Errors 3, 2, 1, -1 of false, true, true, true: steps 1/4, 1/4 (0.25 to 0.5), 1/4, 1/4."""
    truth = np.array([0, 1, 1, 1], "float32").reshape(1, 2, 2, 1)
    logits = np.array([2, -1, 0, 2], "float32").reshape(1, 2, 2, 1)

    loss = float(lovasz_hinge_loss(truth, logits, np.ones_like(truth)))

    assert loss == pytest.approx(3 * 0.25 + 2 * 0.25 + 1 * 0.25)


def test_a_channel_that_holds_nothing_costs_its_largest_mistake():
    nothing = np.zeros((1, 2, 3, 1), "float32")
    logits = np.array([-3, -2, 4, 0, 1, -9], "float32").reshape(nothing.shape)
    ones = np.ones_like(nothing)

    assert float(lovasz_hinge_loss(nothing, logits, ones)) == 5
    assert float(lovasz_hinge_loss(nothing, nothing - 7, ones)) == 0


def test_ignored_pixels_might_as_well_not_be_there():
    rng = np.random.default_rng(7)
    truth, logits, ones = draw(rng, (1, 1, 9, 2))
    known = np.arange(9) % 3 != 1
    weights = ones * known[None, None, :, None]
    guess = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    for loss, answer in ((lovasz_hinge_loss, logits), (lovasz_softmax_loss, guess)):
        cut = [x[:, :, known] for x in (truth, answer, ones)]
        loud = np.where(weights == 0, np.float32(50), answer)

        value = float(loss(truth * weights, loud, weights))

        assert value == pytest.approx(float(loss(*cut)), rel=1e-6)
        assert float(loss(truth * 0, loud, weights * 0)) == 0


def test_per_image_is_the_mean_over_images_that_hold_a_known_pixel():
    truth, logits, ones = draw(np.random.default_rng(8), (3, 2, 5, 2))
    ones[2] = 0
    alone = [
        float(lovasz_hinge_loss(truth[i : i + 1], logits[i : i + 1], ones[:1])) for i in range(2)
    ]

    value = float(lovasz_hinge_loss(truth, logits, ones, per="image"))

    assert value == pytest.approx(np.mean(alone), rel=1e-5)
    assert value != pytest.approx(float(lovasz_hinge_loss(truth, logits, ones)), rel=1e-3)


def test_channels_share_the_mean_by_their_weights():
    truth, logits, ones = draw(np.random.default_rng(9))
    alone = [
        float(lovasz_hinge_loss(truth[..., c : c + 1], logits[..., c : c + 1], ones))
        for c in range(2)
    ]

    value = float(lovasz_hinge_loss(truth, logits, ones * np.array([1, 4], "float32")))

    assert value == pytest.approx(np.average(alone, weights=[1, 4]), rel=1e-5)


def test_a_small_region_on_a_large_tile_is_weighed_exactly():
    """Of 10^6 false positives each adds 1 / (10^6 + 1): too little for differences in float32."""
    truth = np.zeros((1, 1000, 1001, 1), "float32")
    truth[0, 0, 0] = 1
    logits = np.full_like(truth, 1)
    logits[0, 0, 0] = 9

    loss = float(lovasz_hinge_loss(truth, logits, np.ones_like(truth)))

    assert loss == pytest.approx(2 * (1 - 1 / truth.size), rel=1e-4)

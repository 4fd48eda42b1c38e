import numpy as np
import pytest

from cervseg.models.attention import Attention, attend, attention, mlp, residual, seeds

pytestmark = pytest.mark.usefixtures("started")


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def model_of(build, shape):
    """A model of whatever `build` makes of an input."""
    import keras

    x = keras.Input(shape)
    return keras.Model(x, build(x))


def test_attention_of_two_tokens_as_by_hand():
    """One channel: the token of value 1 asks 0 and 1, and takes them as 1 : e."""
    tokens = np.array([[[0.0], [1.0]]], "float32")

    found = np.asarray(attend(tokens, tokens, tokens, heads=1))

    np.testing.assert_allclose(found[0, :, 0], [0.5, np.e / (1 + np.e)], rtol=1e-6)


def test_scores_are_divided_by_the_root_of_a_heads_channels():
    queries, keys, values = (normal(1, 3, 8, seed=i) for i in range(3))

    found = np.asarray(attend(queries, keys, values, heads=2))

    for head in (slice(0, 4), slice(4, 8)):
        scores = np.exp(queries[0, :, head] @ keys[0, :, head].T / 2)
        expected = scores / scores.sum(axis=1, keepdims=True) @ values[0, :, head]
        np.testing.assert_allclose(found[0, :, head], expected, atol=1e-6)


def test_an_offset_of_a_score_moves_the_weight():
    tokens = np.array([[[0.0], [1.0]]], "float32")

    found = np.asarray(attend(tokens, tokens, tokens, heads=1, offset=np.float32([-1e9, 0.0])))

    np.testing.assert_array_equal(found, 1)


def test_a_head_does_not_see_the_channels_of_another():
    queries, keys, values = (normal(1, 5, 6, seed=i) for i in range(3))
    before = np.asarray(attend(queries, keys, values, heads=3))

    for changed in (queries, keys, values):
        changed[..., :2] += 1
    after = np.asarray(attend(queries, keys, values, heads=3))

    np.testing.assert_array_equal(after[..., 2:], before[..., 2:])
    assert np.abs(after[..., :2] - before[..., :2]).max() > 0.1


def test_every_pixel_of_a_map_asks_every_pixel_of_a_smaller_one():
    queries, memory = normal(2, 6, 4, 4), normal(2, 3, 2, 4, seed=1)
    layer = Attention(2, reduction=2)

    found = np.asarray(layer([queries, memory, memory]))

    flat = [x.reshape(2, -1, 4) for x in (queries, memory, memory)]
    np.testing.assert_allclose(
        found.reshape(2, -1, 4), np.asarray(attend(*flat, heads=2)), atol=1e-6
    )
    assert layer.get_config()["reduction"] == 2


def test_multiply_adds_are_counted_for_the_reduced_map():
    model = model_of(lambda x: Attention(2, reduction=4, name="a")([x, x, x]), (None, None, 6))

    assert model.get_layer("a").multiply_adds(8, 12) == 2 * (8 * 12) * (2 * 3) * 6


def test_keys_have_no_bias_since_a_softmax_would_cancel_it():
    model = model_of(lambda x: attention(x, Attention(2), name="a"), (4, 6, 4))

    biased = {layer.name: layer.use_bias for layer in model.layers if hasattr(layer, "use_bias")}

    assert biased == {"a_query": True, "a_key": False, "a_value": True, "a_project": True}


def test_the_memory_is_asked_and_the_input_asks():
    def build(x):
        import keras

        half = keras.layers.AveragePooling2D(2)(x)
        return attention(x, Attention(1, reduction=2), name="a", memory=half)

    model = model_of(build, (4, 6, 4))

    assert model.output.shape == (None, 4, 6, 4)
    assert model.get_layer("a_key").input.shape == (None, 2, 3, 4)
    assert model.get_layer("a_query").input.shape == (None, 4, 6, 4)


def test_an_mlp_widens_activates_and_narrows_each_pixel():
    model = model_of(
        lambda x: mlp(x, 5, name="m", draws=seeds(None), activation="relu"), (None, None, 3)
    )
    first, second = model.get_layer("m_expand"), model.get_layer("m_contract")
    x = normal(2, 3, 5, 3)

    found = np.asarray(model(x))

    hidden = np.maximum(x @ np.asarray(first.kernel), 0)
    np.testing.assert_allclose(found, hidden @ np.asarray(second.kernel), atol=1e-6)


def test_stochastic_depth_leaves_a_branch_out_for_whole_images():
    model = model_of(
        lambda x: residual(x, x, name="r", drop_path_rate=0.25, draws=seeds(3)), (None, None, 2)
    )
    x = np.ones((64, 3, 5, 2), "float32")

    found = np.asarray(model(x, training=True))

    image = found[:, 0, 0, 0]
    np.testing.assert_array_equal(found, np.broadcast_to(image[:, None, None, None], x.shape))
    assert set(np.round(image, 5)) == {1.0, np.float32(np.round(1 + 1 / 0.75, 5))}
    assert 0.05 < np.mean(image == 1) < 0.5
    np.testing.assert_array_equal(np.asarray(model(x, training=False)), 2 * x)


def test_stochastic_depth_of_one_seed_falls_alike_and_of_another_not():
    x = np.ones((32, 1, 1, 1), "float32")

    def trained(seed):
        branch = model_of(
            lambda x: residual(x, x, name="r", drop_path_rate=0.5, draws=seeds(seed)), (1, 1, 1)
        )
        return np.asarray(branch(x, training=True))

    np.testing.assert_array_equal(trained(1), trained(1))
    assert not np.array_equal(trained(1), trained(2))


def test_no_two_layers_share_a_seed():
    draws = seeds(5)

    assert [next(draws) for _ in range(3)] == [5, 6, 7]
    assert next(seeds(None)) is None

import numpy as np
import pytest

from cervseg.models.inspection import geometry
from cervseg.models.swin_unet import (
    BlockNormalization,
    WindowAttention,
    build,
    merge_patches,
    relative_positions,
)

pytestmark = pytest.mark.usefixtures("started")

SMALL = {"filter_num_begin": 4, "depth": 3, "num_heads": (1, 2, 4), "window_size": 3}


def made(**options):
    return build((None, None, 3), 1, **{**SMALL, **options})


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def windows_along(length, window, shift):
    """The window of each token of an axis, as the paper cuts it."""
    moved = (window - shift) % window if length > window else 0
    return (np.arange(length) + moved) // window


def influence(layer, height, width):
    """Whose output moves when one token changes: [changed, seen], tokens row by row."""
    tokens = normal(1, height, width, 4)
    batch = np.repeat(tokens, 1 + height * width, axis=0)
    for i, changed in enumerate(batch[1:]):
        changed[i // width, i % width] += 1
    queries = np.repeat(tokens, len(batch), axis=0)
    found = np.asarray(layer([queries, batch, batch]))
    moved = np.abs(found[1:] - found[:1]).max(axis=-1)
    return moved.reshape(height * width, height * width) > 1e-6


@pytest.mark.parametrize(("window", "shift"), [(3, 0), (3, 1), (4, 2), (2, 1)])
@pytest.mark.parametrize(("height", "width"), [(6, 9), (5, 7), (4, 8), (2, 7), (3, 3), (1, 1)])
def test_a_token_reaches_exactly_those_of_its_window(window, shift, *, height, width):
    """No wrapping around the edges, whatever is padded."""
    rows = windows_along(height, window, shift)
    columns = windows_along(width, window, shift)
    of = (rows[:, None] * 100 + columns[None, :]).ravel()

    found = influence(WindowAttention(2, window=window, shift=shift), height, width)

    np.testing.assert_array_equal(found, of[:, None] == of[None, :])


def test_padding_takes_no_weight():
    """Equal keys: a token answers with the mean of the real values of its window."""
    values = normal(1, 4, 5, 2)
    layer = WindowAttention(1, window=3)
    layer([values] * 3)
    layer.table.assign(np.zeros(layer.table.shape))

    found = np.asarray(layer([values, np.ones_like(values), values]))

    for rows in (slice(0, 3), slice(3, 4)):
        for columns in (slice(0, 3), slice(3, 5)):
            mean = values[:, rows, columns].mean(axis=(1, 2), keepdims=True)
            expected = np.broadcast_to(mean, found[:, rows, columns].shape)
            np.testing.assert_allclose(found[:, rows, columns], expected, atol=1e-6)


def cyclic(inputs, table, *, window, shift):
    """Shifted windows as Liu et al. compute them: roll, mask what was not beside, roll back."""
    _, height, width, channels = inputs[0].shape
    sides = (slice(0, -window), slice(-window, -shift), slice(-shift, None))
    regions = np.zeros((height, width))
    for i in range(9):
        regions[sides[i // 3], sides[i % 3]] = i
    rolled = [np.roll(x[0], (-shift, -shift), (0, 1)) for x in inputs]
    found = np.zeros((height, width, channels))
    for top in range(0, height, window):
        for left in range(0, width, window):
            inside = np.s_[top : top + window, left : left + window]
            region = regions[inside].ravel()
            queries, keys, values = (x[inside].reshape(-1, channels) for x in rolled)
            scores = queries @ keys.T / channels**0.5 + table[relative_positions(window), 0]
            weights = np.exp(np.where(region[:, None] == region[None, :], scores, -np.inf))
            answer = weights @ values / weights.sum(axis=1, keepdims=True)
            found[inside] = answer.reshape(window, window, channels)
    return np.roll(found, (shift, shift), (0, 1))


def test_shifted_windows_give_the_numbers_of_the_papers_cyclic_shift():
    inputs = [normal(1, 6, 9, 2, seed=i) for i in range(3)]
    layer = WindowAttention(1, window=3, shift=1)
    layer(inputs)
    layer.table.assign(normal(25, 1, seed=3))

    expected = cyclic(inputs, np.asarray(layer.table), window=3, shift=1)

    np.testing.assert_allclose(np.asarray(layer(inputs))[0], expected, atol=1e-5)


def test_relative_positions_of_a_window_of_two_by_hand():
    """Offsets (Δrow, Δcolumn) from (-1, -1) to (1, 1) are numbered row by row; (0, 0) is 4."""
    expected = [
        [4, 3, 1, 0],
        [5, 4, 2, 1],
        [7, 6, 4, 3],
        [8, 7, 5, 4],
    ]

    np.testing.assert_array_equal(relative_positions(2), expected)


def test_a_bias_draws_attention_to_a_neighbour():
    """The bias of Δrow 0, Δcolumn -1 is large: every token takes the value to its right."""
    values = normal(1, 3, 6, 1)
    layer = WindowAttention(1, window=3)
    layer([values] * 3)
    table = np.zeros((25, 1))
    table[2 * 5 + 1] = 100
    layer.table.assign(table)

    found = np.asarray(layer([values] * 3))[0, :, :, 0]

    for left in (0, 3):
        expected = values[0, :, left + 1 : left + 3, 0]
        np.testing.assert_allclose(found[:, left : left + 2], expected, atol=1e-6)


def test_an_image_does_not_depend_on_its_batch_mates():
    layer = WindowAttention(2, window=3, shift=1)
    x = normal(3, 5, 7, 4)

    together = np.asarray(layer([x, x, x]))

    for i in range(3):
        alone = np.asarray(layer([x[i : i + 1]] * 3))
        np.testing.assert_allclose(together[i : i + 1], alone, atol=1e-6)


def test_multiply_adds_count_the_padding():
    import keras

    x = keras.Input((None, None, 4))
    layer = WindowAttention(2, window=3, shift=1)
    layer([x, x, x])

    assert layer.multiply_adds(4, 8) == 2 * (6 * 12) * 9 * 4  # 2 before, none and 2 after
    assert layer.multiply_adds(2, 3) == 2 * (3 * 3) * 9 * 4  # one window, not moved


def test_a_block_is_normalised_as_one_pixel_of_four_times_the_channels():
    layer = BlockNormalization()
    x = normal(2, 4, 6, 3) * 5 + 2
    layer(x)
    gamma, beta = normal(2, 1, 2, 3, seed=1), normal(2, 1, 2, 3, seed=2)
    layer.gamma.assign(gamma)
    layer.beta.assign(beta)

    found = np.asarray(layer(x))

    block = x[1, 2:4, 4:6]
    expected = (block - block.mean()) / block.std() * gamma[:, 0] + beta[:, 0]
    np.testing.assert_allclose(found[1, 2:4, 4:6], expected, atol=1e-4)


def test_merging_halves_the_map_and_doubles_the_channels():
    import keras

    x = keras.Input((8, 12, 6))

    assert merge_patches(x, "m").shape == (None, 4, 6, 12)


def test_every_second_block_shifts_by_half_a_window():
    def shifts(**options):
        model = made(depth=2, num_heads=(1, 2), window_size=(7, 4), **options)
        return {
            layer.name: layer.shift for layer in model.layers if isinstance(layer, WindowAttention)
        }

    assert shifts(stack_num_down=3) == {
        "down0_block0_attention": 0, "down0_block1_attention": 3, "down0_block2_attention": 0,
        "bottleneck_block0_attention": 0, "bottleneck_block1_attention": 2,
        "bottleneck_block2_attention": 0,
        "up0_block0_attention": 0, "up0_block1_attention": 3,
    }  # fmt: skip
    assert set(shifts(shift_window=False).values()) == {0}


def test_channels_double_from_level_to_level_and_an_mlp_has_four_times_as_many():
    model = made()

    widths = [model.get_layer(f"{n}_block0_mlp_expand") for n in ("down0", "down1", "bottleneck")]
    assert [layer.units for layer in widths] == [16, 32, 64]
    assert [layer.input.shape[-1] for layer in widths] == [4, 8, 16]
    assert [made(num_mlp=5).get_layer(f"up{i}_block1_mlp_expand").units for i in (0, 1)] == [5, 5]


@pytest.mark.parametrize(
    ("options", "align"),
    [({}, 16), ({"patch_size": (2, 2)}, 8), ({"depth": 2, "num_heads": (1, 2)}, 8)],
)
def test_sizes_need_only_be_multiples_of_patch_and_depth(options, align):
    model = made(**options)

    assert geometry(model) == (align, None)
    found = np.asarray(model(normal(1, align, 3 * align, 3)))
    assert found.shape == (1, align, 3 * align, 1)


@pytest.mark.slow
def test_it_has_as_many_parameters_as_the_authors():
    model = build((None, None, 3), 9)

    parameters = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    assert parameters / 1e6 == pytest.approx(27.17, rel=0.001)


def test_stochastic_depth_grows_with_the_level_and_seeds_differ():
    model = made(drop_path_rate=0.4, dropout_seed=3)
    drops = {layer.name: layer for layer in model.layers if "drop" in layer.name}

    assert not [name for name in drops if "0_block" in name]
    assert drops["down1_block0_mlp_drop_path"].rate == pytest.approx(0.2)
    assert drops["up1_block1_attention_drop_path"].rate == pytest.approx(0.2)
    assert drops["bottleneck_block1_mlp_drop_path"].rate == pytest.approx(0.4)
    assert sorted(layer.seed for layer in drops.values()) == list(range(3, 3 + len(drops)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_heads": (1, 2)}, "depth is 3, but num_heads has 2 numbers and window_size 3"),
        ({"window_size": (3, 3)}, "depth is 3, but num_heads has 3 numbers and window_size 2"),
        ({"num_heads": (1, 3, 4)}, "level 1 has 8 channels, which 3 heads do not divide"),
        ({"patch_size": (4, 2)}, r"patch_size \[4, 2\] is not square"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        made(**options)

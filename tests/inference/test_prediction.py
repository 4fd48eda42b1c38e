import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cervseg.classes import Classes
from cervseg.config.inference import TiledInferConfig
from cervseg.contract import Contract
from cervseg.errors import ConfigError
from cervseg.images.image import whole
from cervseg.images.photo import Photo
from cervseg.images.views import Padded, Scaled
from cervseg.inference.answers import tiled_answers, whole_answers
from cervseg.inference.parts import BandList
from cervseg.inference.prediction import fill_parts, plan_tiles, predict_tiled, predict_whole
from cervseg.inference.probability import combine
from cervseg.reports import SILENT

CONTRACT = Contract(
    architecture="unet", options={}, classes=Classes.of({"cell": "#00ff00"}), activation="sigmoid",
    tile_size=64, align=8, receptive_field=22, margin=16,
)  # fmt: skip


def brightness(tiles):
    """A network that acts on each pixel alone."""
    return tiles[..., :1].astype("float32") / 255


def plan(contract=CONTRACT, **keys):
    return plan_tiles(contract, TiledInferConfig.model_validate(keys))


# --- the plan -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("margin", "keys", "expected"),
    [
        (16, {}, (64, 32, 16)),  # twice the margin
        (8, {}, (64, 16, 8)),
        (0, {}, (64, 0, 0)),
        (24, {}, (64, 32, 16)),  # at most half a tile
        (24, {"tile_size": 128}, (128, 48, 24)),
        (None, {}, (64, 16, 0)),  # sees the whole tile: a quarter
        (16, {"overlap": 10}, (64, 10, 5)),
        (16, {"overlap": 56}, (64, 56, 16)),
        (16, {"overlap": 0}, (64, 0, 0)),
        (None, {"overlap": 20}, (64, 20, 0)),
    ],
)
def test_tile_overlap_and_margin_are_chosen(margin, keys, expected):
    chosen = plan(replace(CONTRACT, margin=margin), **keys)

    assert (chosen.size, chosen.overlap, chosen.margin) == expected


@pytest.mark.parametrize(
    ("margin", "keys", "notices"),
    [
        (16, {}, ()),
        (0, {"overlap": 0}, ()),
        (None, {}, ("the model sees the whole tile: tiled and whole answers differ",)),
        (16, {"overlap": 10},
         ("overlap 10 is under twice the margin 16: a margin of 5 is used, and "
          "tiles may differ a little from the whole",)),
        (16, {"overlap": 0},
         ("overlap 0 is under twice the margin 16: a margin of 0 is used, and "
          "tiles may differ a little from the whole",)),
        (40, {},
         ("overlap 32 is under twice the margin 40: a margin of 16 is used, and "
          "tiles may differ a little from the whole",)),
    ],
)  # fmt: skip
def test_what_is_not_exact_is_told(margin, keys, notices):
    assert plan(replace(CONTRACT, margin=margin), **keys).notices == notices


@pytest.mark.parametrize(("size", "nearest"), [(100, 96), (109, 112), (17, 16)])
def test_a_tile_off_the_stride_is_refused_with_one_that_would_do(size, nearest):
    with pytest.raises(ConfigError) as caught:
        plan(tile_size=size)

    assert str(caught.value) == (
        f"'tiled_infer.tile_size' {size} is no multiple of the model's stride 8"
    )
    assert caught.value.hint == f"{nearest} would do"


@pytest.mark.parametrize("overlap", [57, 64, 1000])
def test_an_overlap_that_leaves_no_step_is_refused(overlap):
    with pytest.raises(ConfigError) as caught:
        plan(overlap=overlap)

    assert str(caught.value) == f"'tiled_infer.overlap' {overlap} leaves no step for tiles of 64"
    assert caught.value.hint == "at most 32 is useful"


@given(
    align=st.integers(1, 64),
    tiles=st.integers(1, 6),
    margin=st.none() | st.integers(0, 200),
    side=st.integers(1, 300),
)
def test_an_automatic_plan_always_gives_a_grid(*, align, tiles, margin, side):
    contract = replace(CONTRACT, tile_size=align * tiles, align=align, margin=margin)

    chosen = plan_tiles(contract)

    assert len(chosen.grid(Photo(np.zeros((side, 2 * side, 3), np.uint8)))) >= 1


def test_batch_and_scale_come_from_section_contract_and_caller():
    contract = replace(CONTRACT, scale=0.5, channels=3)

    assert plan(contract, batch_size=7).batch_size == 7
    assert plan_tiles(contract, batch_size=2).batch_size == 2
    assert (plan(contract).scale, plan(contract).channels, plan(contract).align) == (0.5, 3, 8)


# --- tiled --------------------------------------------------------------------------------------


@given(
    st.tuples(st.integers(1, 150), st.integers(1, 201)),
    st.sampled_from([1.0, 0.5, 0.3, 1.7]),
    st.sampled_from([(1.0, 1.0), (2.0, 3.0)]),
)
def test_the_answer_has_the_size_of_the_image_at_any_scale(size, scale, file_scale):
    image = Photo(np.full((*size, 3), 51, np.uint8))

    answer = predict_tiled(
        image, brightness, plan(replace(CONTRACT, scale=scale)), file_scale=file_scale
    )

    assert answer.shape == (*size, 1) and answer.dtype == np.float32
    np.testing.assert_allclose(answer, 0.2, atol=1e-6)


def test_at_unchanged_scale_a_pixelwise_answer_is_that_of_the_pixels(noise):
    answer = predict_tiled(noise(150, 201), brightness, plan())

    np.testing.assert_allclose(answer, brightness(noise(150, 201).pixels), atol=1e-6)


@pytest.mark.parametrize(
    ("height", "width", "tile"),
    [(20, 300, (32, 64)), (70, 33, (64, 48)), (1, 1, (16, 16)), (64, 64, (64, 64))],
)
def test_tiles_of_an_image_that_is_shorter_are_shorter_too(height, width, tile):
    """In quarters of a tile: few shapes, as an engine compiles each."""
    contract = replace(CONTRACT, tile_size=64, align=8, margin=8)
    view = Photo(np.zeros((height, width, 3), np.uint8))

    grid = plan(contract).grid(view)

    assert grid.tile == tile
    assert plan_tiles(contract, square=True).grid(view).tile == (64, 64)
    assert plan(replace(contract, margin=None)).grid(view).tile == (64, 64)


def test_an_answer_made_at_another_scale_lies_where_the_object_is():
    pixels = np.zeros((90, 130, 3), np.uint8)
    pixels[31:60, 77:101] = 255
    image = Photo(pixels)

    for scale in (0.5, 2.0):
        answer = predict_tiled(image, brightness, plan(replace(CONTRACT, scale=scale)))
        found = np.argwhere(answer[..., 0] >= 0.5)
        np.testing.assert_allclose(found.min(axis=0), (31, 77), atol=1)
        np.testing.assert_allclose(found.max(axis=0), (59, 100), atol=1)


def test_a_network_of_convolutions_answers_the_padded_image_as_a_whole(convolutions, noise):
    contract = replace(CONTRACT, tile_size=32, align=2, margin=convolutions.radius)
    image = noise(71, 93)

    tiled = predict_tiled(image, convolutions, plan(contract))

    padded = Padded(image, 72, 94)
    expected = convolutions(padded.read(whole(padded))[None])[0, :71, :93]
    np.testing.assert_allclose(tiled, expected, atol=1e-5)


# --- whole --------------------------------------------------------------------------------------


def watched(seen):
    def predict(tiles):
        seen.append(tiles[0].copy())
        return brightness(tiles)

    return predict


@pytest.mark.parametrize(
    ("size", "file_scale", "inner"),
    [((40, 80), (1, 1), (32, 64)), ((300, 100), (1, 1), (64, 21)), ((40, 30), (6, 8), (64, 64)),
     ((7, 5), (1, 1), (64, 46)), ((1, 90), (1, 1), (1, 64))],
)  # fmt: skip
def test_the_whole_image_keeps_its_shape_in_the_tile(noise, *, size, file_scale, inner):
    image, seen = noise(*size), []

    answer = predict_whole(image, watched(seen), CONTRACT, file_scale=file_scale)

    assert answer.shape == (*size, 1)
    (tile,) = seen
    assert tile.shape == (64, 64, 3)
    view = Scaled(image, *inner)
    np.testing.assert_array_equal(tile[: inner[0], : inner[1]], view.read(whole(view)))
    padded = Padded(view, 64, 64)
    np.testing.assert_array_equal(tile, padded.read(whole(padded)))


def test_a_stretched_image_fills_the_tile(noise):
    image, seen = noise(40, 80), []

    answer = predict_whole(image, watched(seen), CONTRACT, stretch=True)

    assert answer.shape == (40, 80, 1)
    view = Scaled(image, 64, 64)
    np.testing.assert_array_equal(seen[0], view.read(whole(view)))


def test_the_whole_answer_lies_where_the_object_is():
    pixels = np.zeros((90, 130, 3), np.uint8)
    pixels[31:60, 77:101] = 255

    for stretch in (False, True):
        answer = predict_whole(Photo(pixels), brightness, CONTRACT, stretch=stretch)
        found = np.argwhere(answer[..., 0] >= 0.5)
        np.testing.assert_allclose(found.min(axis=0), (31, 77), atol=1.5)
        np.testing.assert_allclose(found.max(axis=0), (59, 100), atol=1.5)


# --- answers ------------------------------------------------------------------------------------


class Bars:
    """Counts tiles."""

    def __init__(self):
        self.totals, self.steps = [], 0

    def bar(self, description, total):
        from contextlib import nullcontext

        self.totals.append((description, total))
        return nullcontext(self)

    def advance(self, steps=1, *, note=None):
        self.steps += steps


@pytest.mark.parametrize("how", ["tiled", "mean", "minimum"])
def test_an_answer_is_tiled_alone_or_joined_with_the_whole(noise, how):
    image, bars = noise(100, 150), Bars()
    config = TiledInferConfig(combine=how)

    answer = tiled_answers(CONTRACT, brightness, config, progress=bars)
    found = answer(image, (1.0, 1.0), "a")

    chosen = plan_tiles(CONTRACT, config)
    tiled = predict_tiled(image, brightness, chosen)
    fitted = predict_whole(image, brightness, CONTRACT)
    expected = tiled if how == "tiled" else combine(tiled, fitted, how)
    np.testing.assert_array_equal(found, expected)
    assert bars.totals == [("a", len(chosen.grid(image)))] and bars.steps == bars.totals[0][1]


def test_a_whole_answer_takes_the_scale_of_the_file(noise):
    image = noise(40, 30)

    for stretch in (False, True):
        answer = whole_answers(CONTRACT, brightness, stretch=stretch)
        np.testing.assert_array_equal(
            answer(image, (6, 8), "a"),
            predict_whole(image, brightness, CONTRACT, file_scale=(6, 8), stretch=stretch),
        )


def test_no_thread_goes_on_with_bands_that_can_not_be_kept(noise):
    class Full(BandList):
        def add(self, number, band):
            raise OSError("full")

    image, chosen = noise(200, 70), plan()
    view, threads = chosen.view(image), threading.active_count()

    with pytest.raises(OSError, match="full") as caught:
        fill_parts(Full(chosen.grid(view), 1), view, brightness, plan=chosen)

    assert caught.value.__traceback__ is not None  # which still holds all that was on its way
    assert threading.active_count() == threads


def test_silent_progress_will_do(noise):
    answer = tiled_answers(CONTRACT, brightness, TiledInferConfig(), progress=SILENT)

    assert answer(noise(5, 7), (1.0, 1.0), "a").shape == (5, 7, 1)

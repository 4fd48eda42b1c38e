"""Turned tiles, means and disagreement; no network is needed for their laws."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from cervseg.contract import Contract, find_model
from cervseg.engines import open_model
from cervseg.engines.wrappers import TURNS, mean, turned
from cervseg.errors import ConfigError

TILES = np.random.default_rng(0).integers(0, 256, (3, 24, 24, 3), np.uint8)
FLIPS, DIHEDRAL = TURNS["flips"], TURNS["dihedral"]


def slope(tiles):
    """Sees left and right, up and down: no turn leaves its answer alone."""
    x = tiles[..., :2].astype(np.float32) / 255
    x[:, 1:] = 0.7 * x[:, 1:] + 0.3 * x[:, :-1]
    x[:, :, 2:] = 0.6 * x[:, :, 2:] + 0.4 * x[:, :, :-2]
    return x


def constant(value):
    return lambda tiles: np.full((*tiles.shape[:3], 1), value, np.float32)


def augmented(name, **keywords):
    return mean([turned(slope, turn) for turn in TURNS[name]], **keywords)


@pytest.mark.parametrize("turn", DIHEDRAL, ids=str)
def test_a_turn_undone_is_nothing_also_where_tiles_are_not_square(turn):
    tiles = TILES[:, :10]

    np.testing.assert_array_equal(turn.undo(turn.apply(tiles)), tiles)


def test_there_are_four_flips_and_eight_turns_all_different():
    for turns, count in ((FLIPS, 4), (DIHEDRAL, 8)):
        assert len({turn.apply(TILES).tobytes() for turn in turns}) == count
    np.testing.assert_array_equal(FLIPS[0].apply(TILES), TILES)


@pytest.mark.parametrize("disagreement", [False, True])
@pytest.mark.parametrize("name", ["flips", "dihedral"])
def test_a_turned_tile_has_the_turned_answer(name, disagreement):
    predict = augmented(name, disagreement=disagreement)
    answer = predict(TILES)

    for turn in TURNS[name]:
        again = turn.undo(predict(turn.apply(TILES)))
        np.testing.assert_allclose(again, answer, atol=1e-6)
    assert np.abs(FLIPS[1].undo(slope(FLIPS[1].apply(TILES))) - slope(TILES)).max() > 0.1


def test_right_angles_are_no_flips():
    predict = augmented("flips")
    right_angle = DIHEDRAL[5]

    again = right_angle.undo(predict(right_angle.apply(TILES)))

    assert np.abs(again - predict(TILES)).max() > 0.01


def test_the_mean_is_over_predictors_pixel_by_pixel():
    def brightness(tiles):
        return tiles[..., :1].astype("float32") / 255

    answer = mean([brightness, constant(0.1), constant(0.7)])(TILES)

    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer, (TILES[..., :1] / 255 + 0.8) / 3, atol=1e-6)


def test_one_predictor_is_its_own_mean():
    assert mean([slope]) is slope


def test_disagreement_is_the_largest_standard_deviation_of_a_channel():
    predictors = [turned(slope, turn) for turn in DIHEDRAL]
    answers = np.stack([predict(TILES) for predict in predictors]).astype(np.float64)

    found = mean(predictors, disagreement=True)(TILES)

    assert (found.dtype, found.shape) == (np.float32, (3, 24, 24, 3))
    np.testing.assert_allclose(found[..., :2], answers.mean(0), atol=1e-6)
    np.testing.assert_allclose(found[..., 2], answers.std(0).max(-1), atol=1e-6)


@pytest.mark.parametrize(("values", "expected"), [((0.3, 0.3, 0.3), 0), ((0, 1), 0.5)])
def test_disagreement_is_nothing_where_all_agree_and_a_half_where_they_can_not(values, expected):
    found = mean([constant(value) for value in values], disagreement=True)(TILES)

    assert (found[..., 1] == np.float32(expected)).all()


def test_models_and_turns_go_together(models):
    found = open_model(
        [models["unet"], models["unet"]], augment="flips", disagreement=True, batch_size=2
    )
    tiles = np.random.default_rng(2).integers(0, 256, (3, 32, 32, 3), np.uint8)

    answer = found.predict(tiles)

    assert (found.passes, found.extra_channels, found.contract.channels) == (8, 1, 1)
    assert answer.shape == (3, 32, 32, 2)
    again = found.predict(tiles[:, ::-1])[:, ::-1]
    np.testing.assert_allclose(again, answer, atol=1e-6)
    assert 0 < answer[..., 1].max() <= 0.5


def test_a_model_is_turned_as_its_contract_says_unless_somebody_asks_otherwise(models, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(find_model(models["unet"]), folder)
    replace(Contract.load(folder), augment="flips").save(folder)
    tiles = np.random.default_rng(2).integers(0, 256, (1, 32, 32, 3), np.uint8)

    own, once = open_model([folder]), open_model([folder], augment="none")

    assert (own.passes, once.passes) == (4, 1)
    by_hand = open_model([models["unet"]], augment="flips").predict(tiles)
    np.testing.assert_array_equal(own.predict(tiles), by_hand)


def test_disagreement_of_one_answer_is_refused(models):
    with pytest.raises(ConfigError) as caught:
        open_model([models["unet"]], disagreement=True)

    assert str(caught.value) == "disagreement needs several answers to compare"
    assert caught.value.hint == "name several models, or set augment to flips or dihedral"

from typing import get_args

import pytest

from cervseg.config.loader import dump_config, load_config
from cervseg.config.losses import (
    FocalLoss,
    LossName,
    OverlapLoss,
    PlainLoss,
    TverskyLoss,
    loss_arguments,
)
from cervseg.errors import ConfigError

FORMS = {
    "dice": (OverlapLoss(name="dice"),),
    "{name: dice}": (OverlapLoss(name="dice"),),
    "[dice]": (OverlapLoss(name="dice"),),
    "{name: tversky, alpha: 0.2, beta: 1}": (TverskyLoss(name="tversky", alpha=0.2, beta=1.0),),
    "{name: iou, per: image, class_weights: [1, 2.5]}": (
        OverlapLoss(name="iou", per="image", class_weights=(1.0, 2.5)),
    ),
    "[{name: dice}, {name: focal, weight: 0.5}, ssim]": (
        OverlapLoss(name="dice"),
        FocalLoss(name="focal", weight=0.5),
        PlainLoss(name="ssim"),
    ),
}


def load(text, *overrides):
    return load_config(None, [f"train.loss={text}", *overrides]).config


def test_by_default_it_is_the_mean_of_cross_entropy_and_dice():
    assert load_config().config.train.loss == (OverlapLoss(name="bce_dice"),)


@pytest.mark.parametrize(("text", "expected"), FORMS.items())
def test_a_loss_is_a_name_or_a_mapping_or_a_list_of_them(text, expected):
    assert load(text).train.loss == expected


@pytest.mark.parametrize("text", FORMS)
def test_what_is_dumped_loads_back_equal(text, tmp_path):
    config = load(text)
    path = tmp_path / "dumped.yaml"
    path.write_text(dump_config(config))

    assert load_config(path).config == config


@pytest.mark.parametrize("name", get_args(LossName))
def test_every_name_is_a_loss_with_defaults(name):
    (term,) = load(name).train.loss

    assert (term.name, term.weight, term.class_weights) == (name, 1.0, None)


WRONG = {
    "{name: dise}": ("'train.loss.name' must be one of", "did you mean 'dice'?"),
    "[dice, {name: focl}]": ("'train.loss.1.name' must be one of", "did you mean 'focal'?"),
    "{name: dice, alpha: 0.5}": (
        "unknown key 'train.loss.alpha'",
        "only name 'focal' or 'tversky' or 'focal_tversky' has it",
    ),
    "{name: tversky, gamma: 2}": (
        "unknown key 'train.loss.gamma'",
        "only name 'focal' or 'focal_tversky' has it",
    ),
    "{name: tversky, alhpa: 2}": ("unknown key 'train.loss.alhpa'", "did you mean 'alpha'?"),
    "{weight: 2}": ("'train.loss.name' is missing", None),
    "[]": ("'train.loss' must have at least 1 entry, not 0", None),
    "{name: dice, weight: 0}": ("'train.loss.weight' must be above 0, not 0", None),
    "[dice, {name: focal, gamma: -1}]": ("'train.loss.1.gamma' must be at least 0, not -1", None),
    "{name: focal, alpha: 1.5}": ("'train.loss.alpha' must be at most 1, not 1.5", None),
    "{name: focal_tversky, gamma: 0.75}": ("'train.loss.gamma' must be at least 1, not 0.75", None),
    "{name: boundary, theta: 4}": (
        "'train.loss.theta': an odd side, so that the window has a centre",
        None,
    ),
    "{name: iou, per: pixel}": (
        "'train.loss.per' must be one of 'batch', 'image', not 'pixel'",
        None,
    ),
    "{name: dice, class_weights: [0, 0]}": (
        "'train.loss.class_weights': no class weighs anything",
        None,
    ),
    "{name: dice, class_weights: [1, -2]}": (
        "'train.loss.class_weights.1' must be at least 0, not -2",
        None,
    ),
}


@pytest.mark.parametrize(("text", "words"), WRONG.items())
def test_a_wrong_loss_is_told_in_these_words(text, words):
    with pytest.raises(ConfigError) as caught:
        load(text)

    message, hint = words
    assert str(caught.value).startswith(f"--set train.loss={text}: {message}")
    assert caught.value.hint == hint


def test_an_unknown_name_alone_is_told_with_what_was_meant():
    with pytest.raises(
        ConfigError, match="must be one of 'binary_crossentropy', .* not 'dise'"
    ) as e:
        load("dise")

    assert e.value.hint == "did you mean 'dice'?"


def test_arguments_are_told_apart_into_those_of_all_losses_and_its_own():
    losses = load("[{name: focal, weight: 2, class_weights: [1, 3]}, ssim]").train.loss

    assert loss_arguments(losses) == [
        {
            "name": "focal",
            "weight": 2.0,
            "class_weights": (1.0, 3.0),
            "params": {"gamma": 2.0, "alpha": None},
        },
        {"name": "ssim", "weight": 1.0, "class_weights": None, "params": {}},
    ]


@pytest.mark.parametrize("name", get_args(LossName))
def test_the_config_and_the_loss_have_the_same_parameters_and_defaults(name, started):
    from inspect import signature

    from cervseg.losses import EXCLUSIVE, LOSSES, Term

    (given,) = loss_arguments(load(name).train.loss)
    parts = (*LOSSES[name], *EXCLUSIVE.get(name, ()))
    defaults = {
        option: signature(part.kernel).parameters[option].default
        for part in parts
        for option in part.options
    }

    assert given["params"] == defaults
    assert Term(**given)[:3] == Term(name)[:3]

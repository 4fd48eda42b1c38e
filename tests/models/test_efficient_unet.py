import re
from functools import cache

import numpy as np
import pytest

from cervseg.models.efficient_unet import build
from cervseg.models.encoders import ENCODERS
from cervseg.models.inspection import geometry

pytestmark = pytest.mark.usefixtures("started")

FILTERS = (11, 9, 7, 5, 3)


@cache
def made(**options):
    return build((None, None, 3), 2, **{"decoder_filters": FILTERS, **options})


def test_each_level_of_the_decoder_sees_the_encoder_at_its_stride():
    """Tan & Le, 2019: B0's stages leave 96, 144, 240 and 672 channels, 1280 at the end."""
    model = made()

    given = {i: model.get_layer(f"up{i}_skip").input for i in (4, 3, 2, 1)}

    assert [x.shape[-1] for x, _ in given.values()] == [1280, *FILTERS[:3]]
    assert [skip.shape[-1] for _, skip in given.values()] == [672, 240, 144, 96]
    assert "up0_skip" not in [layer.name for layer in model.layers]


def test_the_decoder_has_two_convolutions_a_level_with_the_filters_asked_for():
    layers = [layer for layer in made().layers if re.fullmatch(r"up\d_conv\d", layer.name)]

    found = {layer.name: layer.filters for layer in layers}

    assert found == {f"up{4 - k}_conv{j}": n for k, n in enumerate(FILTERS) for j in (1, 2)}


def test_it_answers_at_full_size_on_multiples_of_32():
    model = made()

    assert geometry(model) == (32, None)  # squeeze and excitation see the whole tile
    assert model(np.zeros((1, 32, 96, 3), "float32")).shape == (1, 32, 96, 2)


@pytest.mark.slow
def test_freezing_the_encoder_leaves_the_decoder():
    model = made(freeze_encoder=True, normalization="none")

    names = {variable.path.split("/")[0] for variable in model.trainable_variables}

    assert names == {f"up{i}_conv{j}" for i in range(5) for j in (1, 2)} | {"logits"}


@pytest.mark.slow
def test_some_layers_and_the_norms_of_a_frozen_encoder_can_stay_trained():
    model = made(freeze_encoder=3, freeze_norms=False)

    names = {v.path.split("/")[0] for v in model.trainable_variables if "encoder_" in v.path}

    assert "encoder_top_conv" in names
    assert all(name.endswith("_bn") for name in names - {"encoder_top_conv"})


@pytest.mark.slow
@pytest.mark.parametrize("encoder", [n for n in ENCODERS if n.startswith("efficientnet_")])
def test_every_efficientnet_will_do(encoder):
    model = made.__wrapped__(encoder=encoder)

    assert model(np.zeros((1, 64, 32, 3), "float32")).shape == (1, 64, 32, 2)
    assert geometry(model).align == 32


def test_another_encoder_is_refused():
    with pytest.raises(ValueError, match="encoder 'resnet50' is no EfficientNet"):
        made(encoder="resnet50")


def test_the_decoder_has_five_levels():
    with pytest.raises(ValueError, match="decoder_filters has 4 numbers, not 5"):
        made(decoder_filters=(8, 8, 4, 4))

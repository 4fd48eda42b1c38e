import numpy as np
import pytest

from cervseg.config.augmentation import AugmentationConfig
from cervseg.data.draws import Draws
from cervseg.data.geometry import draw_geometry, margins
from cervseg.data.warp import build_warp

SIZE = (64, 101)


def farthest(config, *, draws):
    """How far beyond its sides any of many samples looks, above or below and beside."""
    above, beside = 0.0, 0.0
    for seed in range(draws):
        geometry = draw_geometry(config, Draws(config, np.random.default_rng(seed)), SIZE)
        warp = build_warp(SIZE, SIZE, geometry)
        columns, rows = warp[..., 0], warp[..., 1]
        above = max(above, -rows.min(), rows.max() - (SIZE[0] - 1))
        beside = max(beside, -columns.min(), columns.max() - (SIZE[1] - 1))
    return above, beside


@pytest.mark.parametrize("preset", ["none", "reference", "standard", "strong"])
def test_no_sample_looks_beyond_the_margins_of_its_preset(preset):
    config = AugmentationConfig(preset=preset)
    above, beside = margins(config, SIZE)

    found = farthest(config, draws=300)

    assert found[0] <= above and found[1] <= beside


@pytest.mark.parametrize(
    ("transform", "slack"),
    [
        ({"hflip": True, "vflip": True}, 3),
        ({"right_angles": 1.0}, 3),
        ({"rotation": 40.0}, 6),
        ({"rotation": (45.0, 10.0)}, 3),
        ({"scale": (0.5, 1.0)}, 5),
        ({"shear": 30.0}, 5),
        ({"translation": 20.0}, 4),
        ({"perspective": {"probability": 1.0, "range": 0.2}}, 8),
        ({"distortion": {"probability": 1.0, "strength": 0.1, "sigma": 20.0}}, 8),
        ({"elastic": {"probability": 1.0, "alpha": 200.0, "sigma": 8.0}}, 20),
        ({"pincushion": {"probability": 1.0, "radius": 1.0, "amount": 0.8}}, 20),
        ({"barrel": {"probability": 1.0, "radius": 1.0, "amount": 0.8}}, 3),
    ],
)
def test_margins_are_no_larger_than_a_transform_needs(transform, slack):
    config = AugmentationConfig.model_validate({"preset": "none", **transform})

    above, beside = margins(config, SIZE)
    found = farthest(config, draws=300)

    assert found[0] <= above <= found[0] + slack
    assert found[1] <= beside <= found[1] + slack


def test_what_is_off_needs_no_margin():
    config = AugmentationConfig(preset="none", blur=True)

    assert margins(config, SIZE) == (1, 1)

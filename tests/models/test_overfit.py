"""Every network learns four tiles by heart: what cannot do that is wired wrongly."""

import numpy as np
import pytest

from cervseg.losses import SegmentationLoss
from cervseg.models import ARCHITECTURES
from cervseg.models.folder import final_network, training_network

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("started")]

SIDE = 64

OPTIONS = {
    "unet": {"base_filters": 8, "num_layers": 4},
    "attention_unet": {"base_filters": 8, "num_layers": 4},
    "multires_unet": {"base_filters": 8, "num_layers": 4},
    "sharp_unet": {"base_filters": 8, "num_layers": 4},
    "unetplusplus": {"base_filters": 8, "num_layers": 4, "deep_supervision": True},
    "unet3plus": {"base_filters": 8, "num_layers": 4, "deep_supervision": True},
    "u2net": {"size": "small", "base_filters": 16, "num_layers": 4},
    "basnet": {"base_filters": 8, "num_layers": 3},
    "deeplabv3plus": {"encoder": "mobilenet_v3_small", "decoder_filters": 32},
    "efficient_unet": {"decoder_filters": [64, 32, 24, 16, 16]},
    "xception_unet": {"base_filters": 16, "filters": [32, 64]},
    "swin_unet": {
        "filter_num_begin": 24, "depth": 3, "num_heads": [2, 4, 8], "window_size": 4,
        "patch_size": [2, 2], "drop_path_rate": 0.0,
    },
    "trans_unet": {
        "filter_num": [8, 16, 32], "embed_dim": 48, "num_mlp": 96, "num_heads": 4,
        "num_transformer": 2, "dropout_rate": 0.0,
    },
    "segformer": {"drop_path_rate": 0.0, "dropout_rate": 0.0},
    "lite_unet": {"decoder_filters": [64, 32, 24, 16]},
}  # fmt: skip
"""Narrow, so that it takes seconds; all have the structure of the whole. Others: their defaults."""

MOST_STEPS = dict.fromkeys(ARCHITECTURES, 100) | {
    "deeplabv3plus": 200, "efficient_unet": 200, "segformer": 200, "swin_unet": 200,
}  # fmt: skip


def four_tiles():
    """Discs and bars, brighter than the noise around them and smaller than a tile."""
    rng = np.random.default_rng(4)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    masks = np.zeros((4, SIDE, SIDE), np.uint8)
    for mask in masks:
        for _ in range(2):
            top, left, radius = rng.uniform((10, 10, 7), (54, 54, 13))
            mask[(rows - top) ** 2 + (columns - left) ** 2 < radius**2] = 1
    masks[3, 20:44, 8:56] = 1
    noise = rng.integers(0, 100, (4, SIDE, SIDE, 3))
    return (noise + masks[..., None] * np.array([90, 60, 120])).astype("float32"), masks


def dice(true, predicted):
    return 2 * (true & predicted).sum() / (true.sum() + predicted.sum())


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_it_learns_four_tiles_within_so_many_steps(name):
    import keras

    keras.utils.set_random_seed(2)
    network = ARCHITECTURES[name]((None, None, 3), 1, **OPTIONS.get(name, {}))
    model, final = training_network(network), final_network(network)
    model.compile(keras.optimizers.Adam(3e-3), SegmentationLoss("bce_dice", "sigmoid", channels=1))
    tiles, masks = four_tiles()

    for step in range(1, MOST_STEPS[name] + 1):
        model.train_on_batch(tiles, masks)
        if step % 25 == 0:
            found = np.asarray(final(tiles, training=False))[..., 0] > 0
            score = dice(masks == 1, found)
            if score >= 0.9:
                break

    assert score >= 0.9

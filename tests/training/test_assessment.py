import numpy as np
import pytest

from cervseg.classes import Classes
from cervseg.contract import Contract, Preprocessing
from cervseg.images.photo import Photo

pytestmark = pytest.mark.usefixtures("started")

CONTRACT = Contract(
    architecture="unet", options={}, classes=Classes.of({"cell": "#00ff00"}), activation="sigmoid",
    tile_size=16,
)  # fmt: skip


def assess(contract, images, *, weights=(1, 0, 0), batch_size=2):
    """The values over images of a network that looks at each pixel alone: bright is a cell."""
    import keras

    from cervseg.training.assessment import Assessor

    inputs = keras.Input((None, None, contract.input_channels))
    model = keras.Model(inputs, keras.layers.Conv2D(1, 1)(inputs))
    kernel = np.array(weights, "float32").reshape(1, 1, -1, 1)
    model.set_weights([kernel, np.array([-128], "float32")])
    assessor = Assessor(
        model, contract, loss="binary_crossentropy", metrics=["dice", "sensitivity"],
        batch_size=batch_size,
    )  # fmt: skip
    for image, mask in images:
        assessor.add(Photo(image), mask, (1.0, 1.0))
    return assessor.values


def noise(height, width):
    rng = np.random.default_rng((height, width))
    return (
        rng.integers(0, 256, (height, width, 3), np.uint8),
        rng.choice(np.array([0, 1, 255], np.uint8), (height, width)),
    )


def expected(images, channel=0):
    """Counted on the images themselves, whatever the tiles."""
    found = np.concatenate([(i[..., channel] > 128)[m < 255] for i, m in images])
    true = np.concatenate([m[m < 255] == 1 for _, m in images])
    both = (found & true).sum()
    return {"dice": 2 * both / (found.sum() + true.sum()), "sensitivity": both / true.sum()}


def test_metrics_are_those_of_all_pixels_padding_left_out():
    images = [noise(32, 48), noise(11, 16), noise(16, 5)]

    values = assess(CONTRACT, images)

    assert set(values) == {"loss", "dice", "sensitivity"}
    for name, value in expected(images).items():
        assert values[name] == pytest.approx(value, rel=1e-6)


def test_the_loss_is_the_mean_over_all_tiles():
    images = [noise(32, 48), noise(16, 32)]

    together = assess(CONTRACT, images, batch_size=3)["loss"]

    tiles = [
        (image[top : top + 16, left : left + 16], mask[top : top + 16, left : left + 16])
        for image, mask in images
        for top in range(0, image.shape[0], 16)
        for left in range(0, image.shape[1], 16)
    ]
    alone = [assess(CONTRACT, [tile])["loss"] for tile in tiles]
    assert together == pytest.approx(np.mean(alone), rel=1e-2)  # ignored pixels differ a little


def test_pixels_go_in_as_the_contract_says():
    images = [noise(32, 32)]
    blue = Contract(**{**CONTRACT.__dict__, "color_order": "BGR"})
    grey = Contract(**{**CONTRACT.__dict__, "input_channels": 1, "preprocess": Preprocessing()})

    values = assess(blue, images)
    grey_values = assess(grey, images, weights=(1,))

    for name, value in expected(images, channel=2).items():
        assert values[name] == pytest.approx(value, rel=1e-6)
    luma = [((i @ [0.299, 0.587, 0.114]).round().astype(np.uint8)[..., None], m) for i, m in images]
    assert grey_values["dice"] == pytest.approx(expected(luma)["dice"], rel=1e-2)

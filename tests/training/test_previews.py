import numpy as np
import pytest
from PIL import Image as Pillow

from cervseg.classes import Classes
from cervseg.config.training import Previews
from cervseg.contract import Contract
from cervseg.errors import DataError
from cervseg.images.photo import Photo
from cervseg.runs import Run

pytestmark = pytest.mark.usefixtures("started")


def chosen(dataset, **keys):
    from cervseg.training.previews import preview_images

    return preview_images(Previews.model_validate(keys), dataset)


def test_validation_images_are_shown_with_their_truth(dataset):
    shown = chosen(dataset, num_infer_images=2)

    assert [image.truth.shape for image in shown] == [(32, 32)] * 2
    assert shown[0].truth.any()


def test_without_validation_training_images_are_shown_and_never_those_of_the_test(make_dataset):
    data = make_dataset(train=2, valid=0)
    assert len(chosen(data, num_infer_images=9)) == 2

    from dataclasses import replace

    test = replace(data, sources=tuple(row._replace(split="test") for row in data.sources))
    assert chosen(test, num_infer_images=9) == []


def test_no_previews_are_none(dataset):
    assert chosen(dataset, num_infer_images=0) == []


def test_a_folder_is_shown_sorted_and_without_truth(dataset, tmp_path):
    for name, width in (("b.png", 7), ("a.jpg", 5), ("c.png", 9)):
        Pillow.new("RGB", (width, 4)).save(tmp_path / name)

    shown = chosen(dataset, num_infer_images=2, images=str(tmp_path))

    assert [(image.image.width, image.truth) for image in shown] == [(5, None), (7, None)]


def test_a_folder_that_is_missing_or_broken_is_refused(dataset, tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        chosen(dataset, images=str(tmp_path / "none"))

    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="not an image of a known kind"):
        chosen(dataset, images=str(tmp_path))


def test_a_picture_an_epoch_is_drawn_with_the_weights_of_the_moment(dataset, tmp_path):
    import keras

    from cervseg.training.previews import PreviewPainter, Shown

    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(1, 1, kernel_initializer="zeros")(inputs))
    contract = Contract(
        architecture="unet", options={}, classes=dataset.classes, activation="sigmoid",
        tile_size=32, margin=0,
    )  # fmt: skip
    image = Photo(np.full((40, 60, 3), 100, np.uint8))
    truth = np.zeros((40, 60), np.uint8)
    run = Run(tmp_path)
    shown = [Shown(image, truth), Shown(image, None)]
    painter = PreviewPainter(run, model, contract, images=shown)

    for epoch, bias in ((1, -5.0), (2, 5.0)):
        model.layers[-1].bias.assign([bias])
        painter(epoch)

    greens = []
    for epoch in (1, 2):
        with Pillow.open(run.preview(epoch)) as file:
            picture = np.asarray(file)
        greens.append(int(((picture == [75, 139, 75]).all(axis=-1)).sum()))
    assert greens[0] == 0 < greens[1], "nothing is found at first, then everything"


@pytest.mark.parametrize("names", [("cell",), ("cell", "nucleus")])
def test_a_preview_of_several_classes_has_a_legend_below(dataset, tmp_path, names):
    import keras

    from cervseg.training.previews import PreviewPainter, Shown

    classes = Classes(names, ((0, 255, 0), (255, 0, 0))[: len(names)])
    channels = 1 if classes.is_binary else 3
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(channels, 1)(inputs))
    contract = Contract(
        architecture="unet", options={}, classes=classes, channels=channels, tile_size=32, margin=0,
        activation="sigmoid" if classes.is_binary else "softmax",
    )  # fmt: skip
    shown = [Shown(Photo(np.full((40, 60, 3), 100, np.uint8)), None)]

    PreviewPainter(Run(tmp_path), model, contract, images=shown)(1)

    with Pillow.open(Run(tmp_path).preview(1)) as file:
        below = np.asarray(file)[24 + 40 + 6 :]
    if classes.is_binary:
        assert not below.size
    else:
        assert all((below == colour).all(axis=-1).any() for colour in classes.colours)

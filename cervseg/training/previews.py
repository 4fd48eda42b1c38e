"""The picture after an epoch: image, truth where known, whole, tiled."""

from collections.abc import Sequence
from typing import NamedTuple

from cervseg.arrays import RGB, Mask, Tensor
from cervseg.classes import Classes
from cervseg.config.training import Previews
from cervseg.contract import Contract
from cervseg.data.labelled import Labelled, labelled_sources, read_labelled
from cervseg.data.manifest import Dataset
from cervseg.engines.keras import KerasPredictor
from cervseg.images.image import Image, find_images, whole
from cervseg.images.legend import add_legend
from cervseg.images.overlays import draw_overlay, write_picture
from cervseg.images.readers import open_image
from cervseg.images.sheets import contact_sheet
from cervseg.inference.decision import Decision
from cervseg.inference.prediction import plan_tiles, predict_tiled, predict_whole
from cervseg.runs import Run


class Shown(NamedTuple):
    """An image of a preview."""

    image: Image
    truth: Mask | None
    scale: tuple[float, float] = (1.0, 1.0)


def preview_images(config: Previews, dataset: Dataset) -> list[Shown]:
    """Open the images to show: named ones, or of validation; never of the test.

    Raises:
        DataError: The named folder is missing, or an image of it is broken.
    """
    count = config.num_infer_images
    if not count:
        return []
    if config.images is not None:
        return [Shown(open_image(path), None) for path in find_images(config.images)[:count]]
    rows = dataset.sources_of("valid") or dataset.sources_of("train")
    return [_labelled(item, dataset.classes) for item in labelled_sources(dataset, rows[:count])]


def _labelled(item: Labelled, classes: Classes) -> Shown:
    image, mask, *_ = read_labelled(item, classes)
    return Shown(image, mask, item.scale)


class PreviewPainter:
    """Draws the preview of an epoch with the weights of the moment.

    Args:
        run: Where to write.
        model: In training.
        contract: As far as it is known.
        images: To show.
    """

    def __init__(
        self, run: Run, model: Tensor, contract: Contract, *, images: Sequence[Shown]
    ) -> None:
        self.run = run
        self.contract = contract
        self.images = images
        self.predict = KerasPredictor(model, contract)
        self.plan = plan_tiles(contract)
        self.decide = Decision(contract.activation, contract.threshold).apply

    def __call__(self, epoch: int) -> None:
        """Write the picture of an epoch."""
        rows = [self._row(shown) for shown in self.images]
        sheet = contact_sheet(rows, captions=("image", "truth", "whole", "tiled"), side=384)
        write_picture(self.run.preview(epoch), add_legend(sheet, self.contract.classes))

    def _row(self, shown: Shown) -> list[RGB | None]:
        image, classes = shown.image, self.contract.classes
        pixels = image.read(whole(image))
        tiled = predict_tiled(image, self.predict, self.plan, file_scale=shown.scale)
        fitted = predict_whole(image, self.predict, self.contract, file_scale=shown.scale)
        truth = None if shown.truth is None else draw_overlay(pixels, shown.truth, classes)
        answers = [draw_overlay(pixels, self.decide(p), classes) for p in (fitted, tiled)]
        return [pixels, truth, *answers]

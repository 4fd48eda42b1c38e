"""Loss and training metrics of a finished model."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cervseg.arrays import Mask, Tensor
from cervseg.contract import Contract
from cervseg.data.tiling import Tiling, cut_tiles
from cervseg.images.image import Image
from cervseg.images.preprocess import prepare
from cervseg.losses import SegmentationLoss, Term
from cervseg.metrics import make_metrics
from cervseg.runtime import compiled


class Assessor:
    """Adds up loss and metrics over the tiles of image after image.

    Args:
        model: With its weights.
        contract: Of the model.
        loss: Its terms.
        metrics: Names in `METRICS`.
        batch_size: Tiles at once.
    """

    def __init__(
        self,
        model: Tensor,
        contract: Contract,
        *,
        loss: Sequence[Term],
        metrics: Sequence[str],
        batch_size: int,
    ) -> None:
        self.contract = contract
        self.batch_size = batch_size
        self.values: dict[str, float] = {}
        self._logits = compiled(model, lambda logits: logits)
        self._loss = SegmentationLoss(loss, contract.activation, channels=contract.channels)
        self._metrics = make_metrics(metrics, contract.classes.names, contract.activation)
        self._total, self._tiles = 0.0, 0

    def add(self, image: Image, mask: Mask, scale: tuple[float, float]) -> None:
        """Add the tiles of an image; each pixel counts once, padding not at all."""
        contract = self.contract
        tiling = Tiling(contract.tile_size, 0, (contract.scale,), once=True)
        tiles = list(cut_tiles(image, mask, tiling, file_scale=scale))
        for i in range(0, len(tiles), self.batch_size):
            batch = tiles[i : i + self.batch_size]
            pixels = np.stack(
                [
                    prepare(tile.image, contract.preprocess, channels=contract.input_channels)
                    for tile in batch
                ]
            )
            if contract.color_order == "BGR":
                pixels = pixels[..., ::-1]
            self._count(pixels, np.stack([tile.mask for tile in batch]))

    def _count(self, pixels: NDArray[np.uint8], masks: Mask) -> None:
        """Add a batch; Keras's `test_on_batch` would forget the batches before."""
        logits = self._logits(pixels)
        self._total += len(masks) * float(self._loss(masks, logits))
        self._tiles += len(masks)
        self.values["loss"] = self._total / self._tiles
        for metric in self._metrics:
            metric.update_state(masks, logits)
            self.values[metric.name] = float(metric.result())

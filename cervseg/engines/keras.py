"""Predict with Keras, compiled."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cervseg.arrays import RGB, Probabilities, Tensor
from cervseg.contract import Contract
from cervseg.errors import BudgetError
from cervseg.images.preprocess import prepare
from cervseg.models.folder import load_model
from cervseg.runtime import compiled, is_out_of_memory, out_of_memory_errors


class KerasPredictor:
    """Answers tiles with a Keras model, in the batches that it is given.

    Args:
        model: Ends in logits.
        contract: How pixels go in, and what the logits mean.
    """

    def __init__(self, model: Tensor, contract: Contract) -> None:
        self._contract = contract
        self._forward = compiled(model, self._finish)

    def __call__(self, tiles: RGB) -> Probabilities:
        """Predict tiles (n, size, size, 3) as (n, size, size, channels)."""
        try:
            return self._forward(self._prepare(tiles))
        except out_of_memory_errors() as exc:
            if not is_out_of_memory(exc):
                raise
            raise BudgetError(
                f"out of memory with {len(tiles)} tiles of {tiles.shape[1]} x {tiles.shape[2]}",
                hint="a smaller tiled_infer.batch_size or tile_size needs less",
            ) from exc

    def _prepare(self, tiles: RGB) -> NDArray[np.uint8]:
        settings, channels = self._contract.preprocess, self._contract.input_channels
        ready = np.stack([prepare(tile, settings, channels=channels) for tile in tiles])
        return ready[..., ::-1] if self._contract.color_order == "BGR" else ready

    def _finish(self, logits: Tensor) -> Tensor:
        from keras import ops

        logits = ops.cast(logits, "float32") / self._contract.temperature
        if self._contract.activation == "sigmoid":
            return ops.sigmoid(logits)
        return ops.softmax(logits, axis=-1)


def open_keras(folder: Path, contract: Contract) -> KerasPredictor:
    """Build the network of a model folder and fill in its weights."""
    return KerasPredictor(load_model(folder, contract), contract)

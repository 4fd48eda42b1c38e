"""Predict with Keras, compiled."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cervseg import runtime
from cervseg.arrays import RGB, Probabilities, Tensor
from cervseg.contract import Contract
from cervseg.engines.settings import EngineSettings, refuse_bfloat16
from cervseg.engines.tiles import equal_batches, out_of_memory, prepare_tiles
from cervseg.runtime import compiled, is_out_of_memory, out_of_memory_errors


class KerasPredictor:
    """Answers tiles with a Keras model, in the batches that it is given.

    Args:
        model: Ends in logits.
        contract: How pixels go in, and what the logits mean.
        batch_size: Tiles computed at once; None: as they come.
    """

    def __init__(self, model: Tensor, contract: Contract, *, batch_size: int | None = None) -> None:
        self._contract, self._batch_size = contract, batch_size
        self._forward = compiled(model, self._finish)

    def __call__(self, tiles: RGB) -> Probabilities:
        """Predict tiles (n, size, size, 3) as (n, size, size, channels)."""
        try:
            batches = equal_batches(self._prepare(tiles), self._batch_size)
            answers = [self._forward(batch) for batch in batches]
        except out_of_memory_errors() as exc:
            if not is_out_of_memory(exc):
                raise
            raise out_of_memory(tiles) from exc
        return (answers[0] if len(answers) == 1 else np.concatenate(answers))[: len(tiles)]

    def _prepare(self, tiles: RGB) -> NDArray[np.uint8]:
        return prepare_tiles(tiles, self._contract)

    def _finish(self, logits: Tensor) -> Tensor:
        from keras import ops

        logits = ops.cast(logits, "float32") / self._contract.temperature
        if self._contract.activation == "sigmoid":
            return ops.sigmoid(logits)
        return ops.softmax(logits, axis=-1)


def open_keras(folder: Path, contract: Contract, settings: EngineSettings) -> KerasPredictor:
    """Build the network of a model folder and fill in its weights.

    Raises:
        ConfigError: bfloat16 is asked for, and neither processor nor GPU has it.
        ModelError: The weights are missing, broken, or of another network.
    """
    from cervseg.models.folder import load_model
    from cervseg.models.folding import fold_normalizations

    if settings.precision == "bfloat16" and runtime.on_cpu():
        refuse_bfloat16()
    with runtime.precision(settings.precision):
        model = fold_normalizations(load_model(folder, contract))
    return KerasPredictor(model, contract, batch_size=settings.batch_size)

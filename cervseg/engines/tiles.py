"""From tiles to what a network takes, and from its logits to probabilities: all engines alike."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from cervseg.arrays import RGB, Probabilities
from cervseg.contract import Contract, Preprocessing
from cervseg.errors import BudgetError
from cervseg.images.preprocess import prepare

Forward = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""From prepared tiles to logits, for one shape; its answer may be overwritten by the next call."""

Shape = tuple[int, int, int, int]

KEPT = 4
"""Shapes an engine keeps ready: tiles, also of smaller images, and windows that check them."""


def prepare_tiles(tiles: RGB, contract: Contract) -> NDArray[np.uint8]:
    """Preprocess tiles (n, height, width, 3) for the network; no copy where nothing changes.

    Returns:
        Shape (n, height, width, input channels), in memory in that order.
    """
    settings, channels = contract.preprocess, contract.input_channels
    if settings != Preprocessing() or channels != 3:
        tiles = np.stack([prepare(tile, settings, channels=channels) for tile in tiles])
    return np.ascontiguousarray(tiles[..., ::-1] if contract.color_order == "BGR" else tiles)


def finish_logits(logits: NDArray[np.float32], contract: Contract) -> Probabilities:
    """Apply temperature and activation to logits (…, channels); always a new array."""
    if contract.activation == "sigmoid":
        x = logits * np.float32(-1 / contract.temperature)
        with np.errstate(over="ignore"):  # exp(89) is infinite, and 1 / infinity the 0 it should be
            np.exp(x, out=x)
        x += 1
        return np.asarray(np.reciprocal(x, out=x), np.float32)
    x = logits * np.float32(1 / contract.temperature)
    channels = range(x.shape[-1])  # few: one by one is faster than along the last axis
    highest, total = x[..., 0].copy(), np.zeros(x.shape[:-1], np.float32)
    for channel in channels:
        np.maximum(highest, x[..., channel], out=highest)
    x -= highest[..., None]
    np.exp(x, out=x)
    for channel in channels:
        total += x[..., channel]
    x /= total[..., None]
    return np.asarray(x, np.float32)


def equal_batches(tiles: NDArray[np.uint8], size: int | None) -> Iterator[NDArray[np.uint8]]:
    """Cut tiles into batches of one size; the last is filled by repeating its last tile."""
    if size is None or len(tiles) == size:
        yield tiles
        return
    for first in range(0, len(tiles), size):
        batch = tiles[first : first + size]
        missing = size - len(batch)
        yield np.concatenate([batch, np.repeat(batch[-1:], missing, 0)]) if missing else batch


def out_of_memory(tiles: RGB) -> BudgetError:
    """What to say when these tiles were too much."""
    count, height, width = tiles.shape[:3]
    return BudgetError(
        f"out of memory with {count} tiles of {height} x {width}",
        hint="a smaller tiled_infer.batch_size or tile_size needs less",
    )


class GraphPredictor:
    """Answers tiles with a converted graph, compiled for each shape of a batch that comes.

    Args:
        contract: How pixels go in, and what the logits mean.
        compile_for: From the shape of a batch to the function that computes its logits.
        batch_size: See `EngineSettings`.
    """

    def __init__(
        self,
        contract: Contract,
        compile_for: Callable[[Shape], Forward],
        *,
        batch_size: int | None = None,
    ) -> None:
        self._contract, self._compile_for = contract, compile_for
        self._batch_size = batch_size
        self._ready: dict[Shape, Forward] = {}

    def __call__(self, tiles: RGB) -> Probabilities:
        """Predict tiles (n, height, width, 3) as (n, height, width, channels)."""
        try:
            batches = equal_batches(prepare_tiles(tiles, self._contract), self._batch_size)
            answers = [
                finish_logits(self.forward_for(batch.shape)(batch), self._contract)
                for batch in batches
            ]
        except (MemoryError, RuntimeError) as exc:
            if isinstance(exc, RuntimeError) and "alloc" not in str(exc).lower():
                raise
            raise out_of_memory(tiles) from exc
        return (
            answers[0][: len(tiles)] if len(answers) == 1 else np.concatenate(answers)[: len(tiles)]
        )

    def forward_for(self, shape: tuple[int, ...]) -> Forward:
        """The graph for batches of a shape; compiled now if it is new."""
        count, height, width, channels = shape
        key = (count, height, width, channels)
        if key not in self._ready:
            while len(self._ready) >= KEPT:
                self._ready.pop(next(iter(self._ready)))
            self._ready[key] = self._compile_for(key)
        return self._ready[key]

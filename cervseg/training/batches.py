"""Batches for Keras, each a pure function of seed, epoch and step."""

import time
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from cervseg.classes import IGNORE, Classes
from cervseg.contract import Preprocessing
from cervseg.data.labelled import Labelled
from cervseg.data.samples import Sample, Samples, read_tile
from cervseg.images.preprocess import prepare
from cervseg.processes import ALONE, Team

Batch = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Network input (n, size, size, channels) and class indices (n, size, size)."""


class Batches(keras.utils.PyDataset):
    """Stacks samples into batches.

    Keras calls `__getitem__` from several threads, in any order, and some items twice; an
    exception raised there loses its type on the way, so the first one is kept in `failure`.

    Args:
        preprocessing: The last step before the network.
        channels: 3, or 1 for grey.
        batch_size: The last batch may be smaller.
        workers: Threads.
        team: With which processes a batch is shared; each makes its part.
    """

    def __init__(
        self,
        preprocessing: Preprocessing,
        *,
        channels: int,
        batch_size: int,
        workers: int,
        team: Team = ALONE,
    ) -> None:
        super().__init__(workers=workers, use_multiprocessing=False, max_queue_size=2 * workers + 2)
        self.preprocessing = preprocessing
        self.channels = channels
        self.batch_size = batch_size
        self.team = team
        self.failure: BaseException | None = None

    def __getitem__(self, step: int) -> Batch:
        """Make one batch."""
        try:
            images, masks = zip(*self.make(step), strict=True)
            ready = [prepare(image, self.preprocessing, channels=self.channels) for image in images]
        except BaseException as exc:
            self.failure = self.failure or exc
            raise
        return np.stack(ready), np.stack(masks)

    def make(self, step: int) -> list[Sample]:
        """The samples of a batch."""
        raise NotImplementedError


class TileBatches(Batches):
    """Reads tiles and stacks them as they are: the validation data.

    Args:
        tiles: In order.
        classes: For reading masks.
        preprocessing: As the other arguments: see `Batches`.
        channels: Likewise.
        batch_size: Likewise.
        workers: Likewise.
        team: Likewise.
        devices: To whose multiple the last batch is filled up, with tiles that count nowhere.
    """

    def __init__(
        self,
        tiles: Sequence[Labelled],
        classes: Classes,
        preprocessing: Preprocessing,
        *,
        channels: int,
        batch_size: int,
        workers: int,
        team: Team = ALONE,
        devices: int = 1,
    ) -> None:
        super().__init__(
            preprocessing, channels=channels, batch_size=batch_size, workers=workers, team=team
        )
        self.tiles = tiles
        self.classes = classes
        self.devices = devices
        self._known: set[Path] = set()

    def __len__(self) -> int:
        return -(-len(self.tiles) // self.batch_size)

    def make(self, step: int) -> list[Sample]:
        """The samples of a batch, or this process's share of it: consecutive tiles."""
        tiles = self.tiles[step * self.batch_size :][: self.batch_size]
        filled = -(-len(tiles) // self.devices) * self.devices
        share = range(filled)[self.team.share(filled)]
        chosen = [tiles[min(place, len(tiles) - 1)] for place in share]
        samples = [read_tile(tile, self.classes, self._known) for tile in chosen]
        return [
            (image, mask if place < len(tiles) else np.full_like(mask, IGNORE))
            for place, (image, mask) in zip(share, samples, strict=True)
        ]


class TrainingBatches(Batches):
    """Stacks drawn and varied samples.

    `epoch` is set from a callback, since Keras starts its threads before it tells the dataset
    of a new epoch (keras-team/keras#23283).

    Args:
        samples: Of tiles or of whole fields.
        preprocessing: As the other arguments: see `Batches`.
        channels: Likewise.
        workers: Likewise.
        team: Likewise.
    """

    def __init__(
        self,
        samples: Samples,
        preprocessing: Preprocessing,
        *,
        channels: int,
        workers: int,
        team: Team = ALONE,
    ) -> None:
        super().__init__(
            preprocessing,
            channels=channels,
            batch_size=samples.batch_size,
            workers=workers,
            team=team,
        )
        self.samples = samples
        self.epoch = 0
        self.ready: dict[tuple[int, int], float] = {}  # when a batch was finished, by epoch, step

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, step: int) -> Batch:
        """Make one batch and note when it was finished."""
        epoch = self.epoch
        batch = super().__getitem__(step)
        self.ready.setdefault((epoch, step), time.perf_counter())
        return batch

    def make(self, step: int) -> list[Sample]:
        """The samples of a batch, or this process's share of it: drawn and varied."""
        share = self.team.share(self.batch_size)
        return self.samples.batch(self.epoch, step, share=share)

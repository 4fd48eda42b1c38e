"""Batches for Keras, each a pure function of seed, epoch and step."""

import time
from collections.abc import Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from cervseg.arrays import Mask
from cervseg.classes import Classes
from cervseg.config.augmentation import AugmentationConfig
from cervseg.contract import Preprocessing
from cervseg.data.augmentation import augment
from cervseg.data.labelled import Labelled, read_labelled
from cervseg.data.sampling import TileSampler, sample_rng
from cervseg.images.image import whole
from cervseg.images.preprocess import prepare

Batch = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Network input (n, size, size, channels) and class indices (n, size, size)."""


class TileBatches(keras.utils.PyDataset):
    """Reads tiles and stacks them as they are: the validation data.

    Keras calls `__getitem__` from several threads, in any order, and some items twice; an
    exception raised there loses its type on the way, so the first one is kept in `failure`.

    Args:
        tiles: In order.
        classes: For reading masks.
        preprocessing: The last step before the network.
        channels: 3, or 1 for grey.
        batch_size: The last batch may be smaller.
        workers: Threads.
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
    ) -> None:
        super().__init__(workers=workers, use_multiprocessing=False, max_queue_size=2 * workers + 2)
        self.tiles = tiles
        self.classes = classes
        self.preprocessing = preprocessing
        self.channels = channels
        self.batch_size = batch_size
        self.failure: BaseException | None = None

    def __len__(self) -> int:
        return -(-len(self.tiles) // self.batch_size)

    def __getitem__(self, step: int) -> Batch:
        """Make one batch."""
        try:
            pairs = self.make(step)
        except BaseException as exc:
            self.failure = self.failure or exc
            raise
        images, masks = zip(*pairs, strict=True)
        return np.stack(images), np.stack(masks)

    def make(self, step: int) -> list[tuple[NDArray[np.uint8], Mask]]:
        """The samples of a batch: consecutive tiles."""
        first = step * self.batch_size
        return [self.finish(*self.read(tile)) for tile in self.tiles[first:][: self.batch_size]]

    def read(self, tile: Labelled) -> tuple[NDArray[np.uint8], Mask]:
        """A tile's pixels and classes."""
        image, mask, _ = read_labelled(tile, self.classes)
        return image.read(whole(image)), mask

    def finish(self, image: NDArray[np.uint8], mask: Mask) -> tuple[NDArray[np.uint8], Mask]:
        """The last step before the network."""
        return prepare(image, self.preprocessing, channels=self.channels), mask


class TrainingBatches(TileBatches):
    """Draws tiles and varies them.

    `epoch` is set from a callback, since Keras starts its threads before it tells the dataset
    of a new epoch (keras-team/keras#23283).

    Args:
        sampler: Which tiles make which batch.
        augmentation: How far they are varied.
        tiles: As the other arguments: see `TileBatches`.
        classes: Likewise.
        preprocessing: Likewise.
        channels: Likewise.
        workers: Likewise.
    """

    def __init__(
        self,
        tiles: Sequence[Labelled],
        classes: Classes,
        preprocessing: Preprocessing,
        *,
        channels: int,
        workers: int,
        sampler: TileSampler,
        augmentation: AugmentationConfig,
    ) -> None:
        super().__init__(
            tiles,
            classes,
            preprocessing,
            channels=channels,
            batch_size=sampler.batch_size,
            workers=workers,
        )
        self.sampler = sampler
        self.augmentation = augmentation
        self.epoch = 0
        self.ready: dict[tuple[int, int], float] = {}  # when a batch was finished, by epoch, step

    def __len__(self) -> int:
        return len(self.sampler)

    def make(self, step: int) -> list[tuple[NDArray[np.uint8], Mask]]:
        """The samples of a batch: drawn and varied."""
        epoch, seed = self.epoch, self.sampler.seed
        pairs = []
        for place, index in enumerate(self.sampler.draw(epoch, step)):
            rng = sample_rng(seed, epoch, step=step, place=place)
            image, mask = self.read(self.tiles[index])
            pairs.append(self.finish(*augment(image, mask, self.augmentation, rng=rng)))
        self.ready.setdefault((epoch, step), time.perf_counter())
        return pairs

"""Which tiles make which batch: a pure function of seed, epoch and step."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_ALL, _FOREGROUND = 0, 1


@dataclass(frozen=True)
class TileSampler:
    """Draws tiles for training so that a share of each batch holds foreground.

    Both pools, that of all tiles and that of tiles with foreground, are walked in a new random
    order on each pass, so no tile is left out.

    Args:
        foreground: For each tile, whether it holds any.
        batch_size: Tiles a batch.
        steps: Batches an epoch; None for one pass over all tiles.
        foreground_fraction: Share of each batch that is drawn from tiles with foreground.
        seed: Of all draws.
    """

    foreground: tuple[bool, ...]
    batch_size: int
    steps: int | None = None
    foreground_fraction: float = 0.0
    seed: int = 0

    def __len__(self) -> int:
        free = self.batch_size - self._wanted()  # places a batch for any tile
        return self.steps or -(-len(self.foreground) // (free or self.batch_size))

    def _wanted(self) -> int:
        """Places a batch that are kept for tiles with foreground."""
        return round(self.foreground_fraction * self.batch_size) if any(self.foreground) else 0

    def draw(self, epoch: int, step: int) -> list[int]:
        """The tiles of one batch, as indices."""
        rich = [i for i, has in enumerate(self.foreground) if has]
        wanted = self._wanted()
        batch = epoch * len(self) + step
        chosen = self._walk(rich, batch * wanted, count=wanted, pool=_FOREGROUND)
        rest = self.batch_size - wanted
        everything = range(len(self.foreground))
        return chosen + self._walk(everything, batch * rest, count=rest, pool=_ALL)

    def _walk(self, tiles: Sequence[int], first: int, *, count: int, pool: int) -> list[int]:
        """Positions `first` to `first + count` of an endless walk through shuffled passes."""
        chosen = []
        for position in range(first, first + count):
            lap, place = divmod(position, len(tiles))
            order = np.random.default_rng((self.seed, pool, lap)).permutation(len(tiles))
            chosen.append(tiles[order[place]])
        return chosen


def sample_rng(seed: int, epoch: int, *, step: int, place: int) -> np.random.Generator:
    """The random numbers of one sample, whichever thread makes it, whenever."""
    return np.random.default_rng((seed, 2, epoch, step, place))

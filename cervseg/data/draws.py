"""Random numbers for the transforms of a sample, a source of its own for each."""

import math

import numpy as np

from cervseg.config.augmentation import TRANSFORMS, AugmentationConfig
from cervseg.config.transform import Transform


class Draw:
    """Values of one transform.

    Args:
        rng: Where they come from.
        strongest: Take the end of each range instead: to show how far a transform can go.
    """

    def __init__(self, rng: np.random.Generator, *, strongest: bool = False) -> None:
        self.rng = rng
        self.strongest = strongest

    def up_to(self, largest: float) -> float:
        """Between 0 and `largest`."""
        return largest if self.strongest else largest * self.rng.random()

    def either_way(self, largest: float) -> float:
        """Between `-largest` and `largest`."""
        return largest if self.strongest else largest * (2 * self.rng.random() - 1)

    def factor(self, low: float, high: float) -> float:
        """Between two factors, evenly in their logarithm: halving is as likely as doubling."""
        if self.strongest:
            return high if high * low >= 1 else low
        return math.exp(math.log(low) + (math.log(high) - math.log(low)) * self.rng.random())


class Draws:
    """Which transforms a sample gets, and the draws of each.

    One setting changed leaves the draws of all other transforms as they were.

    Args:
        config: The probabilities.
        rng: From which the sources of all transforms are seeded.
        strongest: As of `Draw`.
    """

    def __init__(
        self, config: AugmentationConfig, rng: np.random.Generator, *, strongest: bool = False
    ) -> None:
        self.config = config
        self.seeds = dict(zip(TRANSFORMS, rng.integers(2**63, size=len(TRANSFORMS)), strict=True))
        self.strongest = strongest

    def of(self, name: str) -> Draw | None:
        """The draws of a transform; None where this sample does without it."""
        transform: Transform = getattr(self.config, name)
        if transform.probability == 0:
            return None
        rng = np.random.default_rng(self.seeds[name])
        wanted = rng.random() < transform.probability
        return Draw(rng, strongest=self.strongest) if wanted else None

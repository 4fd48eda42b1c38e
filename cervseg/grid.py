"""Where tiles lie: integers only."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple


def round_up(length: int, multiple: int) -> int:
    """The smallest multiple of `multiple` that is not below `length`."""
    return -(-length // multiple) * multiple


class Window(NamedTuple):
    """A rectangle of pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def bottom(self) -> int:
        """First row below."""
        return self.top + self.height

    @property
    def right(self) -> int:
        """First column to the right."""
        return self.left + self.width


@dataclass(frozen=True)
class TileGrid:
    """Equal tiles that cover a height × width image and never leave it.

    They are squares of `size`; along a side shorter than that, as long as the side.
    `height`, `width` and `size` are multiples of `align`, the total stride of the
    network (pad the image first: `padded`): a network answers a shifted window like a
    shifted image only for shifts by its stride.

    Raises:
        ValueError: A length is no positive multiple of `align`, or the overlap leaves no step.
    """

    height: int
    width: int
    size: int
    overlap: int = 0
    align: int = 1

    def __post_init__(self) -> None:
        if any(n < 1 or n % self.align for n in (self.height, self.width, self.size)):
            raise ValueError(f"{self} is off the stride {self.align}")
        if not 0 <= self.overlap <= self.size - self.align:
            raise ValueError(f"{self}: the overlap leaves no step")

    @staticmethod
    def padded(length: int, size: int, align: int = 1) -> int:
        """The length to which an image side must be padded: on the stride, at least a tile."""
        return max(size, round_up(length, align))

    def __iter__(self) -> Iterator[Window]:
        for top, left in product(self.starts(self.height), self.starts(self.width)):
            yield Window(top, left, *self.tile)

    @property
    def tile(self) -> tuple[int, int]:
        """Height and width of each tile."""
        return self.side(self.height), self.side(self.width)

    def side(self, length: int) -> int:
        """Length of a tile along a side of the image."""
        return min(self.size, length)

    def __len__(self) -> int:
        return len(self.starts(self.height)) * len(self.starts(self.width))

    def starts(self, length: int) -> list[int]:
        """First pixel of each tile along a side, as evenly spread as the stride allows.

        No two neighbours share less than `overlap`; spreading avoids a last tile that
        nearly repeats the one before.
        """
        step = (self.size - self.overlap) // self.align
        span = (length - self.side(length)) // self.align
        steps = -(-span // step)
        return [i * span // steps * self.align for i in range(steps + 1)] if steps else [0]

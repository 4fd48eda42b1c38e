"""What a pixel can be: background, a class with a name and a colour, or ignored."""

import colorsys
from dataclasses import dataclass
from typing import Self

BACKGROUND = 0
IGNORE = 255

Colour = tuple[int, int, int]
"""Red, green, blue, each 0 to 255."""


def parse_colour(text: str) -> Colour:
    """Read `#rrggbb`.

    Raises:
        ValueError: It is not a hash and six hexadecimal digits.
    """
    digits = text.removeprefix("#")
    if len(digits) != 6 or len(text) != 7 or not all(c in "0123456789abcdefABCDEF" for c in digits):
        raise ValueError(f"{text!r} is no colour like '#00ff00'")
    return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)


def format_colour(colour: Colour) -> str:
    """Write a colour as `#rrggbb`."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def distinct_colour(number: int) -> Colour:
    """Green for 0, then hues a golden angle apart, so that any number of them differ."""
    red, green, blue = colorsys.hsv_to_rgb((1 / 3 + 0.381966 * number) % 1, 1, 1)
    return round(red * 255), round(green * 255), round(blue * 255)


@dataclass(frozen=True)
class Classes:
    """The foreground classes in order; class i of a mask is `names[i - 1]`."""

    names: tuple[str, ...]
    colours: tuple[Colour, ...]

    @classmethod
    def of(cls, colours: dict[str, str]) -> Self:
        """Make classes from an ordered mapping of names to `#rrggbb`."""
        return cls(tuple(colours), tuple(parse_colour(c) for c in colours.values()))

    def __len__(self) -> int:
        return len(self.names)

    @property
    def is_binary(self) -> bool:
        """One foreground class: one channel and a threshold."""
        return len(self.names) == 1

    def palette(self) -> list[int]:
        """The 768 bytes of a PNG palette: black, the classes, grey between, white for ignore."""
        table = [(0, 0, 0), *self.colours]
        table += [(96, 96, 96)] * (IGNORE - len(table)) + [(255, 255, 255)]
        return [value for colour in table for value in colour]

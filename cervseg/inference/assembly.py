"""What inference leaves on disk for each image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from cervseg.arrays import Mask, Probabilities
from cervseg.classes import Classes, parse_colour
from cervseg.errors import ConfigError
from cervseg.files import write_csv, writing
from cervseg.images.image import Image, whole
from cervseg.images.legend import add_legend
from cervseg.images.masks import write_mask
from cervseg.images.overlays import draw_overlay, write_picture
from cervseg.inference.decision import ClassCount


@dataclass(frozen=True)
class OutputFolder:
    """Masks, overlays and probabilities of one inference, by the images' relative names."""

    folder: Path

    def mask(self, name: str) -> Path:
        """Class indices with a palette, PNG."""
        return self.folder / "masks" / f"{name}.png"

    def overlay(self, name: str) -> Path:
        """The mask over the image, JPEG."""
        return self.folder / "overlays" / f"{name}.jpg"

    def probabilities(self, name: str) -> Path:
        """One channel: 16-bit PNG; several: a PNG each, the channel's number before the suffix."""
        return self.folder / "probabilities" / f"{name}.png"

    @property
    def record(self) -> Path:
        """What the masks were made with."""
        return self.folder / "inference.json"

    @property
    def summary(self) -> Path:
        """A row an image and class."""
        return self.folder / "summary.csv"

    @property
    def overview(self) -> Path:
        """A sheet of images and masks."""
        return self.folder / "overview.png"


def coloured_classes(classes: Classes, colorize: Mapping[str, str]) -> tuple[Classes, list[int]]:
    """The classes and the palette with the colours the config asks for.

    Raises:
        ConfigError: A colour is given for a class the model does not know.
    """
    unknown = set(colorize) - {*classes.names, "background"}
    if unknown:
        raise ConfigError(
            f"'colorize' names {min(unknown)!r}, which is no class of the model",
            hint=f"it knows {', '.join(classes.names)} and background",
        )
    colours = tuple(
        parse_colour(colorize[name]) if name in colorize else colour
        for name, colour in zip(classes.names, classes.colours, strict=True)
    )
    coloured = Classes(classes.names, colours)
    ground = parse_colour(colorize.get("background", "#000000"))
    return coloured, [*ground, *coloured.palette()[3:]]


def write_results(
    output: OutputFolder,
    name: str,
    *,
    image: Image,
    mask: Mask,
    probabilities: Probabilities | None,
    classes: Classes,
    palette: list[int],
) -> None:
    """Write all files of an image; the mask last, so that it vouches for the others."""
    if probabilities is not None:
        _write_probabilities(output.probabilities(name), probabilities)
    overlay = draw_overlay(image.read(whole(image)), mask, classes)
    write_picture(output.overlay(name), add_legend(overlay, classes))
    write_mask(output.mask(name), mask, palette)


def _write_probabilities(path: Path, probabilities: Probabilities) -> None:
    channels = probabilities.shape[-1]
    for channel in range(channels):
        name = path if channels == 1 else path.with_name(f"{path.stem}.{channel}.png")
        sixteen = np.rint(probabilities[..., channel] * 65535).astype(np.uint16)
        with writing(name) as partial:
            Pillow.fromarray(sixteen).save(partial, format="PNG")


def write_summary(path: Path, rows: Sequence[tuple[str, float, Sequence[ClassCount]]]) -> None:
    """Write a line for each image and class: objects, pixels, seconds of the image."""
    write_csv(
        path,
        ("image", "class", "objects", "pixels", "seconds"),
        [
            (name, count.name, count.objects, count.pixels, f"{seconds:.3f}")
            for name, seconds, counts in rows
            for count in counts
        ],
    )

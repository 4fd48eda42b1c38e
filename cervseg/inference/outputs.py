"""The folder that inference writes: where each file is, and what is known of each image."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from cervseg.bounds import one_line
from cervseg.classes import Classes, parse_colour
from cervseg.errors import ConfigError, DataError
from cervseg.files import read_json, write_csv, write_json
from cervseg.inference.decision import ClassCount
from cervseg.reports import JSON

LONGEST_ENDING = ".1000.partial.jpg"
"""Of the files of one image, while they are written."""


@dataclass(frozen=True)
class OutputFolder:
    """Masks, overlays and probabilities of one inference, by the images' relative names.

    Args:
        folder: Of all of them.
        share: `2_of_8` where it is shared, a part of the names of record and summary.
    """

    folder: Path
    share: str = ""

    def require_room(self, name: str) -> None:
        """Check that the files of an image can have its name.

        Raises:
            DataError: It is too long.
        """
        most = os.pathconf(self.folder, "PC_NAME_MAX") - len(LONGEST_ENDING)
        length = len(os.fsencode(Path(name).name))
        if length > most:
            raise DataError(
                f"{name}: its name is {length} bytes long; those of its outputs end in more, so "
                f"{most} is the most",
                hint="rename the image",
            )

    def mask(self, name: str, *, large: bool = False) -> Path:
        """Class indices with a palette: PNG, or OME-TIFF of a large image."""
        return self.folder / "masks" / f"{name}{_suffix(large)}"

    def finished(self, name: str) -> Path | None:
        """The mask of an image that is done, which vouches for its other files."""
        found = [self.mask(name, large=large) for large in (False, True)]
        return next((path for path in found if path.is_file()), None)

    def bands(self, name: str) -> Path:
        """The finished bands of a large image that is not done."""
        return self.folder / "masks" / f"{name}.partial"

    def report(self, name: str) -> Path:
        """What is known of one image: counts, seams, drift; JSON."""
        return self.folder / "images" / f"{name}.json"

    def overlay(self, name: str) -> Path:
        """The mask over the image, JPEG."""
        return self.folder / "overlays" / f"{name}.jpg"

    def probabilities(self, name: str, *, large: bool = False) -> Path:
        """One channel: 16-bit PNG; several: a PNG each, the channel's number before the suffix.

        Of a large image one OME-TIFF.
        """
        return self.folder / "probabilities" / f"{name}{_suffix(large)}"

    def disagreement(self, name: str, *, large: bool = False) -> Path:
        """How far models or flips differ: standard deviation, 65535 is 1."""
        return self.folder / "disagreement" / f"{name}{_suffix(large)}"

    def objects(self, name: str) -> Path:
        """Outlines in pixels of the image, GeoJSON; a table of the same name beside it."""
        return self.folder / "objects" / f"{name}.geojson"

    def places(self, name: str) -> Path:
        """Where to look first, GeoJSON; pictures of the same name and a number beside it."""
        return self.folder / "look_first" / f"{name}.geojson"

    @property
    def ranking(self) -> Path:
        """The places of all images, those first where most pixels are expected to be wrong."""
        return self._shared("look_first", ".csv")

    @property
    def record(self) -> Path:
        """What the masks were made with."""
        return self._shared("inference", ".json")

    @property
    def summary(self) -> Path:
        """A row an image and class."""
        return self._shared("summary", ".csv")

    @property
    def overview(self) -> Path:
        """A sheet of images and masks."""
        return self._shared("overview", ".png")

    def _shared(self, stem: str, suffix: str) -> Path:
        return self.folder / f"{stem}{'_' if self.share else ''}{self.share}{suffix}"


def _suffix(large: bool) -> str:
    return ".ome.tif" if large else ".png"


class ImageReport(NamedTuple):
    """What is known of one image when it is done; the same whether it was resumed or not.

    Args:
        counts: Objects and pixels of each class.
        tiles: Of the grid; 1 for an image as a whole.
        skipped: Share of the tiles that were not predicted.
        seam: Mean change of probability across the borders of tiles over that elsewhere; None
            where there is no border.
        check: Largest and mean difference to larger windows; None: not asked for.
        drift: Sentences on how it differs from the training images.
        scale: Pixels of a training photograph per pixel of the image; None: unknown.
        image: Digest of its file.
    """

    counts: tuple[ClassCount, ...]
    tiles: int = 1
    skipped: float = 0.0
    seam: float | None = None
    check: tuple[float, float] | None = None
    drift: tuple[str, ...] = ()
    scale: float | None = None
    image: str = ""

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        document = self._asdict()
        document["counts"] = [count._asdict() for count in self.counts]
        write_json(path, document)

    @classmethod
    def load(cls, path: Path) -> "ImageReport":
        """Read it back.

        Raises:
            DataError: It is missing or broken.
        """
        document = read_json(path, what="report of an image")
        try:
            counts = tuple(ClassCount(**row) for row in _rows(document["counts"]))
            check = document["check"]
            return cls(
                counts,
                tiles=int(str(document["tiles"])),
                skipped=float(str(document["skipped"])),
                seam=None if document["seam"] is None else float(str(document["seam"])),
                check=(float(check[0]), float(check[1])) if isinstance(check, list) else None,
                drift=tuple(map(str, _rows(document["drift"]))),
                scale=None if document["scale"] is None else float(str(document["scale"])),
                image=str(document["image"]),
            )
        except (KeyError, TypeError, ValueError, IndexError) as exc:
            raise DataError(f"{path}: not a readable report of an image: {one_line(exc)}") from exc


def _rows(value: JSON) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("a list is missing")
    return value


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


def write_summary(path: Path, rows: Sequence[tuple[str, ImageReport]]) -> None:
    """Write a line for each image and class; equal for equal results, so without times."""
    write_csv(
        path,
        ("image", "class", "objects", "pixels", "tiles", "skipped", "seam"),
        [
            (
                name,
                count.name,
                count.objects,
                count.pixels,
                report.tiles,
                f"{report.skipped:.4f}",
                "" if report.seam is None else f"{report.seam:.4f}",
            )
            for name, report in rows
            for count in report.counts
        ],
    )

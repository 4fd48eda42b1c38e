"""What became of the images of an inference: rows, results, notices, pictures."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cervseg.arrays import RGB
from cervseg.classes import Classes
from cervseg.commands.inputs import Input
from cervseg.errors import CervsegError
from cervseg.images.image import Image
from cervseg.images.legend import add_legend
from cervseg.images.overlays import read_reduced, write_picture
from cervseg.images.photo import open_photo
from cervseg.images.readers import open_image
from cervseg.images.sheets import contact_sheet, thumbnail
from cervseg.inference.outputs import ImageReport, OutputFolder, write_summary
from cervseg.inference.places import write_ranking
from cervseg.reports import JSON, Failure, Report, Table

OVERVIEW_IMAGES = 12
SIDE = 320


@dataclass
class Outcome:
    """Collects what became of the images, in their order.

    Args:
        output: The folder of their files.
        notices: What the user should know beside it.
        of_tiles: Likewise, where an image has more than one tile.
        overlays: Whether there are any.
    """

    output: OutputFolder
    notices: list[str] = field(default_factory=list)
    of_tiles: tuple[str, ...] = ()
    overlays: bool = True
    rows: list[tuple[str, ImageReport]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    results: list[Mapping[str, JSON]] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    pictures: list[list[RGB | None]] = field(default_factory=list)

    def fail(self, item: Input, error: CervsegError) -> None:
        """Note an image that could not be segmented."""
        self.failures.append(Failure.of(str(item.path), error))

    def add(self, item: Input, report: ImageReport, seconds: float) -> None:
        """Note an image that is done.

        Raises:
            DataError: It has vanished since, or its overlay is broken; nothing is noted.
        """
        output, name = self.output, item.name
        if self.overlays and len(self.pictures) < OVERVIEW_IMAGES:
            self.pictures.append(_pictures(open_image(item.path), output.overlay(name)))
        mask = output.finished(name) or output.mask(name)
        self.rows.append((name, report))
        self.seconds.append(seconds)
        self.paths.append(mask)
        self.notices += _notices(name, report)
        self.results.append(
            {
                "image": str(item.path),
                "mask": str(mask),
                "overlay": str(output.overlay(name)) if self.overlays else None,
                "classes": {c.name: {"objects": c.objects, "pixels": c.pixels}
                            for c in report.counts},
                "tiles": report.tiles,
                "skipped": round(report.skipped, 6),
                "seam": None if report.seam is None else round(report.seam, 4),
                "largest_difference": None if report.check is None else report.check[0],
                "drift": list(report.drift),
                "seconds": round(seconds, 3),
            }
        )  # fmt: skip

    def write(self, classes: Classes) -> None:
        """Write the summary and the sheet of pictures."""
        write_summary(self.output.summary, self.rows)
        ranked = [(name, self.output.places(name)) for name, _ in self.rows]
        if places := [(name, path) for name, path in ranked if path.is_file()]:
            write_ranking(self.output.ranking, places)
        if self.pictures:
            names = [name for name, _ in self.rows[: len(self.pictures)]]
            sheet = contact_sheet(self.pictures, captions=("image", "mask"), names=names, side=SIDE)
            write_picture(self.output.overview, add_legend(sheet, classes))

    def report(self, command: str) -> Report:
        """All of it as the command returns it."""
        masks = shlex.quote(str(self.output.folder / "masks"))
        following = f"cervseg evaluate --images IMAGES --masks TRUTH --predictions {masks}"
        columns = ("image", "class", "objects", "pixels", "seconds")
        rows = [
            (name, count.name, str(count.objects), str(count.pixels), f"{seconds:.2f}")
            for (name, report), seconds in zip(self.rows, self.seconds, strict=True)
            for count in report.counts
        ]
        between = self.of_tiles if any(report.tiles > 1 for _, report in self.rows) else ()
        return Report(
            command,
            self.output.folder,
            results=tuple(self.results),
            paths=tuple(self.paths),
            failures=tuple(self.failures),
            notices=tuple(dict.fromkeys((*between, *self.notices))),
            tables=(Table("masks", columns, tuple(rows)),) if rows else (),
            next_command=following if rows else None,
        )  # fmt: skip


def _notices(name: str, report: ImageReport) -> list[str]:
    notices = [f"{name}: {sentence}" for sentence in report.drift]
    if report.scale is None:
        notices.append(
            "the images are taken to be at the scale of the training photographs; "
            "for others: tiled-infer --set tiled_infer.scale=…"
        )
    if report.check is not None:
        largest, mean = report.check
        notices.append(
            f"{name}: largest difference to the whole image: {largest:.1e}, mean {mean:.1e}"
        )
    return notices


def _pictures(image: Image, overlay: Path) -> list[RGB | None]:
    """The image and its overlay, small; without the legend, which the sheet has."""
    drawn = open_photo(overlay).pixels
    drawn = thumbnail(drawn[: round(drawn.shape[1] * image.height / image.width)], SIDE)
    return [read_reduced(image, *drawn.shape[:2]), drawn]

"""The second pass: from probabilities in the image's own grid to the files of an image."""

import math
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from cervseg.arrays import Mask
from cervseg.classes import Classes
from cervseg.files import writing
from cervseg.images.image import Image
from cervseg.images.legend import add_legend
from cervseg.images.masks import write_mask
from cervseg.images.overlays import LONGEST, draw_overlay, read_reduced, write_picture
from cervseg.images.pyramid import write_pyramid
from cervseg.images.resampling import nearest_indices
from cervseg.images.segments import KEPT, keep_less
from cervseg.inference.decision import ClassCount, Decision, Inside
from cervseg.inference.objects.files import ObjectType, write_objects
from cervseg.inference.objects.finding import Segment, find_objects
from cervseg.inference.outputs import OutputFolder
from cervseg.inference.parts import to_steps
from cervseg.inference.places import draw_place, write_places
from cervseg.inference.probability import Channels
from cervseg.inference.rows import PIECE, RowArray, RowFile, Rows, keep_small, pieces
from cervseg.inference.uncertainty import Places, chance_of_error

Areas = dict[str, "array[float]"]
"""Pixels of the mask that each object of a class has: 8 bytes an object."""

OVERLAY_PIXELS = 4_000_000
"""Overlays of large images are reduced to so many."""


@dataclass(frozen=True)
class Assembly:
    """How probabilities become files.

    Args:
        output: The folder.
        decision: From probabilities to classes, for full-size pixels.
        classes: With the colours to draw.
        palette: Of the masks.
        probabilities: Also write them.
        disagreement: The last channel is one; write it.
        overlays: Also draw the mask over the image.
        objects: As what to write outlines; None: not at all.
        look_first: Places of each image to write, where the model is least sure.
        threads: That compress.
        piece: Pixels worked on at once, about.
        spare: Bytes of decoded pixels that the reader of an image may keep in any case.
    """

    output: OutputFolder
    decision: Decision
    classes: Classes
    palette: list[int]
    probabilities: bool = False
    disagreement: bool = False
    overlays: bool = True
    objects: ObjectType | None = "detection"
    look_first: int = 0
    threads: int = 1
    piece: int = PIECE
    spare: int = KEPT

    def assemble(
        self,
        name: str,
        image: Image,
        rows: Rows,
        *,
        channels: int,
        large: bool,
        mpp: float | None,
        inside: Inside | None,
        pixel: Sequence[float],
        vouch: Callable[[tuple[ClassCount, ...], Areas], None],
    ) -> None:
        """Write all files of an image; the mask last, so that it vouches for the others.

        Args:
            name: Relative, without suffix.
            image: For the overlay.
            rows: Probabilities in the grid of the mask, and the disagreement if there is one.
            channels: Of the probabilities.
            large: Whether to work on disk and write OME-TIFF.
            mpp: Micrometres per pixel of the image.
            inside: Says which pixels of the mask count.
            pixel: Height and width of one of the mask, in full-size pixels.
            vouch: Called with counts and areas before the mask gets its name.
        """
        scratch = self.output.bands(name)
        rows = keep_small(rows)
        only = Channels(rows, 0, channels)
        mpp_here = None if mpp is None else mpp * image.height / rows.height
        form = _Form(large, mpp_here, scratch, self.threads, self.output.folder)
        with _empty_mask(rows, scratch / "mask.raw" if large else None) as mask:
            self.decision.on(pixel).decide(only, mask, inside=inside, piece=self.piece)
            if self.probabilities:
                names = self._channel_names(channels)
                form.write(self.output.probabilities(name, large=large), only, names)
            if self.disagreement:
                extra = Channels(rows, channels, channels + 1)
                form.write(self.output.disagreement(name, large=large), extra, ["disagreement"])
            areas: Areas = {name: array("d") for name in self.classes.names}
            first = self.decision.first_channel
            found = find_objects(mask, only, first_channel=first, piece=self.piece)
            noted = self._noting(found, areas)
            counts = self._write_objects(name, image, mask, found=noted, mpp=mpp)
            if self.look_first:
                self._write_places(name, image, mask, probabilities=only, inside=inside)
            if self.overlays:
                self._write_overlay(name, image, mask, large=large)
            vouch(counts, areas)
            self._write_mask(self.output.mask(name, large=large), mask, form)

    def _write_mask(self, path: Path, mask: RowArray | RowFile, form: "_Form") -> None:
        if isinstance(mask, RowArray):
            write_mask(path, mask.array, self.palette)
            return
        write_pyramid(
            path,
            mask,
            dtype=np.uint8,
            identity=form.identity(path),
            scratch=form.scratch,
            palette=self.palette,
            mpp=form.mpp,
            threads=self.threads,
        )

    def _channel_names(self, channels: int) -> list[str]:
        return [*["background"] * (channels - len(self.classes)), *self.classes.names]

    def _noting(self, segments: Iterable[Segment], areas: Areas) -> Iterator[Segment]:
        for segment in segments:
            areas[self.classes.names[segment.class_index - 1]].append(segment.area)
            yield segment

    def _write_objects(
        self, name: str, image: Image, mask: Rows, *, found: Iterable[Segment], mpp: float | None
    ) -> tuple[ClassCount, ...]:
        if self.objects is None:
            return _count(found, self.classes)
        path = self.output.objects(name)
        scale = (image.height / mask.height, image.width / mask.width)
        table = path.with_suffix(".csv")
        counts = write_objects(
            path, table, found, classes=self.classes, mpp=mpp, scale=scale, kind=self.objects
        )
        return tuple(counts)

    def _write_places(
        self, name: str, image: Image, mask: Rows, *, probabilities: Rows, inside: Inside | None
    ) -> None:
        places, first = Places(mask.height, mask.width), self.decision.first_channel
        for top, height in pieces(mask, self.piece):
            wrong = chance_of_error(mask.read(top, height), probabilities.read(top, height), first)
            if inside is not None:
                wrong[~inside(top, height)] = 0
            places.add(top, wrong)
        scale = (image.height / mask.height, image.width / mask.width)
        path = self.output.places(name)
        worst = places.worst(self.look_first)
        for number, place in enumerate(worst, start=1):
            picture = draw_place(image, mask, place.window, classes=self.classes)
            write_picture(path.with_suffix(f".{number}.jpg"), picture)
        write_places(path, worst, scale=scale)

    def _write_overlay(self, name: str, image: Image, mask: Rows, *, large: bool) -> None:
        height, width = mask.height, mask.width
        most = OVERLAY_PIXELS if large else height * width
        share = min(math.sqrt(most / (height * width)), LONGEST / max(height, width))
        if share < 1:
            height, width = (max(1, round(n * share)) for n in (height, width))
        picture = draw_overlay(
            read_reduced(keep_less(image, self.spare), height, width),
            reduce_mask(mask, height, width),
            self.classes,
        )
        write_picture(self.output.overlay(name), add_legend(picture, self.classes))


def _count(segments: Iterable[Segment], classes: Classes) -> tuple[ClassCount, ...]:
    objects, pixels = ([0] * (len(classes) + 1) for _ in range(2))
    for segment in segments:
        objects[segment.class_index] += 1
        pixels[segment.class_index] += segment.area
    return tuple(
        ClassCount(name, objects[index], pixels[index])
        for index, name in enumerate(classes.names, start=1)
    )


def reduce_mask(mask: Rows, height: int, width: int) -> Mask:
    """Take the nearest pixels of a mask."""
    if (height, width) == (mask.height, mask.width):
        return mask.read(0, height)
    rows = nearest_indices(0, height, source=mask.height, target=height)
    columns = nearest_indices(0, width, source=mask.width, target=width)
    return np.stack([mask.read(int(row), 1)[0, columns] for row in rows])


@contextmanager
def _empty_mask(rows: Rows, path: Path | None) -> Iterator[RowArray | RowFile]:
    """A mask of the size of rows, in memory or, where there is a path, on disk."""
    if path is None:
        yield RowArray(np.zeros((rows.height, rows.width), np.uint8))
        return
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(RowFile(path, (rows.height, rows.width), np.uint8)) as mask:
        yield mask


class _StepRows:
    """Probabilities as 16-bit rows."""

    def __init__(self, rows: Rows) -> None:
        self._rows, self.height, self.width = rows, rows.height, rows.width

    def read(self, top: int, height: int) -> NDArray[np.uint16]:
        return to_steps(self._rows.read(top, height))


@dataclass(frozen=True)
class _Form:
    """As what probabilities are written."""

    large: bool
    mpp: float | None
    scratch: Path
    threads: int
    root: Path

    def identity(self, path: Path) -> str:
        """What a file's UUID is made from, alike wherever the output folder lies."""
        return path.relative_to(self.root).as_posix()

    def write(self, path: Path, rows: Rows, names: list[str]) -> None:
        steps = _StepRows(rows)
        if self.large:
            write_pyramid(
                path,
                steps,
                dtype=np.uint16,
                identity=self.identity(path),
                scratch=self.scratch,
                names=names,
                mpp=self.mpp,
                threads=self.threads,
            )
            return
        picture = steps.read(0, steps.height)
        channels = picture.shape[-1]
        for channel in range(channels):
            name = path if channels == 1 else path.with_name(f"{path.stem}.{channel}.png")
            with writing(name) as partial:
                Pillow.fromarray(picture[..., channel]).save(partial, format="PNG")

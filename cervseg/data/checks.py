"""What can be wrong with an image and its mask: one function a question, on plain arrays."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from cervseg.arrays import RGB, Mask
from cervseg.classes import BACKGROUND, IGNORE, Classes, Colour, format_colour
from cervseg.data.regions import Regions, find_holes, find_specks, hole_limit, speck_limit
from cervseg.images.masks import Reading, Values
from cervseg.images.photo import PhotoForm

Kind = Literal[
    "no partner",
    "unreadable",
    "size",
    "orientation",
    "indices",
    "colours",
    "noise",
    "empty mask",
    "inverted",
    "specks",
    "holes",
    "constant image",
    "absent class",
    "identical",
    "near duplicate",
    "leak",
]
"""What a finding is about, in the order in which they are told."""

Severity = Literal["error", "warning"]


class Finding(NamedTuple):
    """Something that somebody should look at.

    Args:
        kind: What it is about.
        severity: An error keeps a field from being used as it is.
        item: Name of the field.
        message: What was found, one line.
        share: Of the pixels concerned, where that says something.
        partner: Name of the field it shares this with.
    """

    kind: Kind
    severity: Severity
    item: str
    message: str
    share: float | None = None
    partner: str = ""


DOUBT = (64, 192)
"""Grey levels between which another threshold would decide otherwise: neither dark nor bright."""

FOREIGN = 48.0
"""Distance in RGB from which on a colour is no mixture of two that may be there."""

SOLID = 5
"""Side of the smallest square that JPEG noise does not fill, pixels."""

INVERTED = (0.6, 0.8)
"""Foreground, of all pixels and of those along the edges, that only inverted masks have.

Of crops around a cell, its nucleus or all of it may fill most; the edges are background.
"""

NAMED_COLOURS = 3
"""Foreign colours that a message names, the most frequent ones."""


def check_pixels(item: str, pixels: RGB) -> list[Finding]:
    """Find an image on which there is nothing to see: of one colour, but for noise.

    Args:
        item: Name of the field.
        pixels: Shape (height, width, 3).
    """
    _, deviations = cv2.meanStdDev(np.ascontiguousarray(pixels))
    if deviations.max() >= 1:
        return []
    colour = _hex(pixels.reshape(-1, 3)[0])
    return [Finding("constant image", "warning", item, f"the image is {colour} all over")]


def check_size(
    item: str, image: tuple[int, int], mask: tuple[int, int], *, forms: Sequence[PhotoForm] = ()
) -> list[Finding]:
    """Find a mask that does not lie on its image.

    Args:
        item: Name of the field.
        image: Height and width, upright.
        mask: Likewise.
        forms: Of the image file and the mask file, where both are known.
    """
    turns = [form.turn for form in forms] or [1, 1]
    told = _told_turn(turns)
    if image != mask:
        sizes = f"the mask has {mask[1]} x {mask[0]} pixels, its image {image[1]} x {image[0]}"
        if mask == image[::-1]:
            why = f"; {told}" if told else ""
            message = f"{sizes}: one of them is turned by 90 degrees{why}"
            return [Finding("orientation", "error", item, message)]
        return [Finding("size", "error", item, sizes)]
    if told:
        return [Finding("orientation", "warning", item, f"{told}: do they lie on each other?")]
    return []


def _told_turn(turns: Sequence[int]) -> str:
    if turns[0] == turns[1]:
        return ""
    if turns[1] == 1:
        return "EXIF turns the image and not the mask"
    return "EXIF turns the mask and not the image" if turns[0] == 1 else "EXIF turns them unlike"


def check_indices(item: str, values: Values, classes: Classes) -> list[Finding]:
    """Find class indices that are shifted, too many, or no indices.

    Args:
        item: Name of the field.
        values: Of the mask file, shape (height, width).
        classes: Index 0 is background, then these, and 255 is ignored.
    """
    found = [int(v) for v in np.unique(values)]
    inner = [v for v in found if v != IGNORE]
    last = len(classes)
    strange = [v for v in inner if not 0 <= v <= last]
    if not strange:
        if IGNORE not in found or any(inner):
            return []
        values_told = "values 0 and 255 only" if inner else "255 is the only value"
        message = f"{values_told}: 255 is read as ignored, not as foreground"
        return [Finding("indices", "warning", item, message)]
    share = float(np.isin(values, strange).mean())
    if inner == list(range(1, last + 2)):
        message = f"values 1 to {last + 1}: the background seems to be 1, it must be 0"
    elif strange == [last + 1]:
        named = "one class is" if last == 1 else f"{last} classes are"
        message = f"values up to {last + 1}, but {named} named"
    else:
        shown = ", ".join(map(str, strange[:5])) + (", …" if len(strange) > 5 else "")
        message = f"value {shown} is no class; 0 to {last} and {IGNORE} are"
    return [Finding("indices", "error", item, message, share)]


def check_noise(item: str, values: Values | None, changed: float, *, kind: str) -> list[Finding]:
    """Find a mask whose pixels had to be decided: JPEG noise, soft edges.

    Args:
        item: Name of the field.
        values: Grey levels that a threshold decided, shape (height, width); else None.
        changed: Share of pixels that had no exact class value.
        kind: Of the file, as in `PhotoForm`.
    """
    if not changed:
        return []
    cause = "JPEG noise" if kind == "JPEG" else "noise or soft edges"
    message = f"{percent(changed)} of the pixels have no exact class value ({cause})"
    if values is not None:
        doubt = float(((values >= DOUBT[0]) & (values < DOUBT[1])).mean())
        if doubt:
            message += f", {percent(doubt)} are grey enough to depend on the threshold"
    return [Finding("noise", "warning", item, message, changed)]


def check_colours(item: str, colours: RGB, classes: Classes, *, reading: Reading) -> list[Finding]:
    """Find regions of a mask in colours that no class has.

    Mixtures of two colours that may be there (edges) are none, nor are specks of JPEG noise.

    Args:
        item: Name of the field.
        colours: Shape (height, width, 3).
        classes: Their colours, and black, may be there.
        reading: Where a threshold decides, white may be there, too.
    """
    solid = foreign_region(colours, classes, reading)
    if not solid.any():
        return []
    found, counts = np.unique(colours[solid], axis=0, return_counts=True)
    frequent = np.argsort(-counts)[:NAMED_COLOURS]
    named = ", ".join(f"{_hex(found[i])} ({counts[i]} pixels)" for i in frequent)
    more = ", …" if len(found) > NAMED_COLOURS else ""
    share = float(solid.mean())
    message = f"{percent(share)} of the pixels have colours of no class: {named}{more}"
    return [Finding("colours", "error", item, message, share)]


def foreign_region(colours: RGB, classes: Classes, reading: Reading) -> NDArray[np.bool_]:
    """Where a mask has colours that no class has, in regions of at least 5 x 5 pixels."""
    known = (*classes.colours, *(((255, 255, 255),) if reading == "threshold" else ()))
    reduced = colours >> 3
    foreign = _foreign_table(known)[reduced[..., 0], reduced[..., 1], reduced[..., 2]]
    square = np.ones((SOLID, SOLID), np.uint8)
    opened = cv2.morphologyEx(
        foreign.astype(np.uint8), cv2.MORPH_OPEN, square, borderType=cv2.BORDER_CONSTANT
    )
    return np.asarray(opened, np.bool_)


@lru_cache(maxsize=8)
def _foreign_table(known: tuple[Colour, ...]) -> NDArray[np.bool_]:
    """Whether a colour, 5 bits a channel, is far from all lines between two known ones."""
    levels = np.arange(32) * 8 + 4
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).astype(np.float32)
    nearest = np.full(grid.shape[:3], np.inf, np.float32)
    ends = [np.array(colour, np.float32) for colour in ((0, 0, 0), *known)]
    for i, start in enumerate(ends):
        for end in ends[i + 1 :]:
            line = end - start
            along = ((grid - start) @ line / (line @ line)).clip(0, 1)[..., None]
            np.minimum(nearest, np.linalg.norm(grid - start - along * line, axis=-1), out=nearest)
    return np.asarray(nearest > FOREIGN)


def check_regions(item: str, mask: Mask, classes: Classes) -> list[Finding]:
    """Find a mask that shows nothing, and specks and holes too small to be meant.

    Args:
        item: Name of the field.
        mask: Class indices, shape (height, width).
        classes: What they mean.
    """
    if not ((mask != BACKGROUND) & (mask != IGNORE)).any():
        return [Finding("empty mask", "warning", item, "no pixel belongs to a class")]
    findings = []
    kinds: tuple[tuple[Kind, Regions, int], ...] = (
        ("specks", find_specks(mask, classes), speck_limit(mask.size)),
        ("holes", find_holes(mask), hole_limit(mask.size)),
    )
    for kind, (region, count), limit in kinds:
        if count:
            area = int(region.sum())
            what = kind if count > 1 else kind.removesuffix("s")
            message = f"{count} {what} of fewer than {limit} pixels, {area} in all"
            findings.append(Finding(kind, "warning", item, message, area / mask.size))
    return findings


def edge_share(mask: Mask) -> float:
    """Share of the pixels along the edges of a mask that belong to a class."""
    edges = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    counted = edges[edges != IGNORE]
    return float(np.mean(counted != BACKGROUND)) if counted.size else 0.0


def tell_inverted(shares: Sequence[tuple[float, float]], classes: Classes) -> str:
    """What to say of masks that are foreground where background should be; else nothing.

    Args:
        shares: Of each mask, the foreground of all its pixels and of those along its edges.
        classes: Several may cover an image for good reason, one does not.
    """
    if not shares or len(classes) > 1:
        return ""
    foreground, edges = (float(share) for share in np.median(shares, axis=0))
    if foreground < INVERTED[0] or edges < INVERTED[1]:
        return ""
    return (
        f"{foreground:.0%} of the pixels are {classes.names[0]}, and {edges:.0%} of those along "
        "the edges (medians of the masks): are the masks inverted, or photographs?"
    )


def percent(share: float) -> str:
    """A share for the eye; what is there is never 0."""
    return f"{share:.2%}" if share >= 0.0001 or not share else "< 0.01%"


def _hex(colour: NDArray[np.uint8]) -> str:
    red, green, blue = (int(c) for c in colour)
    return format_colour((red, green, blue))

"""What masks seem to mean, from a look at some: a proposal for people, never a reading."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cervseg.annotations.label_images import ENDINGS
from cervseg.annotations.shapes import MOST_OBJECTS, renumber
from cervseg.classes import IGNORE, Colour, distinct_colour, format_colour
from cervseg.errors import DataError
from cervseg.images.image import find_images
from cervseg.images.masks import DARK, INDEX_LIMIT, THRESHOLD, MaskPicture, Values, open_mask
from cervseg.images.mistaken import FAR
from cervseg.reports import JSON

Item = TypeVar("Item")

LOOKED_AT = 20
"""Images and masks whose content decides what is proposed."""

LEAST_SHARE = 1 / 50
"""Of all painted pixels, that a colour has which is a class."""

MOST_CLASSES = 30

NUMBERS = 64
"""Of a mask, that are looked up: is each one object?"""

WHOLE = 0.8
"""Share of the numbers of a label image that are one piece; an edge of the image may cut some."""

FEW_CLASSES = 3
"""Up to so many, one piece each in all images, may be nucleus, cytoplasm and the like."""

WHITE = {255, 65535}

COLOURLESS = 32
"""Difference between the channels up to which a colour is a grey."""

PURE = np.minimum((np.arange(256) + 64) // 128 * 128, 255).astype(np.uint8)
"""Of each level of a noisy mask the pure one near by: 0, 128 or 255."""

GREEN = distinct_colour(0)


class Guess(NamedTuple):
    """What a look at some masks suggests.

    Args:
        kind: Of the source.
        masks: Keys of `data.masks`; none where label images are read.
        classes: Names and colours.
        note: What that means, in a few words.
    """

    kind: Literal["folders", "label_images"]
    masks: dict[str, JSON]
    classes: dict[str, str]
    note: str


class _Look(NamedTuple):
    """What is in one mask.

    Args:
        levels: Its values above 0; None where there are none, and of a mask in colour.
        is_wide: Whether the file has more than 8 bits a value.
        whole: Share of the levels that are one connected piece each.
        level: The grey level that it is painted with; 0 if it is empty.
        solid: Pixels of each colour whose neighbours all have it, the most frequent colours.
        every: Likewise, whatever the neighbours.
        is_busy: Whether noise or soft edges make many colours of few.
    """

    levels: NDArray[np.int64] | None
    is_wide: bool
    whole: float
    level: int
    solid: Counter[Colour]
    every: Counter[Colour]
    is_busy: bool


def spread(items: Sequence[Item]) -> list[Item]:
    """At most `LOOKED_AT` of the items, evenly spread."""
    return list(items[:: math.ceil(len(items) / LOOKED_AT)]) if items else []


def named_label_images(paths: Sequence[Path], images: Iterable[Path]) -> list[Path]:
    """Those that are called as Cellpose calls the label images of the images."""
    stems = {image.stem for image in images}
    names = {f"{stem}{ending}" for stem in stems for ending in ENDINGS if ending}
    return [path for path in paths if path.stem in names]


def guess_masks(folder: Path, images: Sequence[Path] = ()) -> Guess:
    """How masks are to be read, and their classes.

    Args:
        folder: Of the masks.
        images: Whose masks they are.

    Raises:
        DataError: There are none, or none of those looked at can be read.
    """
    paths = find_images(folder)
    if not paths:
        raise DataError(f"{folder}: no masks", hint="leave MASKS out if there are none yet")
    named = named_label_images(paths, images)
    looks, problems = [], []
    for path in spread(named or paths):
        try:
            looks.append(_look(open_mask(path)))
        except DataError as exc:
            problems.append(exc)
    if not looks:
        raise problems[0]
    painted = [look for look in looks if look.level]
    grey = [look.levels for look in painted if look.levels is not None]
    if painted and len(grey) == len(painted):
        if _are_objects(painted, is_named=bool(named)):
            note = "a number an object; if it is a class: kind: folders, masks: {read: index}"
            return Guess("label_images", {}, _name_classes([GREEN]), note)
        levels = np.unique(np.concatenate(grey))
        if levels[0] < INDEX_LIMIT and levels[levels != IGNORE].max() < INDEX_LIMIT:
            count = int(levels[levels < INDEX_LIMIT].max())
            classes = _name_classes(map(distinct_colour, range(count)))
            note = "pixel values 1, 2, … are the classes; 0 is background"
            return Guess("folders", {"read": "index"}, classes, note)
    return by_colour(painted)


def by_colour(painted: Sequence[_Look]) -> Guess:
    """Several colours, or greys, are classes; of one the brightness decides."""
    lively, greys = _classes_seen(painted)
    several = lively if len(lively) > 1 else greys if len(greys) > 1 and not lively else []
    if several:
        note = "each pixel takes the class of the nearest colour"
        return Guess("folders", {"read": "colour"}, _name_classes(several), note)
    darkest = min((look.level for look in painted if look.level >= INDEX_LIMIT), default=IGNORE)
    threshold = darkest // 2 if darkest < THRESHOLD else THRESHOLD
    masks: dict[str, JSON] = {"read": "threshold"}
    if threshold < THRESHOLD:
        masks["threshold"] = threshold
    note = f"foreground where the largest channel is {threshold} or more"
    return Guess("folders", masks, _name_classes(lively or [GREEN]), note)


def _look(picture: MaskPicture) -> _Look:
    values = picture.values.clip(0)
    mode = picture.picture.mode
    is_grey, is_wide = mode in ("1", "L", "P") or mode.startswith("I"), mode.startswith("I")
    is_noisy = picture.form.kind in ("JPEG", "WEBP")
    pixels = picture.colours if mode == "P" or not is_grey else _as_grey(values)
    solid, every, is_busy = _count_colours(pixels, noisy=is_noisy)
    level, whole = _painted_level(pixels), 0.0
    levels: NDArray[np.int64] | None = None
    if is_grey and not is_noisy:
        levels, whole = _objects_of(values)
        level = level or int(levels.max(initial=0))  # dark, so they are numbers
        levels = levels if levels.size else None  # a palette may have a colour for 0
    return _Look(levels, is_wide, whole, level, solid, every, is_busy)


def _as_grey(values: Values) -> NDArray[np.uint8]:
    """Shape (height, width, 3); of 16 bits the upper half."""
    brightest = int(values.max(initial=0))
    shift = max(0, brightest.bit_length() - 8) if brightest > 255 else 0
    return np.repeat((values >> shift).astype(np.uint8)[..., None], 3, axis=-1)


def _painted_level(pixels: NDArray[np.uint8]) -> int:
    """The largest channel of what is painted; 0 where that is no more than noise."""
    values = _largest_channel(pixels)
    brightest = int(values.max(initial=0))
    return 0 if brightest < INDEX_LIMIT else int(np.median(values[values > brightest / 2]))


def _objects_of(values: Values) -> tuple[NDArray[np.int64], float]:
    """The values but 0, and the share of them that are one connected piece each."""
    levels = np.unique(values).astype(np.int64)
    levels = levels[levels > 0]
    if not 1 < len(levels) <= MOST_OBJECTS:
        return levels, 0.0
    numbers = renumber(np.asarray(values))
    boxes = ndimage.find_objects(numbers)
    looked_at = range(1, len(boxes) + 1, math.ceil(len(boxes) / NUMBERS))
    pieces = [
        ndimage.label(numbers[boxes[i - 1]] == i, structure=np.ones((3, 3)))[1] for i in looked_at
    ]
    return levels, pieces.count(1) / len(pieces)


def _are_objects(painted: Sequence[_Look], *, is_named: bool) -> bool:
    """Whether the values of masks of one channel are numbers of objects, not classes or greys.

    A class has pieces in many places and the same number everywhere; an object is one piece, and
    images have more or fewer of them.
    """
    levels = [look.levels for look in painted if look.levels is not None]
    last = {int(found[-1]) for found in levels}
    several = [look for look in painted if look.levels is not None and len(look.levels) > 1]
    if is_named and (several or last.isdisjoint(WHITE)):
        return True
    if not several or np.mean([look.whole for look in several]) < WHOLE:
        return False
    is_counted = all(found[-1] == len(found) for found in levels)  # 1, 2, … without gaps
    if any(look.is_wide for look in several) and (is_counted or max(last) <= DARK):
        return True
    if is_counted:
        return max(last) >= INDEX_LIMIT or (len(last) > 1 and max(last) > FEW_CLASSES)
    is_same = len({tuple(found.tolist()) for found in levels}) == 1
    return max(last) >= INDEX_LIMIT and IGNORE not in last and not is_same


def _classes_seen(painted: Sequence[_Look]) -> tuple[list[Colour], list[Colour]]:
    """The colours and the greys that are painted with, brightest first."""
    is_busy = any(look.is_busy for look in painted)
    found: list[Colour] = []
    for colour in _common(look.solid for look in painted):
        if not (is_busy and any(math.dist(colour, other) < FAR for other in found)):
            found.append(colour)
    if not is_busy or not found:  # thin lines, objects of few pixels
        for colour in _common(look.every for look in painted):
            if colour not in found and not _is_mixture(colour, found):
                found.append(colour)
    lively = [c for c in found if max(c) - min(c) >= COLOURLESS]
    greys = [] if is_busy else [c for c in found if c not in lively]
    return sorted(lively, reverse=True), sorted(greys, reverse=True)


def _common(counts: Iterable[Counter[Colour]]) -> list[Colour]:
    """The colours with a share that a class has, the most frequent first."""
    summed = sum(counts, Counter[Colour]())
    least = summed.total() * LEAST_SHARE
    return [colour for colour, count in summed.most_common(MOST_CLASSES) if count > least]


def _is_mixture(colour: Colour, known: Sequence[Colour]) -> bool:
    """Whether a colour lies between two of black and those known, as at a soft edge."""
    point = np.array(colour)
    ends = [np.zeros(3), *map(np.array, known)]
    for start, end in combinations(ends, 2):
        line = end - start
        along = np.clip((point - start) @ line / (line @ line), 0, 1)
        if np.linalg.norm(point - start - along * line) < FAR:
            return True
    return False


def _count_colours(
    pixels: NDArray[np.uint8], *, noisy: bool
) -> tuple[Counter[Colour], Counter[Colour], bool]:
    """Count the colours that are not black: in surfaces, and everywhere; whether they are many.

    Between two colours a soft edge has others, but no surface of 3 x 3 pixels. Of a noisy mask
    the pure colours near by are counted.
    """
    strong = _largest_channel(pixels) >= (THRESHOLD // 2 if noisy else INDEX_LIMIT)
    levels = PURE[pixels] if noisy else pixels
    square = np.ones((3, 3), np.uint8)
    ranges = cv2.subtract(cv2.dilate(levels, square), cv2.erode(levels, square))
    is_flat = _largest_channel(np.asarray(ranges, np.uint8)) == 0
    every, different = _most_common(levels[strong])
    return _most_common(levels[strong & is_flat])[0], every, noisy or different >= INDEX_LIMIT


def _largest_channel(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    red, green, blue = cv2.split(pixels)
    return np.asarray(cv2.max(cv2.max(red, green), blue), np.uint8)


def _most_common(colours: NDArray[np.uint8]) -> tuple[Counter[Colour], int]:
    """The most frequent of some colours, shape (n, 3), and how many different ones there are."""
    packed = colours.astype(np.int32) @ np.array([65536, 256, 1], np.int32)
    found, counts = np.unique(packed, return_counts=True)
    most = np.argsort(-counts, kind="stable")[:MOST_CLASSES]
    pairs = zip(found[most].tolist(), counts[most].tolist(), strict=True)
    return Counter({(c >> 16, c >> 8 & 255, c & 255): n for c, n in pairs}), len(found)


def _name_classes(colours: Iterable[Colour]) -> dict[str, str]:
    """One class is a cell; several get numbers, for the reader to replace."""
    known = list(map(format_colour, colours))[:MOST_CLASSES]
    if len(known) == 1:
        return {"cell": known[0]}
    return {f"class_{i}": colour for i, colour in enumerate(known, start=1)}

"""Look at every image and mask of a dataset once, in threads, then at what they share."""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from cervseg.arrays import RGB, Mask
from cervseg.classes import Classes
from cervseg.data.checks import (
    Finding,
    Kind,
    check_colours,
    check_indices,
    check_noise,
    check_pixels,
    check_regions,
    check_size,
    edge_share,
    tell_inverted,
)
from cervseg.data.duplicates import Duplicate, find_near_duplicates, perceptual_hash
from cervseg.data.fields import Field
from cervseg.data.statistics import FieldStatistics, Place, measure
from cervseg.data.truth import Found, MaskFile, empty_mask
from cervseg.digests import pixel_digest
from cervseg.errors import DataError
from cervseg.images.image import Image, whole
from cervseg.images.masks import interpret_mask, open_mask
from cervseg.images.mistaken import find_mistake
from cervseg.images.photo import Photo
from cervseg.images.readers import open_image
from cervseg.reports import SILENT, Progress, track

IN_HAND = 4
"""Fields a thread may be ahead of the slowest one, so that their pixels are not all in memory."""


class Examined(NamedTuple):
    """One field, looked at.

    Args:
        field: Its files, group and split.
        findings: What is wrong with it.
        statistics: None where image or mask can't be used.
        sha256: Of the decoded pixels; empty for one colour, or where they can't be decoded.
        phash: Likewise.
        edges: Share of the pixels along the edges that belong to a class.
    """

    field: Field
    findings: list[Finding]
    statistics: FieldStatistics | None = None
    sha256: str = ""
    phash: str = ""
    edges: float = 0.0


def examine_all(
    fields: Sequence[Field], classes: Classes, *, progress: Progress = SILENT
) -> list[Examined]:
    """Look at all fields, as many at once as there are processors; the order stays."""
    return list(
        track(_in_threads(fields, classes), "checking", total=len(fields), progress=progress)
    )


def _in_threads(fields: Sequence[Field], classes: Classes) -> Iterator[Examined]:
    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        try:
            for start in range(0, len(fields), workers * IN_HAND):
                some = fields[start : start + workers * IN_HAND]
                yield from pool.map(lambda field: examine(field, classes), some)
        finally:
            pool.shutdown(cancel_futures=True)


def examine(field: Field, classes: Classes) -> Examined:
    """Look at one field: each of its files is read once.

    Args:
        field: Of `find_fields`.
        classes: What masks can mean.
    """
    try:
        image = open_image(field.image)
        pixels = image.read(whole(image))
    except DataError as exc:
        return Examined(field, [_unreadable(field.name, exc)])
    findings = check_pixels(field.name, pixels)
    found, wrong = _examine_truth(field, image, classes)
    findings += wrong
    statistics, edges = None, 0.0
    if found is not None:
        edges = edge_share(found.mask)
        findings += check_regions(field.name, found.mask, classes)
        place = Place(field.name, field.split or "", field.group, field.scale)
        statistics = measure(place, pixels, found.mask, classes=classes, objects=found.objects)
    digest, phash = pixel_digest(pixels), perceptual_hash(pixels)
    return Examined(field, findings, statistics, digest, phash, edges)


def _examine_truth(
    field: Field, image: Image, classes: Classes
) -> tuple[Found | None, list[Finding]]:
    """What is on the image, unless that can't be said, and what is wrong with it."""
    size = image.height, image.width
    if field.truth is None:
        return Found(empty_mask(*size)), []
    if isinstance(field.truth, MaskFile):
        return _examine_mask(field.name, field.truth, image, classes=classes)
    try:
        return field.truth.read(*size, classes), []
    except DataError as exc:
        return None, [_unreadable(field.name, exc)]


def _examine_mask(
    item: str, file: MaskFile, image: Image, *, classes: Classes
) -> tuple[Found | None, list[Finding]]:
    try:
        picture = open_mask(file.path)
    except DataError as exc:
        return None, [_unreadable(item, exc)]
    form, values = picture.form, picture.values
    forms = (image.form, form) if isinstance(image, Photo) and image.form else ()
    height, width = values.shape
    findings = check_size(item, (image.height, image.width), (height, width), forms=forms)
    fits = (height, width) == (image.height, image.width)
    if file.reading == "index":
        one_bit = values // 255 if form.mode == "1" else values
        findings += check_indices(item, one_bit, classes)
    elif file.reading in ("colour", "threshold") and form.mode not in ("1", "L"):
        findings += check_colours(item, picture.colours, classes, reading=file.reading)
    mistake = find_mistake(picture, classes, file.reading, options=file.options)
    if mistake and not any(finding.kind == mistake.kind for finding in findings):
        words = f"{mistake.message} ({mistake.hint})"
        findings.append(Finding(mistake.kind, "error", item, words, mistake.share))
        return None, findings
    try:
        mask, changed = interpret_mask(picture, classes, file.reading, options=file.options)
    except DataError as exc:
        if not any(finding.kind == "indices" for finding in findings):
            findings.append(Finding("indices", "error", item, _words(exc)))
        return None, findings
    grey = values if file.reading == "threshold" else None
    findings += check_noise(item, grey, changed, kind=form.kind)
    if not fits:
        return None, findings
    try:
        return Found(mask, file.read_objects(height, width)), findings
    except DataError as exc:
        return None, [*findings, _unreadable(item, exc)]


def _unreadable(item: str, exc: DataError) -> Finding:
    return Finding("unreadable", "error", item, _words(exc))


def _words(exc: DataError) -> str:
    return str(exc) + (f" ({exc.hint})" if exc.hint else "")


def find_pairs(examined: Sequence[Examined], *, progress: Progress = SILENT) -> list[Duplicate]:
    """Find the fields that show the same: pixel by pixel, or turned, rescaled, re-encoded.

    Of several identical ones, each is paired with the first.
    """
    first: dict[str, int] = {}
    pairs: list[Duplicate] = []
    for place, one in enumerate(examined):
        if one.sha256 and first.setdefault(one.sha256, place) != place:
            pairs.append(Duplicate(first[one.sha256], place, 1.0))
    copies = {pair.second for pair in pairs}
    hashes = ["" if i in copies else one.phash for i, one in enumerate(examined)]

    def read(place: int) -> RGB:
        image = open_image(examined[place].field.image)
        return image.read(whole(image))

    near = find_near_duplicates(read, hashes, progress=progress)
    return sorted(pairs + near)


def check_pairs(examined: Sequence[Examined], pairs: Sequence[Duplicate]) -> list[Finding]:
    """Tell what fields show the same; in two splits or folds, that is a leak."""
    findings = []
    for pair in pairs:
        a, b = examined[pair.first].field, examined[pair.second].field
        same = pair.correlation == 1
        how = "the same picture" if same else f"nearly the same picture ({pair.correlation:.3f})"
        kind: Kind = "identical" if same else "near duplicate"
        if a.side and b.side and a.side != b.side:
            message = f"{how} as {a.name} in {a.side}, this in {b.side}"
            findings.append(Finding("leak", "error", b.name, message, partner=a.name))
        else:
            message = f"{how} as {a.name}"
            findings.append(Finding(kind, "warning", b.name, message, partner=a.name))
    return findings


def check_groups(fields: Sequence[Field]) -> list[Finding]:
    """Find the groups that stand in two splits or folds; one finding a group."""
    members: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for field in fields:
        if field.side:
            members[field.group][field.side].append(field.name)
    findings = []
    for group, splits in members.items():
        if len(splits) > 1:
            first, second = [names[0] for names in splits.values()][:2]
            message = _told_group(group, splits)
            findings.append(Finding("leak", "error", first, message, partner=second))
    return findings


def _told_group(group: str, splits: dict[str, list[str]]) -> str:
    sides = [f"{len(names)} in {split} ({names[0]})" for split, names in splits.items()]
    return f"group {group!r} is divided: {', '.join(sides)}"


def check_inverted(examined: Sequence[Examined], classes: Classes) -> list[Finding]:
    """Find masks that are foreground where background should be: all of them or none."""
    shares = [(one.statistics.foreground, one.edges) for one in examined if one.statistics]
    told = tell_inverted(shares, classes)
    return [Finding("inverted", "warning", "all fields", told)] if told else []


def check_classes(examined: Sequence[Examined], classes: Classes) -> list[Finding]:
    """Find classes, or a background, of which no mask has a pixel."""
    rows = [one.statistics for one in examined if one.statistics]
    if not rows:
        return []
    totals = np.sum([row.pixels for row in rows], axis=0)
    findings = []
    for name, total in zip(("background", *classes.names), totals[:-1].tolist(), strict=True):
        if total == 0:
            message = f"no mask has a pixel of {name!r}"
            if totals[-1] and name != "background":
                message += ", but there are pixels of 255, which is read as ignored"
            findings.append(Finding("absent class", "warning", "all fields", message))
    return findings


def read_truth(field: Field, classes: Classes) -> tuple[RGB, Mask]:
    """The pixels and the class indices of a field, once more, to show them.

    Raises:
        DataError: A file is broken, or does not fit.
    """
    image = open_image(field.image)
    found = Found(empty_mask(image.height, image.width))
    if field.truth is not None:
        found = field.truth.read(image.height, image.width, classes)
    return image.read(whole(image)), found.mask

"""Refuse data in which one slide, or one picture, stands on two sides of a split."""

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, cast

from cervseg.arrays import RGB
from cervseg.contract import Contract
from cervseg.data.duplicates import DISTANCE, confirm, propose
from cervseg.data.fields import list_problems
from cervseg.data.manifest import Dataset, SourceRow
from cervseg.errors import ConfigError, DataError, LeakError
from cervseg.reports import JSON, SILENT, Progress

log = logging.getLogger("cervseg")

MOST_COMPARED = 1000
"""Pairs that are compared pixel by pixel, those of the nearest hashes: a minute or two."""

BY_HASH_ALONE = 4
"""Bits by which a picture of which only the hash is known may differ: two chance hits among the
18 000 pairs of 190 crops of single cells, none among whole fields."""

MOST_TOLD = 5
"""Near duplicates that a notice names."""


class Tolerance:
    """Refuses leaks, unless somebody says why they may stand.

    Args:
        reason: Of `--allow-leak`; None refuses.

    Raises:
        ConfigError: The reason is empty.
    """

    def __init__(self, reason: str | None = None) -> None:
        if reason is not None and not reason.strip():
            raise ConfigError("--allow-leak needs a reason", hint="--allow-leak 'one slide only'")
        self.reason = reason
        self.found: list[str] = []

    @contextmanager
    def tolerating(self) -> Iterator[None]:
        """Let a leak that the block refuses pass, with a notice, where there is a reason."""
        try:
            yield
        except LeakError as exc:
            if self.reason is None:
                raise
            self.found.append(str(exc))
            log.warning("leak allowed (%s): %s", self.reason, exc)

    def record(self) -> dict[str, JSON]:
        """What a record, a dataset and scores keep of it; empty where nothing was allowed."""
        if self.reason is None:
            return {}
        return {"allowed_leak": {"reason": self.reason, "found": self.found}}


def refuse_leaks(sources: Sequence[SourceRow]) -> None:
    """Check that no group and no identical picture is in two splits, or in two folds.

    Pictures are compared by their decoded pixels, so a re-encoded or renamed copy counts; a
    picture of one colour (blank ground) does not.

    Raises:
        LeakError: Lists what is on two sides, with the names.
    """
    problems = _across(sources, "group") + _across(sources, "sha256")
    if problems:
        raise LeakError(
            list_problems("training and scoring data overlap", problems),
            hint="split by group: data.group_pattern, data.group_block, or other lists",
        )


def _side(row: SourceRow) -> str:
    return f"fold {row.fold}" if row.fold else row.split


def _across(sources: Sequence[SourceRow], key: str) -> list[str]:
    sides: dict[str, list[SourceRow]] = defaultdict(list)
    for row in sources:
        value = getattr(row, key)
        if value or key == "group":  # a picture of one colour has no digest
            sides[value].append(row)
    problems = []
    for value, rows in sides.items():
        first = {_side(row): row.name for row in reversed(rows)}
        if len(first) > 1:
            where = ", ".join(f"{name} ({side})" for side, name in sorted(first.items()))
            what = f"group {value!r}" if key == "group" else "one picture"
            problems.append(f"{what}: {where}")
    return problems


class NearPair(NamedTuple):
    """Two sources that show the same, turned, rescaled or re-encoded.

    Args:
        first: Name of the source.
        second: Likewise.
        correlation: Of their details, aligned; 1 at most.
    """

    first: str
    second: str
    correlation: float


def find_near_leaks(
    sources: Sequence[SourceRow],
    read: Callable[[SourceRow], RGB],
    *,
    progress: Progress = SILENT,
) -> tuple[list[NearPair], bool]:
    """Find the pictures in two splits, or two folds, that show the same.

    Args:
        sources: With their hashes.
        read: Gives the pixels of one; called for those whose hashes are near.
        progress: Shows how far the comparing is.

    Returns:
        The pairs, and whether all pairs of near hashes were compared: over `MOST_COMPARED` of
        them, only those of nearer hashes are.
    """
    hashes = [row.phash for row in sources]
    sides = [_side(row) for row in sources]
    for distance in range(DISTANCE, -1, -1):
        near = propose(hashes, distance=distance)
        pairs = [(a, b) for a, b in near if sides[a] != sides[b] and not _same(sources, a, b)]
        if len(pairs) <= MOST_COMPARED:
            break
    nearest = pairs[:MOST_COMPARED]
    found = confirm(lambda i: read(sources[i]), nearest, progress=progress) if nearest else []
    named = [NearPair(sources[a].name, sources[b].name, r) for a, b, r in found]
    return named, distance == DISTANCE


def _same(sources: Sequence[SourceRow], first: int, second: int) -> bool:
    """Identical pictures are a leak and told as one."""
    return sources[first].sha256 == sources[second].sha256


def tell_near_leaks(sources: Sequence[SourceRow], near: Sequence[NearPair]) -> list[str]:
    """A notice on near duplicates in two splits or folds, if there are any."""
    sides = {row.name: _side(row) for row in sources}
    pairs = [
        f"{a} ({sides[a]}) and {b} ({sides[b]}), correlation {correlation:.3f}"
        for a, b, correlation in near
        if a in sides and b in sides and sides[a] != sides[b]
    ]
    return _told("near duplicates on two sides of a split", pairs)


def near_pairs(dataset: Dataset) -> list[NearPair]:
    """What `dataset-tile` found and wrote down.

    Raises:
        DataError: The list is broken.
    """
    pairs = cast(list[list[str]], dataset.document.get("near_duplicates", []))
    try:
        return [NearPair(str(a), str(b), float(r)) for a, b, r in pairs]
    except (TypeError, ValueError) as exc:
        raise DataError(f"{dataset.folder}: broken dataset: {exc!r}") from exc


def _told(what: str, cases: Sequence[str]) -> list[str]:
    if not cases:
        return []
    more = f"; and {len(cases) - MOST_TOLD} more" if len(cases) > MOST_TOLD else ""
    return [f"{what}: {'; '.join(cases[:MOST_TOLD])}{more}"]


class Fingerprint(NamedTuple):
    """An image to be scored, as a contract can know it.

    Args:
        name: For the message.
        sha256: Of the decoded pixels; empty for a picture of one colour.
        phash: Likewise.
    """

    name: str
    sha256: str
    phash: str = ""


def refuse_trained_images(images: Sequence[Fingerprint], contract: Contract) -> None:
    """Check that a model was not fitted on the images to be scored.

    Raises:
        LeakError: Lists the images it knows.
    """
    seen = {image.sha256: image.split for image in contract.trained_on if image.sha256}
    problems = [
        f"{image.name}: in its {seen[image.sha256]} split"
        for image in images
        if image.sha256 in seen
    ]
    if problems:
        raise LeakError(
            list_problems("the model was fitted on images to be scored", problems),
            hint="hold out images that it has not seen, or say why it may be: --allow-leak REASON",
        )


def refuse_seen(dataset: Dataset, start: Contract) -> None:
    """Check that a model to start from was not fitted on what is held out.

    What validated it may validate again: it chose an epoch, no weights were fitted to it.

    Raises:
        LeakError: Lists the images it knows.
    """
    splits: dict[str, set[str]] = defaultdict(set)
    for image in start.trained_on:
        splits[image.sha256].add(image.split)
    again = [row for row in dataset.sources_of("valid") if splits[row.sha256] != {"valid"}]
    held_out = [*again, *dataset.sources_of("test")]
    images = [Fingerprint(row.name, row.sha256, row.phash) for row in held_out if row.sha256]
    refuse_trained_images(images, start)


def tell_resemblance(
    images: Sequence[Fingerprint], contract: Contract, *, compared: Collection[str] = ()
) -> list[str]:
    """A notice on images that look like those a model was fitted on, of which only hashes are left.

    Args:
        images: To be scored.
        contract: Of the model.
        compared: Digests of images whose pixels were compared already.
    """
    known = [image for image in contract.trained_on if image.phash and image.sha256 not in compared]
    hashes = [*(image.phash for image in images), *(image.phash or "" for image in known)]
    looks: dict[str, str] = {}
    for first, second in propose(hashes, distance=BY_HASH_ALONE):
        if first < len(images) <= second:
            image, other = images[first], known[second - len(images)]
            if image.sha256 != other.sha256:
                looks.setdefault(image.name, f"{image.name} (one of its {other.split} split)")
    return _told("by their hash alone, these look like images the model was fitted on",
                 list(looks.values()))  # fmt: skip

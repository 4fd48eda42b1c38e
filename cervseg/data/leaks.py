"""Refuse data in which one slide, or one picture, stands on two sides of a split."""

from collections import defaultdict
from collections.abc import Sequence

from cervseg.contract import Contract
from cervseg.data.fields import list_problems
from cervseg.data.manifest import SourceRow
from cervseg.errors import LeakError


def refuse_leaks(sources: Sequence[SourceRow]) -> None:
    """Check that no group and no identical picture is in two splits.

    Pictures are compared by their decoded pixels, so a re-encoded or renamed copy counts; an
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


def _across(sources: Sequence[SourceRow], key: str) -> list[str]:
    sides: dict[str, list[SourceRow]] = defaultdict(list)
    for row in sources:
        if value := getattr(row, key):
            sides[value].append(row)
    problems = []
    for value, rows in sides.items():
        first = {row.split: row.name for row in reversed(rows)}
        if len(first) > 1:
            where = ", ".join(f"{name} ({split})" for split, name in sorted(first.items()))
            what = f"group {value!r}" if key == "group" else "one picture"
            problems.append(f"{what}: {where}")
    return problems


def refuse_trained_images(images: Sequence[tuple[str, str]], contract: Contract) -> None:
    """Check that a model was not fitted on the images to be scored.

    Args:
        images: Name and digest of the decoded pixels of each.
        contract: Of the model.

    Raises:
        LeakError: Lists the images it knows.
    """
    seen = {image.sha256: image.split for image in contract.trained_on if image.sha256}
    problems = [f"{name}: in its {seen[digest]} split" for name, digest in images if digest in seen]
    if problems:
        raise LeakError(
            list_problems("the model was fitted on images to be scored", problems),
            hint="score images it has not seen; --split train or valid for those it has",
        )

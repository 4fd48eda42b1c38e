"""Fields: one photograph each, with what is known of it."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from cervseg.config.data import Split
from cervseg.data.truth import Truth

SPLITS: tuple[Split, ...] = ("train", "valid", "test")

ONE_STEM = ": two files with one stem"


class Field(NamedTuple):
    """One photograph and what is known of it.

    Args:
        name: Unique in a dataset: mostly the stem of the image.
        image: The photograph.
        origin: The file that says what is on it: a mask, an annotation, or the folder of several.
        group: What no split may divide: a slide, a patient.
        scale: Full-size pixels per file pixel, vertical and horizontal.
        split: Of the folder it lay in.
        truth: Reads what is on it; None stands for background only.
        fold: Of a dataset in folds, its number.
    """

    name: str
    image: Path
    origin: Path | None
    group: str
    scale: tuple[float, float] = (1.0, 1.0)
    split: Split | None = None
    truth: Truth | None = None
    fold: str = ""

    @property
    def side(self) -> str:
        """The split or the fold, for messages; empty where there is none."""
        return f"fold {self.fold}" if self.fold else self.split or ""


def list_problems(title: str, problems: list[str], *, most: int = 20) -> str:
    """One message of many lines: the first 20 problems and a count of the rest."""
    lines = [f"{title}: {len(problems)} {'problem' if len(problems) == 1 else 'problems'}"]
    lines += [f"  {problem}" for problem in problems[:most]]
    if len(problems) > most:
        lines.append(f"  and {len(problems) - most} more")
    return "\n".join(lines)


def repeated_names(named: Iterable[tuple[str, Path]]) -> list[str]:
    """A problem for each name that several files share."""
    paths: dict[str, list[Path]] = defaultdict(list)
    for name, path in named:
        paths[name].append(path)
    return [f"{same[0]} and {same[1]}{ONE_STEM}" for same in paths.values() if len(same) > 1]

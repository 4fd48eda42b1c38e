"""Pictures of an evaluation as parts of a page."""

import base64
import re
from collections.abc import Sequence
from pathlib import Path

from cervseg.reporting.page import Cell, Cells, Field

MOST_BYTES = 12_000_000
"""Of pictures in a page; further ones stay where they are."""

CELL_BYTES = MOST_BYTES // 3
"""Of them, at most, for cells."""

TITLES = {
    "merged": "Merged: one object over several cells",
    "split": "Split: several objects in one cell",
    "missed": "Missed",
    "rough": "Covered, but not outlined",
    "extra": "Objects where no cell is annotated",
}


class Pictures:
    """The pictures of an evaluation, until they are too many bytes for a page.

    Attributes:
        left_out: Fields and cells that were too much so far.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders, self._left, self.left_out = folders, MOST_BYTES, 0

    def fields(self) -> list[Field]:
        """The worst first, then the best; of both the first ones, where not all fit."""
        found: dict[str, list[Field]] = {"worst": [], "best": []}
        numbered = [(number, kind == "best", kind, name, stem) for kind in found
                    for number, name, stem in self._numbered("pictures", kind)]  # fmt: skip
        for number, _, kind, name, stem in sorted(numbered):
            layers = [stem.with_name(f"{stem.name}{suffix}")
                      for suffix in (".jpg", ".truth.png", ".prediction.png")]  # fmt: skip
            if all(path.is_file() for path in layers) and self._take(layers):
                found[kind].append(Field(f"{kind} {number}: {name}", *map(address, layers)))
        return [*found["worst"], *found["best"]]

    def cells(self) -> list[Cells]:
        """What went wrong, by fate; of each the first ones, where not all fit."""
        found: dict[str, list[Cell]] = {fate: [] for fate in TITLES}
        numbered = [(number, order, fate, name, stem) for order, fate in enumerate(found)
                    for number, name, stem in self._numbered("cells", fate)]  # fmt: skip
        for _, _, fate, name, stem in sorted(numbered):
            path = stem.with_name(f"{stem.name}.jpg")
            if self._take([path], keep=MOST_BYTES - CELL_BYTES):
                found[fate].append(Cell(name, address(path)))
        return [Cells(TITLES[fate], drawn) for fate, drawn in found.items() if drawn]

    def _numbered(self, folder: str, kind: str) -> list[tuple[int, str, Path]]:
        """Number, image and path without suffix of KIND1_NAME.jpg, …, in order, of all folders."""
        found = []
        for path in (path for part in self._folders for path in (part / folder).glob("*.jpg")):
            if match := re.fullmatch(rf"{kind}(\d+)_(.+)", path.stem):
                found.append((int(match[1]), match[2], path.with_suffix("")))
        return sorted(found)

    def _take(self, paths: Sequence[Path], *, keep: int = 0) -> bool:
        left = self._left - sum(path.stat().st_size for path in paths)
        if left < keep:
            self.left_out += 1
            return False
        self._left = left
        return True


def address(path: Path) -> str:
    """A picture as a `data:` address."""
    kind = "jpeg" if path.suffix == ".jpg" else "png"
    return f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"

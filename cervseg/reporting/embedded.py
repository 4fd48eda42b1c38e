"""Pictures of an evaluation as parts of a page."""

import base64
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from cervseg.reporting.page import Cell, Cells, Field

MOST_BYTES = 12_000_000
"""Of pictures in a page; further ones stay where they are."""

TITLES = {
    "merged": "Merged: one object over several cells",
    "split": "Split: several objects in one cell",
    "missed": "Missed",
    "rough": "Covered, but not outlined",
    "extra": "Objects where no cell is annotated",
}


class Pictures:
    """The pictures of an evaluation, until they are too many bytes for a page."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders, self._left = folders, MOST_BYTES

    def fields(self) -> Iterator[Field]:
        """The worst first, then the best."""
        for kind in ("worst", "best"):
            for number, name, stem in self._numbered("pictures", kind):
                layers = [stem.with_name(f"{stem.name}{suffix}")
                          for suffix in (".jpg", ".truth.png", ".prediction.png")]  # fmt: skip
                if all(path.is_file() for path in layers) and self._take(layers):
                    yield Field(f"{kind} {number}: {name}", *map(address, layers))

    def cells(self) -> Iterator[Cells]:
        """What went wrong, by fate."""
        for fate, title in TITLES.items():
            drawn = []
            for _, name, stem in self._numbered("cells", fate):
                path = stem.with_name(f"{stem.name}.jpg")
                if self._take([path]):
                    drawn.append(Cell(name, address(path)))
            if drawn:
                yield Cells(title, drawn)

    def _numbered(self, folder: str, kind: str) -> list[tuple[int, str, Path]]:
        """Number, image and path without suffix of KIND1_NAME.jpg, …, in order, of all folders."""
        found = []
        for path in (path for part in self._folders for path in (part / folder).glob("*.jpg")):
            if match := re.fullmatch(rf"{kind}(\d+)_(.+)", path.stem):
                found.append((int(match[1]), match[2], path.with_suffix("")))
        return sorted(found)

    def _take(self, paths: Sequence[Path]) -> bool:
        self._left -= sum(path.stat().st_size for path in paths)
        return self._left >= 0


def address(path: Path) -> str:
    """A picture as a `data:` address."""
    kind = "jpeg" if path.suffix == ".jpg" else "png"
    return f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"

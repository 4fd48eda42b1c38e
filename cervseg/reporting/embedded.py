"""Pictures of an evaluation as parts of a page."""

import base64
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
        for stem in sorted(
            self._stems("pictures", "*"), key=lambda s: not s.name.startswith("worst")
        ):
            layers = [stem.with_name(f"{stem.name}{suffix}")
                      for suffix in (".jpg", ".truth.png", ".prediction.png")]  # fmt: skip
            if all(path.is_file() for path in layers) and self._take(layers):
                kind, _, name = stem.name.partition("_")
                caption = f"{kind.rstrip('0123456789')} {kind.lstrip('worstbe')}: {name}"
                yield Field(caption, *map(address, layers))

    def cells(self) -> Iterator[Cells]:
        """What went wrong, by fate."""
        for fate, title in TITLES.items():
            paths = [
                stem.with_name(f"{stem.name}.jpg") for stem in self._stems("cells", f"{fate}*")
            ]
            shown = [path for path in paths if self._take([path])]
            if shown:
                drawn = [Cell(path.stem.partition("_")[2], address(path)) for path in shown]
                yield Cells(title, drawn)

    def _stems(self, kind: str, pattern: str) -> list[Path]:
        """Pictures of all folders, by name, the numbers before the names first."""
        found = [path for f in self._folders for path in (f / kind).glob(f"{pattern}.jpg")]
        return [path.with_suffix("") for path in sorted(found, key=lambda path: path.name)]

    def _take(self, paths: Sequence[Path]) -> bool:
        self._left -= sum(path.stat().st_size for path in paths)
        return self._left >= 0


def address(path: Path) -> str:
    """A picture as a `data:` address."""
    kind = "jpeg" if path.suffix == ".jpg" else "png"
    return f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"

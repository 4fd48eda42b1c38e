"""SIPaKMeD as its authors publish it: a folder a category, a contour file a cell and a nucleus.

Plissiti et al., ICIP 2018: `im_Metaplastic/im_Metaplastic/001.bmp` with `001_cyt01.dat` (the
outline of the whole cell) and `001_nuc01.dat`, one `x,y` a line.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from cervseg.annotations.rings import Polygon, Ring, make_ring
from cervseg.annotations.shapes import Shape
from cervseg.bounds import refuse_special
from cervseg.errors import DataError

Contours = Literal["cell", "nucleus_cytoplasm", "category"]

LARGEST = 16 * 2**20
"""Bytes of a contour file."""

_CONTOUR = re.compile(r"([0-9]+)_(cyt|nuc)([0-9]+)\.dat", re.IGNORECASE)
_IMAGE = re.compile(r"[0-9]+\.bmp", re.IGNORECASE)


class SipakmedField(NamedTuple):
    """One photograph with its contours.

    Args:
        name: Unique in the data set: `Metaplastic_001`.
        image: The photograph.
        category: Of all its cells.
        cells: Contour files of whole cells, by number.
        nuclei: Contour files of nuclei, by number.
    """

    name: str
    image: Path
    category: str
    cells: tuple[Path, ...]
    nuclei: tuple[Path, ...]


def find_sipakmed(folder: Path, categories: Sequence[str]) -> list[SipakmedField]:
    """List the photographs of some categories; pictures of single cells are left out.

    Args:
        folder: Holds `im_Metaplastic` and the like; in each the files, or once more a folder of
            its name with the files.
        categories: Which: `Metaplastic`.

    Raises:
        DataError: A folder is missing or has no photographs, or a contour has none.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    fields = []
    for category in categories:
        name = f"im_{category}"
        outer = folder / name
        if not outer.is_dir():
            found = sorted(p.name for p in folder.glob("im_*") if p.is_dir())
            raise DataError(
                f"{folder}: no folder {name} in it; found {', '.join(found) or 'no im_ folder'}",
                hint="name in data.source.categories what is there",
            )
        inner = outer / name
        fields += _list_category(inner if inner.is_dir() else outer, category)
    return fields


def _list_category(folder: Path, category: str) -> list[SipakmedField]:
    images = {}
    contours: dict[tuple[str, str], list[tuple[int, Path]]] = {}
    for path in sorted(folder.iterdir()):
        if match := _CONTOUR.fullmatch(path.name):
            key = match[1], match[2].lower()
            contours.setdefault(key, []).append((int(match[3]), path))
        elif _IMAGE.fullmatch(path.name):
            images[path.stem] = path
    if not images:
        raise DataError(f"{folder}: no photographs like 001.bmp in it")
    for (stem, _), files in contours.items():
        if stem not in images:
            raise DataError(f"{files[0][1]}: no {stem}.bmp beside it")
    return [
        SipakmedField(
            f"{category}_{stem}",
            image,
            category,
            tuple(path for _, path in sorted(contours.get((stem, "cyt"), []))),
            tuple(path for _, path in sorted(contours.get((stem, "nuc"), []))),
        )
        for stem, image in sorted(images.items())
    ]


def read_contours(field: SipakmedField, by: Contours) -> list[Shape]:
    """Read the contours of one photograph.

    A point is the index of a pixel, so it lies at that pixel's centre: 0.5 is added.

    Args:
        field: As found.
        by: `cell`: each whole cell is a `cell`; `category`: it has the category's name;
            `nucleus_cytoplasm`: the outline of the cell is a `cytoplasm`, that of its nucleus a
            `nucleus`, which lies on it: two objects.

    Raises:
        DataError: No contours; a nucleus without cell, or here a cell without nucleus; a broken
            file, with its line.
    """
    if not field.cells:
        raise DataError(f"{field.image}: no contour like {field.image.stem}_cyt01.dat beside it")
    cells, nuclei = _numbered(field.cells), _numbered(field.nuclei)
    for number, path in nuclei.items():
        if number not in cells:
            raise DataError(f"{path}: a nucleus, but its cell has no {_other(path)}")
    shapes = []
    for number, path in cells.items():
        name = {"cell": "cell", "category": field.category}.get(by, "cytoplasm")
        shapes.append(Shape(name, (Polygon(_read_ring(path)),), path.name))
        if by == "nucleus_cytoplasm":
            if number not in nuclei:
                raise DataError(f"{path}: a cell, but its nucleus has no {_other(path)}")
            nucleus = nuclei[number]
            shapes.append(Shape("nucleus", (Polygon(_read_ring(nucleus)),), nucleus.name))
    return shapes


def _numbered(paths: Sequence[Path]) -> dict[int, Path]:
    found: dict[int, Path] = {}
    for path in paths:
        match = _CONTOUR.fullmatch(path.name)
        assert match is not None
        number = int(match[3])
        if number in found:
            raise DataError(f"{found[number]} and {path}: two contours of one number")
        found[number] = path
    return found


def _other(path: Path) -> str:
    """The name of the cell's file for that of its nucleus, and the other way round."""
    return re.sub("_(cyt|nuc)", lambda m: "_cyt" if m[1] == "nuc" else "_nuc", path.name.lower())


def _read_ring(path: Path) -> Ring:
    """Read points, row and column."""
    refuse_special(path)
    try:
        if path.stat().st_size > LARGEST:
            raise DataError(f"{path}: over {LARGEST // 2**20} MB, no contour is so large")
        text = path.read_text(encoding="ascii")
    except FileNotFoundError as exc:
        raise DataError(f"{path}: no such file") from exc
    except (OSError, ValueError) as exc:
        raise DataError(f"{path}: not a readable contour: {exc}") from exc
    points = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            x, y = map(float, line.split(","))
        except ValueError as exc:
            shown = repr(line if len(line) <= 40 else f"{line[:37]}…")
            raise DataError(f"{path}:{number}: {shown} is no point like '734,301'") from exc
        points.append((y + 0.5, x + 0.5))
    return make_ring(points, where=str(path))

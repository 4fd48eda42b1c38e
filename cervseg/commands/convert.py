"""`cervseg convert`: annotations of any kind to masks, label images or GeoJSON."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cervseg.annotations.geojson import write_geojson
from cervseg.annotations.label_images import write_label_image
from cervseg.annotations.shapes import Labels, trace
from cervseg.classes import BACKGROUND, IGNORE, Classes
from cervseg.config import Config
from cervseg.config.loader import as_config
from cervseg.data.cutting import read_field
from cervseg.data.pairing import tell_apart
from cervseg.data.sources import find_fields
from cervseg.data.truth import IGNORED, Found
from cervseg.errors import DataError, OutputError
from cervseg.files import claim
from cervseg.images.image import decoding
from cervseg.images.masks import write_mask
from cervseg.images.photo import open_pillow
from cervseg.reports import SILENT, Failure, Progress, Report, track

Form = Literal["masks", "label_images", "geojson"]

SUFFIX: dict[Form, str] = {"masks": ".png", "label_images": ".png", "geojson": ".geojson"}


def convert(
    config: Config | Path | str,
    *,
    to: Form,
    output: Path | str,
    overwrite: bool = False,
    resume: bool = False,
    progress: Progress = SILENT,
) -> Report:
    """Write what is known of every image of `data.source` in another form.

    Args:
        config: Names the source and the classes.
        to: `masks`: class indices with a palette; `label_images`: 16 bit, a number an object;
            `geojson`: outlines in pixels of the image, as QuPath opens them.
        output: Folder of the files, named after the images, in folders like theirs where several
            images have one name.
        overwrite: Move an occupied output aside.
        resume: Leave out what is written.
        progress: Draws the bar.

    Raises:
        ConfigError: No source is named.
        OutputError: The output folder is occupied, or holds another form.
        DataError: Images and truth do not pair; a broken file is a failure in the report instead.
    """
    config = as_config(config)
    data, folder = config.data, Path(output)
    fields = find_fields(data)
    classes = data.class_table()
    places = tell_apart([(field.image.stem, field.image) for field in fields])
    named = list(zip(fields, places, strict=True))
    done: list[dict[str, str | int]] = []
    failures: list[Failure] = []
    lossy = 0
    needed = [path for field in fields for path in (field.image, field.origin)]
    with claim(folder, overwrite=overwrite, resume=resume, needed=needed):
        _require_suffix(folder, SUFFIX[to])
        for field, place in track(named, "converting", total=len(named), progress=progress):
            path = folder.joinpath(*place[:-1], f"{place[-1]}{SUFFIX[to]}")
            try:
                if resume and path.is_file():
                    _require_form(path, to)
                else:
                    found = read_field(field, data)[1]
                    _WRITERS[to](path, found, classes)
                    lossy += to == "label_images" and _says_more(found)
            except DataError as exc:
                failures.append(Failure.of(str(field.image), exc))
                continue
            done.append({"image": str(field.image), "written": str(path)})
    notice = (
        f"label images hold numbers only: in {lossy} of them what was ignored is background now, "
        "or classes are lost; masks and geojson keep both"
    )
    return Report(
        "convert",
        folder,
        results=tuple(done),
        paths=tuple(Path(str(row["written"])) for row in done),
        failures=tuple(failures),
        notices=(notice,) if lossy else (),
    )


def _says_more(found: Found) -> bool:
    """Whether a mask has ignored pixels, or several classes: objects alone do not tell them."""
    return len({*np.unique(found.mask).tolist()} - {BACKGROUND}) > 1


def _require_suffix(folder: Path, suffix: str) -> None:
    """Check that a folder that is gone on with holds files of this form.

    Raises:
        OutputError: It holds some of another.
    """
    other = next((p for p in folder.rglob("*") if p.suffix in {*SUFFIX.values()} - {suffix}), None)
    if other is not None:
        raise OutputError(f"{other}: written in another form", hint="choose another --output")


def _require_form(path: Path, to: Form) -> None:
    """Check that a picture to be kept was written in this form: by its bits.

    Raises:
        OutputError: It was not.
    """
    if to == "geojson":
        return
    with decoding(path), open_pillow(path) as file:
        if file.mode.startswith("I") != (to == "label_images"):
            raise OutputError(
                f"{path}: written in another form than {to}", hint="choose another --output"
            )


def labels_of(found: Found) -> Labels:
    """Class indices, and a number for each object: 8-connected components where none is known."""
    if found.objects is not None:
        return Labels(found.mask, found.objects)
    objects = np.zeros(found.mask.shape, np.uint16)
    total = 0
    for index in np.unique(found.mask):
        if index in (BACKGROUND, IGNORE):
            continue
        labels, count = ndimage.label(found.mask == index, np.ones((3, 3)))
        if total + count > np.iinfo(np.uint16).max:
            raise DataError(f"more than {np.iinfo(np.uint16).max} objects in one image")
        objects[labels > 0] = (labels[labels > 0] + total).astype(np.uint16)
        total += count
    return Labels(found.mask, objects)


def _write_mask(path: Path, found: Found, classes: Classes) -> None:
    write_mask(path, found.mask, classes.palette())


def _write_label_image(path: Path, found: Found, classes: Classes) -> None:
    write_label_image(path, labels_of(found).objects)


def _write_geojson(path: Path, found: Found, classes: Classes) -> None:
    shapes = trace(labels_of(found), classes.names)
    ignored: NDArray[np.uint16] = (found.mask == IGNORE).astype(np.uint16)
    if ignored.any():
        shapes += trace(Labels(ignored.astype(np.uint8), ignored), (IGNORED,))
    write_geojson(path, shapes, classes)


_WRITERS: dict[Form, Callable[[Path, Found, Classes], None]] = {
    "masks": _write_mask,
    "label_images": _write_label_image,
    "geojson": _write_geojson,
}

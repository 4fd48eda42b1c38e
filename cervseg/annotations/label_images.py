"""Label images: a number for each object, as Cellpose and StarDist write them."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageOps

from cervseg.annotations.shapes import renumber
from cervseg.errors import DataError
from cervseg.files import writing
from cervseg.images.image import decoding, find_images, place_of
from cervseg.images.photo import open_pillow

ENDINGS = ("", "_masks", "_cp_masks")
"""What may stand behind an image's stem in the name of its label image."""

_FULL = (255, 65535)


def find_label_images(
    images: Sequence[Path], folder: Path, *, root: Path
) -> dict[Path, Path | None]:
    """Give the label image of each image, by stem and ending; None where there is none.

    Those of a stem that occurs in several folders lie in folders of the same names.

    The folder may be that of the images, as Cellpose writes: what is the label image of another
    is then no image itself.

    Args:
        images: All of them.
        folder: Of the label images.
        root: The folder that the images lie in.

    Raises:
        DataError: There is no such folder, or an image has two label images.
    """
    stems = Counter(image.stem for image in images)
    themselves = {image.resolve() for image in images}
    found: dict[str, Path] = {}
    for path in find_images(folder):
        for ending in ENDINGS:
            stem = path.stem.removesuffix(ending)
            if not path.stem.endswith(ending) or stem not in stems:
                continue
            if not ending and path.resolve() in themselves:
                continue
            place = place_of(path, stem, root=folder, counts=stems)
            if place in found:
                raise DataError(f"{found[place]} and {path}: two label images of one image")
            found[place] = path
    taken = {path.resolve() for path in found.values()}
    left = [image for image in images if image.resolve() not in taken]
    return {i: found.get(place_of(i, i.stem, root=root, counts=stems)) for i in left}


def read_label_image(path: Path) -> NDArray[np.uint16]:
    """Read the numbers of objects, upright.

    Any file of whole numbers with one channel that Pillow opens, 8 to 32 bits; gaps are closed.

    Returns:
        0 for background, else 1 and up without gaps, shape (height, width).

    Raises:
        DataError: Missing or broken; in colour, of decimal numbers or of several pages; a mask of
            black and white; a number below 0; more than 65 535 objects.
    """
    with decoding(path), open_pillow(path) as file:
        if file.mode == "F":
            raise DataError(f"{path}: decimal numbers, but a label image has whole ones")
        if file.mode not in ("1", "L", "P") and not file.mode.startswith("I"):
            raise DataError(
                f"{path}: a picture in colour, but a label image has one number a pixel",
                hint="for masks in class colours use kind: folders",
            )
        if (pages := getattr(file, "n_frames", 1)) > 1:
            raise DataError(f"{path}: {pages} pages, but a label image has one")
        is_mask = file.mode == "1"
        ImageOps.exif_transpose(file, in_place=True)
        values = np.asarray(file)
    if (lowest := values.min(initial=0)) < 0:
        raise DataError(f"{path}: number {lowest}, but those of objects are 1 and up")
    brightest = int(values.max(initial=0))
    if is_mask or (brightest in _FULL and ((values == 0) | (values == brightest)).all()):
        raise DataError(
            f"{path}: only black and white, a mask rather than a number for each object",
            hint="for masks use kind: folders",
        )
    try:
        return renumber(values)
    except DataError as exc:
        raise DataError(f"{path}: {exc}") from exc


def write_label_image(path: Path, objects: NDArray[np.uint16]) -> None:
    """Write the numbers of objects as a PNG of 16 bits, whole or not at all."""
    with writing(path) as partial:
        Pillow.fromarray(objects).save(partial, format="PNG", compress_level=6)

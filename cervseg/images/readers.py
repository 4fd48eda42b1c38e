"""Open an image with the reader of its format: its first bytes decide, not its suffix."""

from collections.abc import Callable
from pathlib import Path

from cervseg.images.image import Image, decoding, is_zarr
from cervseg.images.photo import open_photo
from cervseg.images.slide import open_slide
from cervseg.images.tiff import open_tiff
from cervseg.images.zarr import open_zarr

READERS: dict[str, Callable[[Path], Image]] = {
    "photo": open_photo,
    "tiff": open_tiff,
    "zarr": open_zarr,
    "slide": open_slide,
}
"""Format to a function that opens a file of it."""

TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""First bytes of TIFF and BigTIFF, little- and big-endian."""

SLIDE = (
    b"ZISRAWFILE",  # Zeiss CZI
    b"SQLite format 3\0",  # Sakura SVSLIDE
    b"[Virtual Microscope Specimen]",  # Hamamatsu VMS
    b"[Uncompressed Virtual Microscope Specimen]",  # Hamamatsu VMU
)
"""First bytes of scanners' formats that are no TIFF."""

DICOM = slice(128, 132)
"""Where a DICOM file says that it is one, with `DICM`."""


def open_image(path: Path) -> Image:
    """Open an image: a file, or the folder of a Zarr.

    Raises:
        DataError: It is missing, broken, or too large to decode.
        ConfigError: Its format needs a library that is not installed.
    """
    return READERS[format_of(path)](path)


def format_of(path: Path) -> str:
    """The reader of a file; what is not recognised is left to `photo`, which says so.

    Raises:
        DataError: The file is missing or can't be read.
    """
    if path.is_dir():
        return "zarr" if is_zarr(path) else "photo"
    with decoding(path), path.open("rb") as file:
        start = file.read(DICOM.stop)
    if start.startswith(TIFF):
        return "tiff"
    # A MIRAX slide is a small JPEG beside the folder that holds it; its bytes don't tell.
    is_mirax = path.suffix.lower() == ".mrxs" and (path.with_suffix("") / "Slidedat.ini").exists()
    if start.startswith(SLIDE) or start[DICOM] == b"DICM" or is_mirax:
        return "slide"
    return "photo"

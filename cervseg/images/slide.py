"""Slides of scanners, read by OpenSlide: an optional library, imported here alone."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cervseg.arrays import RGB
from cervseg.errors import ConfigError, DataError
from cervseg.images.image import decoding
from cervseg.images.photo import over_white
from cervseg.images.scale import plausible
from cervseg.images.segments import Segmented, is_reduced

if TYPE_CHECKING:
    from openslide import OpenSlide

BLOCK = 512
"""Side of the squares in which a slide is read, pixels: always the same, so that a window has the
same bits however it is asked for."""

EXTRA = "pip install 'cervseg[slides]'"


def open_slide(path: Path) -> Segmented:
    """Open what OpenSlide reads: SVS, NDPI, MRXS, SCN, BIF, VMS, CZI and others.

    Where nothing was scanned it is white. Levels are left out unless one pixel of theirs is a whole
    number of pixels of the image: OpenSlide blurs at positions between pixels.

    Raises:
        DataError: It is missing, broken, or no slide.
        ConfigError: OpenSlide is not installed.
    """
    try:
        from openslide import OpenSlide
    except ImportError as exc:
        raise ConfigError(f"{path}: this format needs OpenSlide", hint=EXTRA) from exc
    with decoding(path):
        if not path.exists():
            raise FileNotFoundError
        if OpenSlide.detect_format(path) is None:
            raise DataError(f"{path}: can't be decoded: not a slide of a known kind")
        slide = OpenSlide(path)
        images = [
            _level(path, slide, number)
            for number in range(slide.level_count)
            if number == 0 or _is_exact(slide, number)
        ]
        return replace(images[0], levels=tuple(images[1:]))


def _level(path: Path, slide: "OpenSlide", number: int) -> Segmented:
    width, height = slide.level_dimensions[number]
    if not width * height:
        raise DataError(f"{path}: can't be decoded: it holds no image")
    mpp = _mpp(slide)
    return Segmented(
        path,
        height,
        width,
        segment=(BLOCK, BLOCK),
        load=_loader(slide, number),
        mpp=None if mpp is None else mpp * slide.level_dimensions[0][1] / height,
    )


def _loader(slide: "OpenSlide", number: int) -> Callable[[int, int], RGB]:
    step = round(slide.level_downsamples[number])
    width, height = slide.level_dimensions[number]

    def load(row: int, column: int) -> RGB:
        top, left = row * BLOCK, column * BLOCK
        size = min(BLOCK, width - left), min(BLOCK, height - top)
        return over_white(slide.read_region((left * step, top * step), number, size))

    return load


def _is_exact(slide: "OpenSlide", number: int) -> bool:
    (width, height), (full_width, full_height) = (slide.level_dimensions[n] for n in (number, 0))
    downsample = slide.level_downsamples[number]
    whole = downsample == round(downsample) and downsample > 1
    return whole and is_reduced((height, width), (full_height, full_width))


def _mpp(slide: "OpenSlide") -> float | None:
    sizes = [slide.properties.get(f"openslide.mpp-{axis}") for axis in "xy"]
    try:
        numbers = [float(size) for size in sizes if size is not None]
    except ValueError:
        return None
    return plausible(*numbers) if numbers else None

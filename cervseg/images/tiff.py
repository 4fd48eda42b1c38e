"""TIFF read in regions: tiled, striped, pyramids, OME-TIFF, Aperio's SVS, BigTIFF."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from xml.etree import ElementTree

from PIL.ImageFile import ImageFile
from tifffile import TiffFile, TiffPage, TiffPages

from cervseg.arrays import RGB
from cervseg.errors import DataError
from cervseg.images.image import Image, decoding
from cervseg.images.photo import MAX_PIXELS, PLANES, open_photo, open_pillow
from cervseg.images.scale import from_aperio, from_lengths, from_resolution, imagej_unit
from cervseg.images.segments import Segmented, is_reduced, to_rgb
from cervseg.images.slide import open_slide
from cervseg.images.tiff_pages import PageSegments, is_sound, page_segments, refusal

SMALL = 32_000_000
"""Pixels up to which a plain TIFF, without tiles or levels, is a photograph: 96 MB of RGB."""

MAX_PAGES = 64
"""Pages that are looked through for levels."""

X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 282, 283, 296
REDUCED = 1
"""Bit of a page's kind that says it is a smaller copy of another."""

YCBCR_JPEG2000 = 33003

Level = list[TiffPage]
"""The pages of one size: one, or a page for each of three channels."""


def open_tiff(path: Path) -> Image:
    """Open a TIFF file to be read in regions, or as a photograph.

    A small one without tiles and levels is a photograph. So is what only Pillow decodes (palette,
    CMYK, turned, floats: see `open_photo`), if it is small enough. Formats of scanners whose tiles
    overlap go to OpenSlide.

    Raises:
        DataError: It is missing, broken, or can be decoded neither in regions nor as a whole.
        ConfigError: It needs OpenSlide, which is not installed.
    """
    logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)  # what it says, we say in errors
    try:
        with decoding(path):
            file = TiffFile(path)
    except DataError:
        if _is_plain(path):  # Pillow knows better
            return open_photo(path)
        raise
    with decoding(path), file:
        first = _first_page(file, path)
        if _is_for_openslide(first):
            return open_slide(path)
        levels = _find_levels(first, list(islice(_pages(path, file.pages), MAX_PAGES)), path)
        problem = next(filter(None, map(refusal, levels[0])), None)
        is_plain = len(levels) == 1 and not first.is_tiled and not first.is_ome
        # Pillow misreads these.
        is_plain &= not (first.planarconfig == PLANES and first.bitspersample == 16)
        pixels = first.imagewidth * first.imagelength
        if pixels <= (MAX_PIXELS if problem else SMALL if is_plain else 0):
            return replace(open_photo(path), mpp=_mpp(first))
        if problem is not None:
            raise DataError(
                f"{path}: {pixels / 1e6:.0f} megapixels, and {problem} can't be read in regions",
                hint=f"save it in tiles, or cut it to {MAX_PIXELS / 1e6:.0f} megapixels",
            )
        return _pyramid(path, levels, _mpp(first))


def _is_plain(path: Path) -> bool:
    """Whether Pillow decodes a file by itself: libtiff, its help, writes to stderr."""
    with decoding(path), open_pillow(path) as file:
        tiles = file.tile if isinstance(file, ImageFile) else []
        return bool(tiles) and tiles[0][0] == "raw"


def _first_page(file: TiffFile, path: Path) -> TiffPage:
    page = file.pages[0]
    if not isinstance(page, TiffPage) or not is_sound(page):
        raise DataError(f"{path}: damaged, as its size or its tiles make no sense")
    return page


def _is_for_openslide(page: TiffPage) -> bool:
    """Whether a scanner's pages are no plain grid: only OpenSlide knows how to put them together.

    Trestle's program is called MedScan.
    """
    known = page.is_ndpi or page.is_scn or page.is_bif or page.is_philips
    coded = page.is_svs and page.compression == YCBCR_JPEG2000
    return known or coded or page.software.startswith("MedScan")


def _pages(path: Path, pages: TiffPages) -> Iterator[TiffPage]:
    """Pages up to the first that is broken: those behind the image are no reason to refuse it."""
    for number in range(MAX_PAGES):
        try:
            with decoding(path):
                page = pages[number]
        except DataError:
            return
        if isinstance(page, TiffPage) and is_sound(page):
            yield page


def _find_levels(first: TiffPage, pages: Sequence[TiffPage], path: Path) -> list[Level]:
    """The image and its smaller copies: in its SubIFDs, or else as pages behind it."""
    channels = _channel_pages(first, pages)
    within = [list(_pages(path, page.pages)) if page.pages else [] for page in channels]
    if any(within):
        found = [list(level) for level in zip(*within, strict=False)]
    else:
        found = [[page] for page in pages[1:] if page.is_tiled or page.subfiletype & REDUCED]
    levels = [channels]
    for level in sorted(found, key=lambda level: -level[0].imagelength):
        if all(_is_level(page, first, levels[-1][0]) for page in level):
            levels.append(level)
    return levels


def _is_level(page: TiffPage, first: TiffPage, larger: TiffPage) -> bool:
    """Whether a page is a smaller copy; labels and overviews of the glass are stored otherwise."""
    size, full = (page.imagelength, page.imagewidth), (first.imagelength, first.imagewidth)
    alike = (page.is_tiled, page.samplesperpixel, page.dtype)
    same = alike == (first.is_tiled, first.samplesperpixel, first.dtype)
    smaller = page.imagelength < larger.imagelength and is_reduced(size, full)
    return same and smaller and refusal(page) is None


def _channel_pages(first: TiffPage, pages: Sequence[TiffPage]) -> Level:
    """The three grey pages that are red, green and blue, if OME says so; else the first page."""
    ome = _ome_pixels(first)
    three = list(pages[:3])
    if ome is None or ome.get("SizeC") != "3" or first.samplesperpixel != 1 or len(three) < 3:
        return [first]
    single = ome.get("SizeZ", "1") == ome.get("SizeT", "1") == "1"
    in_order = single or ome.get("DimensionOrder", "").startswith("XYC")
    alike = all((p.shape, p.dtype) == (first.shape, first.dtype) for p in three)
    return three if in_order and alike else [first]


def _ome_pixels(page: TiffPage) -> dict[str, str] | None:
    """Attributes of the first image's `Pixels`; None without OME-XML."""
    if not page.is_ome:
        return None
    try:
        root = ElementTree.fromstring(page.description)
    except (ElementTree.ParseError, ValueError):
        return None
    element = root.find(".//{*}Pixels")
    return None if element is None else dict(element.attrib)


def _mpp(page: TiffPage) -> float | None:
    """Micrometres per pixel: of Aperio, of OME, or of the resolution, whose unit ImageJ names."""
    if page.is_svs:
        return from_aperio(page.description)
    ome = _ome_pixels(page) or {}
    named = [name for name in ("PhysicalSizeX", "PhysicalSizeY") if name in ome]
    if "PhysicalSizeX" in named:
        return from_lengths([ome[n] for n in named], [ome.get(f"{n}Unit") for n in named])
    resolution = [page.tags.valueof(code) for code in (X_RESOLUTION, Y_RESOLUTION)]
    pairs = [pair for pair in resolution if isinstance(pair, tuple) and len(pair) == 2]
    named_unit = imagej_unit(page.description)
    unit = page.tags.valueof(RESOLUTION_UNIT) if named_unit is None else named_unit
    return from_resolution(pairs, unit) if len(pairs) == 2 else None


def _pyramid(path: Path, levels: Sequence[Level], mpp: float | None) -> Segmented:
    """The image with its levels; none of them needs the file to stay open."""
    images: list[Segmented] = []
    for level in levels:
        parts = [page_segments(path, page) for page in level]
        height, width = parts[0].size
        full = images[0].height if images else height
        images.append(
            Segmented(
                path,
                height,
                width,
                segment=parts[0].segment,
                load=_loader(parts),
                mpp=None if mpp is None else mpp * full / height,
            )
        )
    return replace(images[0], levels=tuple(images[1:]))


def _loader(parts: Sequence[PageSegments]) -> Callable[[int, int], RGB]:
    return lambda row, column: to_rgb([part.load(row, column) for part in parts])

"""Cut one field: its tiles on disk, and its rows of the manifest."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cervseg.annotations.label_images import write_label_image
from cervseg.arrays import Mask
from cervseg.config.data import DataConfig, Split
from cervseg.data.checks import edge_share
from cervseg.data.duplicates import perceptual_hash
from cervseg.data.fields import Field
from cervseg.data.manifest import SourceRow, TileRow
from cervseg.data.tiling import Tile, Tiling, cut_tiles, foreground_share
from cervseg.data.truth import Found, MaskFile, empty_mask
from cervseg.digests import pixel_digest
from cervseg.errors import ConfigError, DataError
from cervseg.images.image import Image, whole
from cervseg.images.masks import Reading, write_mask
from cervseg.images.overlays import write_picture
from cervseg.images.readers import open_image


class Cut(NamedTuple):
    """What became of one field.

    Args:
        source: Its row in `sources.csv`.
        tiles: Its rows in `manifest.csv`.
        dropped: Training tiles without foreground that were not kept.
        padding: Share of the tiles' pixels that is reflected.
        changed: Share of the mask's pixels that had no exact class value.
        edges: Share of the pixels along the mask's edges that belong to a class.
    """

    source: SourceRow
    tiles: list[TileRow]
    dropped: int
    padding: float
    changed: float
    edges: float


def mask_reading(data: DataConfig, fields: Sequence[Field]) -> Reading:
    """How the masks that a dataset names are read.

    Those of fields are written anew, as indices. Those of finished tiles stay where they are: as
    the config says, and indices where they are tiles of a dataset folder of ours.

    Raises:
        ConfigError: Some are such tiles and some are not.
    """
    if data.source[0].kind != "tiles":
        return "index"
    readings = {field.truth.reading for field in fields if isinstance(field.truth, MaskFile)}
    if len(readings) > 1:
        raise ConfigError(
            "'data.source': tiles of cervseg (class indices) and other masks can't be mixed",
            hint="set data.masks.read",
        )
    return readings.pop() if readings else data.mask_reading()


def cut_field(
    field: Field,
    split: Split | None,
    *,
    data: DataConfig,
    folder: Path,
    seed: tuple[int, ...],
) -> Cut:
    """Read a field and cut it, or only index it where it is a tile already.

    A field of a dataset in folds is cut twice, for training and for validation, since it is used
    for either. Where training draws from the fields, nothing is cut for it.

    Args:
        field: To cut.
        split: It belongs to; None in a dataset in folds.
        data: Section `data`.
        folder: Of the dataset.
        seed: Decides which empty tiles are kept.

    Raises:
        DataError: A file is broken, or its size does not fit.
    """
    image, found = read_field(field, data)
    source = _source(field, split, image=image, mask=found.mask)
    forms: list[Split] = ["train", "valid"] if split is None else [split]
    if data.sampling == "fields":
        forms = [form for form in forms if form != "train"]
    if data.source[0].kind == "tiles":
        tiles = [_index_tile(source, form, data) for form in forms]
        return Cut(source, tiles, 0, 0.0, found.changed, edge_share(found.mask))
    palette = data.class_table().palette()
    source = _write_truth(folder, source, found, palette=palette)
    rng = np.random.default_rng(seed)
    rows, dropped, padding = [], 0, []
    for form in forms:
        in_training = form == "train"
        tiling = _tiling(data, in_training=in_training)
        for tile in cut_tiles(image, found.mask, tiling, file_scale=field.scale):
            empty = not foreground_share(tile.mask)
            if in_training and empty and rng.random() >= data.keep_empty:
                dropped += 1
                continue
            padding.append(tile.padding)
            rows.append(_write_tile(folder, tile, source=source, split=form, palette=palette))
    padded, edges = float(np.mean(padding or [0.0])), edge_share(found.mask)
    return Cut(source, rows, dropped, padded, found.changed, edges)


def _tiling(data: DataConfig, *, in_training: bool) -> Tiling:
    """Training sees everything often, at several scales; scores count each pixel once."""
    return Tiling(
        data.tile_size,
        data.overlap if in_training else 0,
        (data.scale, *(data.extra_scales if in_training else ())),
        reduced=data.include_reduced and in_training,
        once=not in_training,
        interpolation=data.masks.interpolation,
    )


def read_field(field: Field, data: DataConfig) -> tuple[Image, Found]:
    """Open the photograph of a field and read what is on it.

    Args:
        field: Of `find_fields`.
        data: Section `data`.

    Raises:
        DataError: A file is broken, or the two differ in size.
    """
    image = open_image(field.image)
    if field.truth is None:
        return image, Found(empty_mask(image.height, image.width))
    return image, field.truth.read(image.height, image.width, data.class_table())


def _write_truth(folder: Path, source: SourceRow, found: Found, *, palette: list[int]) -> SourceRow:
    """Keep what was read, so that it is decided once: the class indices, and the objects."""
    if not source.mask:
        return source
    mask, objects = f"masks/{source.name}.png", f"objects/{source.name}.png"
    write_mask(folder / mask, found.mask, palette)
    if found.objects is None:
        return source._replace(mask=mask)
    write_label_image(folder / objects, found.objects)
    return source._replace(mask=mask, objects=objects)


def _source(field: Field, split: Split | None, *, image: Image, mask: Mask) -> SourceRow:
    pixels = image.read(whole(image))
    return SourceRow(
        name=field.name,
        image=str(field.image.absolute()),
        mask=str(field.origin.absolute()) if field.origin else "",
        objects="",
        origin=str(field.origin.absolute()) if field.origin else "",
        group=field.group,
        split=split or "",
        fold="",
        height=image.height,
        width=image.width,
        vertical=field.scale[0],
        horizontal=field.scale[1],
        mpp="" if image.mpp is None else repr(image.mpp),
        sha256=pixel_digest(pixels),
        phash=perceptual_hash(pixels),
        foreground=round(foreground_share(mask), 6),
    )


def _index_tile(source: SourceRow, split: Split, data: DataConfig) -> TileRow:
    if (source.height, source.width) != (data.tile_size, data.tile_size):
        raise DataError(
            f"{source.image}: {source.width} x {source.height} pixels, "
            f"'data.tile_size' is {data.tile_size}"
        )
    return TileRow(
        tile=source.image,
        mask=source.mask,
        source=source.name,
        group=source.group,
        split=split,
        kind="window",
        scale=data.scale,
        top=0,
        left=0,
        height=source.height,
        width=source.width,
        foreground=source.foreground,
        sha256=source.sha256,
    )


def _write_tile(
    folder: Path, tile: Tile, *, source: SourceRow, split: Split, palette: list[int]
) -> TileRow:
    window = tile.window
    kind = "reduced" if tile.kind == "reduced" else f"{tile.scale:g}"
    name = f"{source.name}_{kind}_{window.top}x{window.left}.png"
    image = f"tiles/{split}/images/{name}"
    mask = f"tiles/{split}/masks/{name}"
    write_picture(folder / image, tile.image)
    write_mask(folder / mask, tile.mask, palette)
    return TileRow(
        tile=image,
        mask=mask,
        source=source.name,
        group=source.group,
        split=split,
        kind=tile.kind,
        scale=tile.scale,
        top=window.top,
        left=window.left,
        height=window.height,
        width=window.width,
        foreground=round(foreground_share(tile.mask), 6),
        sha256=pixel_digest(tile.image),
    )

"""Cut one field: its tiles on disk, and its rows of the manifest."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cervseg.arrays import Mask
from cervseg.config.data import DataConfig, Split
from cervseg.data.fields import Field
from cervseg.data.labelled import Labelled, read_labelled
from cervseg.data.manifest import DOCUMENT, SourceRow, TileRow
from cervseg.data.tiling import Tile, Tiling, cut_tiles, foreground_share
from cervseg.errors import ConfigError, DataError
from cervseg.files import pixel_digest
from cervseg.images.image import Image, whole
from cervseg.images.masks import Reading, write_mask
from cervseg.images.overlays import write_picture


class Cut(NamedTuple):
    """What became of one field.

    Args:
        source: Its row in `sources.csv`.
        tiles: Its rows in `manifest.csv`.
        dropped: Training tiles without foreground that were not kept.
        padding: Share of the tiles' pixels that is reflected.
        changed: Share of the mask's pixels that had no exact class value.
    """

    source: SourceRow
    tiles: list[TileRow]
    dropped: int
    padding: float
    changed: float


def mask_reading(data: DataConfig, fields: Sequence[Field]) -> Reading:
    """How masks are read: as the config says; tiles of a dataset folder of ours are indices.

    Raises:
        ConfigError: Some are such tiles and some are not.
    """
    ours = {data.source[0].kind == "tiles" and _is_ours(field.image) for field in fields}
    if data.masks.read != "auto" or ours == {False}:
        return data.mask_reading()
    if len(ours) > 1:
        raise ConfigError(
            "'data.source': tiles of cervseg (class indices) and other masks can't be mixed",
            hint="set data.masks.read",
        )
    return "index"


def _is_ours(tile: Path) -> bool:
    """Whether a tile lies in DATASET/tiles/SPLIT/images beside DATASET/dataset.json."""
    parents = tile.absolute().parents
    return len(parents) > 3 and parents[2].name == "tiles" and (parents[3] / DOCUMENT).is_file()


def cut_field(
    field: Field,
    split: Split,
    *,
    data: DataConfig,
    reading: Reading,
    folder: Path,
    seed: tuple[int, ...],
) -> Cut:
    """Read a field and cut it, or only index it where it is a tile already.

    Args:
        field: To cut.
        split: It belongs to.
        data: Section `data`.
        reading: From `mask_reading`.
        folder: Of the dataset.
        seed: Decides which empty tiles are kept.

    Raises:
        DataError: A file is broken, or its size does not fit.
    """
    item = Labelled(field.name, field.image, field.mask, reading, field.scale)
    image, mask, changed = read_labelled(item, data.class_table())
    source = _source(field, split, image=image, mask=mask)
    if data.source[0].kind == "tiles":
        return Cut(source, [_index_tile(source, data)], 0, 0.0, changed)
    in_training = split == "train"
    tiling = Tiling(
        data.tile_size,
        data.overlap if in_training else 0,
        (data.scale, *(data.extra_scales if in_training else ())),
        reduced=data.include_reduced and in_training,
        once=not in_training,
    )
    rng = np.random.default_rng(seed)
    palette = data.class_table().palette()
    rows, dropped, padding = [], 0, []
    for tile in cut_tiles(image, mask, tiling, file_scale=field.scale):
        empty = not foreground_share(tile.mask)
        if in_training and empty and rng.random() >= data.keep_empty:
            dropped += 1
            continue
        padding.append(tile.padding)
        rows.append(_write_tile(folder, tile, source=source, palette=palette))
    return Cut(source, rows, dropped, float(np.mean(padding or [0.0])), changed)


def _source(field: Field, split: Split, *, image: Image, mask: Mask) -> SourceRow:
    return SourceRow(
        name=field.name,
        image=str(field.image.absolute()),
        mask=str(field.mask.absolute()) if field.mask else "",
        group=field.group,
        split=split,
        height=image.height,
        width=image.width,
        vertical=field.scale[0],
        horizontal=field.scale[1],
        mpp="" if image.mpp is None else repr(image.mpp),
        sha256=pixel_digest(image.read(whole(image))),
        phash="",
        foreground=round(foreground_share(mask), 6),
    )


def _index_tile(source: SourceRow, data: DataConfig) -> TileRow:
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
        split=source.split,
        kind="window",
        scale=data.scale,
        top=0,
        left=0,
        height=source.height,
        width=source.width,
        foreground=source.foreground,
        sha256=source.sha256,
    )


def _write_tile(folder: Path, tile: Tile, *, source: SourceRow, palette: list[int]) -> TileRow:
    window = tile.window
    kind = "reduced" if tile.kind == "reduced" else f"{tile.scale:g}"
    name = f"{source.name}_{kind}_{window.top}x{window.left}.png"
    image = f"tiles/{source.split}/images/{name}"
    mask = f"tiles/{source.split}/masks/{name}"
    write_picture(folder / image, tile.image)
    write_mask(folder / mask, tile.mask, palette)
    return TileRow(
        tile=image,
        mask=mask,
        source=source.name,
        group=source.group,
        split=source.split,
        kind=tile.kind,
        scale=tile.scale,
        top=window.top,
        left=window.left,
        height=window.height,
        width=window.width,
        foreground=round(foreground_share(tile.mask), 6),
        sha256=pixel_digest(tile.image),
    )

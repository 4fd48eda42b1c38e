"""What `dataset-check` draws: statistics by split, findings, what augmentation does."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cervseg.classes import Classes
from cervseg.commands.check_outputs import STAINS, by_kind, rank
from cervseg.config import Config
from cervseg.data.checks import Finding
from cervseg.data.evidence import show_finding
from cervseg.data.examination import read_truth
from cervseg.data.fields import Field
from cervseg.data.statistics import FieldStatistics, sum_up
from cervseg.data.survey import Survey
from cervseg.data.tiling import Tile, Tiling, cut_tiles, foreground_share
from cervseg.errors import DataError
from cervseg.images.overlays import write_picture
from cervseg.images.photo import Photo
from cervseg.images.sheets import Card, card_sheet
from cervseg.reporting.dataset import Bars, Samples, plot_dataset

MOST_CARDS = 24
"""Findings on the sheet; each kind has its share."""

VARIED = 3
"""Fields on the sheet of augmentation."""

Rows = Sequence[FieldStatistics]


def write_statistics(folder: Path, survey: Survey, rows: Rows) -> list[Path]:
    """Write `statistics.png`."""
    if not rows:
        return []
    splits = sorted({row.split for row in rows}, key=rank)
    of_split = {split or "all": [r for r in rows if r.split == split] for split in splits}
    path = folder / "statistics.png"
    bars = _bars(of_split, survey.classes, survey.tiles)
    plot_dataset(path, survey.heading, bars=bars, samples=_samples(of_split, survey.classes))
    return [path]


def _bars(of_split: Mapping[str, Rows], classes: Classes, tiles: Mapping[str, int]) -> Bars:
    counts, shares, objects = {}, {}, {}
    for split, rows in of_split.items():
        (total,) = sum_up(rows)
        counts[split] = {"images": total.images, "groups": total.groups}
        if split in tiles:
            counts[split]["tiles"] = tiles[split]
        counted = max(1, sum(total.pixels[:-1]))
        named = zip(classes.names, total.pixels[1:-1], strict=True)
        shares[split] = {name: 100 * pixels / counted for name, pixels in named}
        objects[split] = dict(zip(classes.names, total.objects, strict=True))
    return {"how many": counts, "classes, % of the pixels": shares, "objects": objects}


def _samples(of_split: Mapping[str, Rows], classes: Classes) -> Samples:
    def each(value: Callable[[FieldStatistics], float]) -> dict[str, list[float]]:
        values = {split: [value(row) for row in rows] for split, rows in of_split.items()}
        return {split: [v for v in found if math.isfinite(v)] for split, found in values.items()}

    areas = {
        f"{name}: full-size pixels, log10": {
            split: [math.log10(area) for row in rows for area in row.areas[i]]
            for split, rows in of_split.items()
        }
        for i, name in enumerate(classes.names)
    }
    stains = {
        f"optical density, {colour}": each(lambda row, i=i: row.stain[i])  # type: ignore[misc]
        for i, colour in enumerate(STAINS)
    }
    return {
        **areas,
        "foreground, % of an image": each(lambda row: 100 * row.foreground),
        "megapixels": each(lambda row: row.height * row.width / 1e6),
        "intensity: mean of an image": each(lambda row: row.intensity),
        "contrast: deviation in an image": each(lambda row: row.contrast),
        **stains,
    }


def write_sheet(
    folder: Path, findings: Sequence[Finding], fields: Sequence[Field], *, classes: Classes
) -> list[Path]:
    """Write `findings.png`: some of each kind, those with the largest share first."""
    by_name = {field.name: field for field in fields}
    kinds = [[f for f in found if f.item in by_name] for _, _, found in by_kind(findings)]
    kinds = [found for found in kinds if found]
    cards = []
    for finding in (f for found in kinds for f in found[: max(1, MOST_CARDS // len(kinds))]):
        partner = by_name.get(finding.partner)
        picture = show_finding(finding, by_name[finding.item], partner=partner, classes=classes)
        if picture is not None:
            name = f"{finding.item} | {finding.partner}" if partner else finding.item
            text = f"{finding.severity}, {finding.kind}: {finding.message}"
            cards.append(Card(picture, name, text))
    if not cards:
        return []
    write_picture(folder / "findings.png", card_sheet(cards))
    return [folder / "findings.png"]


def write_augmentation(folder: Path, survey: Survey, config: Config) -> list[Path]:
    """Write `augmentation.png`: what training makes of the richest tile of a few fields."""
    from cervseg.data.augmentation_sheet import augmentation_sheet

    tiles: list[Tile] = []
    for field in survey.fields:
        if field.truth is not None and len(tiles) < VARIED:
            try:
                tiles.append(_richest_tile(field, survey.classes, config))
            except DataError:
                continue  # told as a finding
    if not tiles:
        return []
    sheet = augmentation_sheet(
        [tile.image for tile in tiles],
        [tile.mask for tile in tiles],
        config.train.augmentation,
        classes=survey.classes,
        seed=config.runtime.seed,
    )
    write_picture(folder / "augmentation.png", sheet)
    return [folder / "augmentation.png"]


def _richest_tile(field: Field, classes: Classes, config: Config) -> Tile:
    pixels, mask = read_truth(field, classes)
    tiling = Tiling(config.data.tile_size, 0, (config.data.scale,))
    tiles = cut_tiles(Photo(pixels), mask, tiling, file_scale=field.scale)
    return max(tiles, key=lambda tile: foreground_share(tile.mask))

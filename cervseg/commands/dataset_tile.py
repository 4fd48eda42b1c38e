"""`cervseg dataset-tile`: photographs and masks to checked, leak-free tiles."""

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from cervseg import __version__
from cervseg.classes import Classes
from cervseg.config import Config
from cervseg.config.data import DataConfig, Split
from cervseg.config.loader import as_config
from cervseg.data.cutting import Cut, cut_field, mask_reading
from cervseg.data.fields import SPLITS, Field, find_fields, list_problems
from cervseg.data.labelled import Labelled, read_labelled
from cervseg.data.leaks import refuse_leaks
from cervseg.data.manifest import TileRow, describe, open_dataset, write_dataset
from cervseg.data.splits import assign_splits
from cervseg.errors import ConfigError, DataError
from cervseg.files import (
    LOCK,
    claim,
    is_occupied,
    output_error,
    refuse_occupied,
    set_aside,
)
from cervseg.images.image import whole
from cervseg.images.legend import add_legend
from cervseg.images.masks import Reading
from cervseg.images.overlays import write_picture
from cervseg.images.sheets import contact_sheet, paint_mask
from cervseg.reports import JSON, SILENT, Progress, Report, Table, track

OURS = {"tiles", "dataset.json", "sources.csv", "manifest.csv", "samples.png", LOCK}
"""What an unfinished dataset can hold; anything else in its place is somebody's."""

SAMPLES = 8
"""Tiles on `samples.png`."""


def dataset_tile(
    config: Config | Path | str,
    *,
    config_words: str | None = None,
    overwrite: bool = False,
    resume: bool = False,
    progress: Progress = SILENT,
) -> Report:
    """Pair, check, split and cut the images of `data.source` into a dataset folder.

    The folder appears as a whole or not at all. `resume` is accepted like everywhere: a finished
    dataset is kept, an unfinished one is made anew.

    Raises:
        ConfigError: A key is missing or does not fit the data.
        OutputError: The folder is occupied.
        DataError: Images and masks do not pair, or a file is broken; lists all of them.
        LeakError: A group or an identical picture would stand in two splits.
    """
    config = as_config(config)
    data = config.data
    following = f"cervseg train {config_words}" if config_words else None
    if resume and (data.output / "dataset.json").is_file():
        open_dataset(data.output).require_options(data)
        notice = f"{data.output} is complete, nothing to do"
        return Report("dataset-tile", data.output, notices=(notice,), next_command=following)
    _check_keys(data)
    chosen, notices = assign_splits(find_fields(data), data.split)
    reading = mask_reading(data, [field for field, _ in chosen])
    refuse_occupied(data.output, overwrite=overwrite)
    target = data.output.resolve()  # follows a link, and gives `.` a name
    partial = target.with_name(f"{target.name}.partial")
    if is_occupied(partial) and not {path.name for path in partial.iterdir()} <= OURS:
        set_aside(partial)
    with claim(partial, resume=True):
        _empty(partial)
        seed = config.runtime.seed

        def cut(number: int, field: Field, split: Split) -> Cut:
            return cut_field(field, split, data=data, reading=reading, folder=partial,
                             seed=(seed, number))  # fmt: skip

        cuts = _cut_all(chosen, cut, progress=progress)
        refuse_leaks([cut.source for cut in cuts])
        tiles = [row for cut in cuts for row in cut.tiles]
        tile_reading: Reading = "index" if data.source[0].kind == "folders" else reading
        _write(partial, data, cuts=cuts, seed=seed, readings=(reading, tile_reading))
        _write_samples(partial, tiles, classes=data.class_table(), reading=tile_reading)
    _put_in_place(partial, target)
    return Report(
        "dataset-tile",
        data.output,
        results=(_counts(cuts),),
        paths=(data.output,),
        notices=(*notices, *_notices(cuts)),
        tables=(_table(cuts),),
        next_command=following,
    )


def _put_in_place(partial: Path, target: Path) -> None:
    if is_occupied(target):
        set_aside(target)
    try:
        partial.rename(target)
    except OSError as exc:  # a mount point, say
        raise output_error(exc, target) from exc


def _check_keys(data: DataConfig) -> None:
    kinds = {source.kind for source in data.source}
    if len(kinds) > 1:
        raise ConfigError("'data.source': kinds `folders` and `tiles` can't be mixed")
    if kinds == {"tiles"} and (data.extra_scales or data.include_reduced):
        raise ConfigError("'data.source': kind `tiles` is not cut, so it takes no other scales")


def _empty(partial: Path) -> None:
    """An unfinished dataset of an earlier run is of no use to anyone."""
    for child in partial.iterdir():
        if child.is_dir():
            shutil.rmtree(child)
        elif child.name != LOCK:
            child.unlink()


def _cut_all(
    chosen: Sequence[tuple[Field, Split]],
    cut: Callable[[int, Field, Split], Cut],
    *,
    progress: Progress,
) -> list[Cut]:
    cuts: list[Cut] = []
    problems: list[str] = []
    fields = track(chosen, "cutting fields", total=len(chosen), progress=progress)
    for number, (field, split) in enumerate(fields):
        try:
            cuts.append(cut(number, field, split))
        except DataError as exc:
            problems.append(str(exc) + (f" ({exc.hint})" if exc.hint else ""))
    if problems:
        if len(problems) == 1:
            raise DataError(problems[0])
        raise DataError(list_problems("images and masks are broken or do not fit", problems))
    return cuts


def _write(
    folder: Path,
    data: DataConfig,
    *,
    cuts: Sequence[Cut],
    seed: int,
    readings: tuple[Reading, Reading],
) -> None:
    document = {
        **describe(
            data.class_table(), scale=data.scale, tile_size=data.tile_size, readings=readings
        ),
        "options": data.model_dump(mode="json"),
        "seed": seed,
        "counts": _counts(cuts),
        "versions": {"cervseg": __version__},
    }
    tiles = [row for cut in cuts for row in cut.tiles]
    try:
        write_dataset(folder, document, sources=[cut.source for cut in cuts], tiles=tiles)
    except OSError as exc:
        raise output_error(exc, folder) from exc


def _write_samples(
    folder: Path, tiles: Sequence[TileRow], *, classes: Classes, reading: Reading
) -> None:
    """A sheet of images over masks, those with foreground first."""
    rich = sorted(tiles, key=lambda row: row.foreground == 0)
    picked = rich[:: max(1, len(rich) // SAMPLES)][:SAMPLES]
    images, masks = [], []
    for row in picked:
        mask_file = folder / row.mask if row.mask else None
        image, mask, _ = read_labelled(
            Labelled(row.source, folder / row.tile, mask_file, reading), classes
        )
        images.append(image.read(whole(image)))
        masks.append(paint_mask(mask, classes))
    sheet = contact_sheet([images, masks], side=200)
    write_picture(folder / "samples.png", add_legend(sheet, classes))


def _counts(cuts: Sequence[Cut]) -> dict[str, JSON]:
    counts: dict[str, JSON] = {}
    for split in SPLITS:
        ours = [cut for cut in cuts if cut.source.split == split]
        kinds = Counter(row.kind for cut in ours for row in cut.tiles)
        shares = [cut.source.foreground for cut in ours]
        counts[split] = {
            "images": len(ours),
            "groups": len({cut.source.group for cut in ours}),
            "tiles": kinds["window"],
            "reduced": kinds["reduced"],
            "empty_dropped": sum(cut.dropped for cut in ours),
            "foreground": float(np.mean(shares)) if shares else 0.0,
        }
    return counts


def _table(cuts: Sequence[Cut]) -> Table:
    columns = ("split", "images", "groups", "tiles", "reduced", "empty dropped", "foreground")
    rows = []
    for split, counts in _counts(cuts).items():
        assert isinstance(counts, dict)
        *whole_numbers, share = counts.values()
        rows.append((split, *map(str, whole_numbers), f"{share:.2%}"))
    return Table("dataset", columns, tuple(rows))


def _notices(cuts: Sequence[Cut]) -> list[str]:
    notices = []
    changed = float(np.mean([cut.changed for cut in cuts]))
    if changed:
        notices.append(
            f"{changed:.2%} of the mask pixels had no exact class value and were decided by "
            "threshold or nearest colour (JPEG noise, soft edges)"
        )
    padding = float(np.mean([cut.padding for cut in cuts]))
    if padding:
        notices.append(f"{padding:.1%} of the tile pixels are padding, reflected and ignored")
    empty = [split for split in SPLITS if not any(cut.source.split == split for cut in cuts)]
    if empty:
        notices.append(f"no image in split {' and '.join(empty)}")
    return notices

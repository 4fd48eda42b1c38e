"""`cervseg dataset-tile`: photographs and masks to checked, leak-free tiles."""

import logging
from collections.abc import Sequence
from pathlib import Path

from cervseg import __version__
from cervseg.arrays import RGB
from cervseg.commands.tally import count_cuts, cut_notices, tally_table
from cervseg.config import Config
from cervseg.config.data import GROUPINGS, DataConfig, FractionSplit, Split
from cervseg.config.loader import as_config
from cervseg.data.cutting import Cut, cut_field, mask_reading
from cervseg.data.fields import Field, list_problems
from cervseg.data.folds import assign_folds, require_groups
from cervseg.data.labelled import Labelled, read_labelled
from cervseg.data.leaks import (
    NearPair,
    Tolerance,
    find_near_leaks,
    refuse_leaks,
    tell_near_leaks,
)
from cervseg.data.manifest import SourceRow, describe, open_dataset, write_dataset
from cervseg.data.sources import find_fields
from cervseg.data.splits import assign_splits
from cervseg.data.truth import mask_options
from cervseg.errors import ConfigError, DataError
from cervseg.files import (
    LOCK,
    claim,
    clear,
    is_occupied,
    output_error,
    refuse_occupied,
    set_aside,
)
from cervseg.images.image import whole
from cervseg.images.legend import add_legend
from cervseg.images.masks import Reading
from cervseg.images.overlays import write_picture
from cervseg.images.readers import open_image
from cervseg.images.sheets import contact_sheet, paint_mask
from cervseg.reports import JSON, SILENT, Progress, Report, track
from cervseg.writable import refuse_unwritable

log = logging.getLogger("cervseg")

OURS = {
    "tiles",
    "masks",
    "objects",
    "dataset.json",
    "sources.csv",
    "manifest.csv",
    "samples.png",
    LOCK,
}
"""What an unfinished dataset can hold; anything else in its place is somebody's."""

SAMPLES = 8
"""Tiles on `samples.png`."""


def dataset_tile(
    config: Config | Path | str,
    *,
    allow_leak: str | None = None,
    config_words: str | None = None,
    overwrite: bool = False,
    resume: bool = False,
    progress: Progress = SILENT,
) -> Report:
    """Pair, check, split and cut the images of `data.source` into a dataset folder.

    The folder appears as a whole or not at all. `resume` is accepted like everywhere: a finished
    dataset is kept, an unfinished one is made anew.

    Args:
        config: With section `data`.
        allow_leak: Why a leak may stand; it becomes a notice, kept in `dataset.json`.
        config_words: How a command line names the config, for the next command.
        overwrite: Move an occupied output aside.
        resume: Keep a finished dataset.
        progress: Draws the bars.

    Raises:
        ConfigError: A key is missing or does not fit the data.
        OutputError: The folder is occupied or can't be written.
        DataError: Images and masks do not pair, or a file is broken; lists all of them.
        LeakError: A group or an identical picture would stand in two splits.
    """
    config = as_config(config)
    data, tolerance = config.data, Tolerance(allow_leak)
    folds = " --all-folds" if data.folds else ""
    following = f"cervseg train {config_words}{folds}" if config_words else None
    if resume and (data.output / "dataset.json").is_file():
        open_dataset(data.output).require_options(data)
        notice = f"{data.output} is complete, nothing to do"
        return Report("dataset-tile", data.output, notices=(notice,), next_command=following)
    _check_keys(data)
    chosen, notices = _assign(find_fields(data), data)
    reading = mask_reading(data, [field for field, _ in chosen])
    needed = (path for field, _ in chosen for path in (field.image, field.origin))
    refuse_occupied(data.output, overwrite=overwrite, needed=needed)
    refuse_unwritable(data.output, beside=True)
    target, partial = _places(data.output)
    with claim(partial, resume=True):
        clear(partial)
        seed = config.runtime.seed
        cuts = _cut_all(chosen, data, folder=partial, seed=seed, progress=progress)
        cuts = _in_folds(cuts, data)
        sources = [cut.source for cut in cuts]
        with tolerance.tolerating():
            refuse_leaks(sources)
        near = _near_leaks(sources, progress=progress)
        _write(partial, data, cuts=cuts, seed=seed, reading=reading,
               found={**tolerance.record(), "near_duplicates": near})  # fmt: skip
        _write_samples(partial, cuts, data=data, reading=reading)
    _put_in_place(partial, target)
    counts = count_cuts(cuts)
    return Report(
        "dataset-tile",
        data.output,
        results=(counts,),
        paths=(data.output,),
        notices=(*notices, *cut_notices(cuts, data.class_table()), *tell_near_leaks(sources, near)),
        tables=(tally_table(counts),),
        next_command=following,
    )


def _places(output: Path) -> tuple[Path, Path]:
    """Where the dataset will be, and where it grows."""
    target = output.resolve()  # follows a link, and gives `.` a name
    partial = target.with_name(f"{target.name}.partial")
    if is_occupied(partial):
        # A killed run may have left a file half written: `sources.partial.csv`.
        names = {path.name.replace(".partial", "", 1) for path in partial.iterdir()}
        if not names <= OURS:
            set_aside(partial)
    return target, partial


def _assign(
    fields: Sequence[Field], data: DataConfig
) -> tuple[list[tuple[Field, Split | None]], list[str]]:
    """The split of each field; none yet where folds decide."""
    if data.folds is not None:
        require_groups({field.group for field in fields}, data.folds)
        return [(field, None) for field in fields], []
    chosen, notices = assign_splits(fields, data.split)
    return [(field, split) for field, split in chosen], notices


def _in_folds(cuts: list[Cut], data: DataConfig) -> list[Cut]:
    """Groups are shared out once it is known what they show."""
    if data.folds is None:
        return cuts
    seed = data.split.seed if isinstance(data.split, FractionSplit) else 0
    sources = assign_folds([cut.source for cut in cuts], data.folds, seed=seed)
    return [cut._replace(source=row) for cut, row in zip(cuts, sources, strict=True)]


def _near_leaks(sources: Sequence[SourceRow], *, progress: Progress) -> list[NearPair]:
    def read(row: SourceRow) -> RGB:
        image = open_image(Path(row.image))
        return image.read(whole(image))

    near, is_all = find_near_leaks(sources, read, progress=progress)
    if not is_all:
        log.warning("many images look alike: only the nearest were compared for near duplicates")
    return near


def _put_in_place(partial: Path, target: Path) -> None:
    if is_occupied(target):
        set_aside(target)
    try:
        partial.rename(target)
    except OSError as exc:  # a mount point, say
        raise output_error(exc, target) from exc


def _check_keys(data: DataConfig) -> None:
    kinds = {source.kind for source in data.source}
    if "tiles" in kinds and len(kinds) > 1:
        raise ConfigError("'data.source': kind `tiles` can't be mixed with others")
    if kinds == {"tiles"} and (data.extra_scales or data.include_reduced):
        raise ConfigError("'data.source': kind `tiles` is not cut, so it takes no other scales")
    is_drawn = data.folds is not None or data.split.kind == "fractions"
    if kinds == {"tiles"} and is_drawn and not any(getattr(data, key) for key in GROUPINGS):
        raise ConfigError(
            "'data.source': drawn one by one, tiles of a photograph would train and be scored",
            hint="say by data.group_pattern which belong together, or data.split.kind: folders",
        )


def _cut_all(
    chosen: Sequence[tuple[Field, Split | None]],
    data: DataConfig,
    *,
    folder: Path,
    seed: int,
    progress: Progress,
) -> list[Cut]:
    cuts: list[Cut] = []
    problems: list[str] = []
    fields = track(chosen, "cutting fields", total=len(chosen), progress=progress)
    for number, (field, split) in enumerate(fields):
        own = (seed, number)
        try:
            cuts.append(cut_field(field, split, data=data, folder=folder, seed=own))
        except DataError as exc:
            problems.append(str(exc) + (f" ({exc.hint})" if exc.hint else ""))
    if problems:
        title = "images and masks are broken or do not fit"
        raise DataError(
            problems[0] if len(problems) == 1 else list_problems(title, problems),
            hint="cervseg dataset-check shows each of them",
        )
    return cuts


def _write(
    folder: Path,
    data: DataConfig,
    *,
    cuts: Sequence[Cut],
    seed: int,
    reading: Reading,
    found: dict[str, JSON],
) -> None:
    document = {
        **describe(data.class_table(), scale=data.scale, tile_size=data.tile_size, reading=reading),
        "options": data.model_dump(mode="json"),
        "seed": seed,
        "counts": count_cuts(cuts),
        **found,
        "versions": {"cervseg": __version__},
    }
    tiles = [row for cut in cuts for row in cut.tiles]
    try:
        write_dataset(folder, document, sources=[cut.source for cut in cuts], tiles=tiles)
    except OSError as exc:
        raise output_error(exc, folder) from exc


def _write_samples(
    folder: Path, cuts: Sequence[Cut], *, data: DataConfig, reading: Reading
) -> None:
    """A sheet of images over masks, those with foreground first; of fields where nothing is cut."""
    rows = [(row.tile, row.mask, row.foreground) for cut in cuts for row in cut.tiles] or [
        (cut.source.image, cut.source.mask, cut.source.foreground) for cut in cuts
    ]
    rich = sorted(rows, key=lambda row: row[2] == 0)
    classes, options = data.class_table(), mask_options(data.masks)
    images, masks = [], []
    for name, mask_name, _ in rich[:: max(1, len(rich) // SAMPLES)][:SAMPLES]:
        mask_file = folder / mask_name if mask_name else None
        item = Labelled(Path(name).stem, folder / name, mask_file, reading, options=options)
        image, mask, *_ = read_labelled(item, classes)
        images.append(image.read(whole(image)))
        masks.append(paint_mask(mask, classes))
    sheet = contact_sheet([images, masks], side=200)
    write_picture(folder / "samples.png", add_legend(sheet, classes))

"""The dataset folder: what was cut from what, and for which split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple, cast

from cervseg.bounds import is_plain_name, one_line
from cervseg.classes import Classes, format_colour
from cervseg.config.data import DataConfig, MaskReading, Split
from cervseg.data.fields import SPLITS
from cervseg.data.truth import mask_options
from cervseg.digests import text_digest
from cervseg.errors import ConfigError, DataError
from cervseg.files import read_csv, read_json, write_csv, write_json
from cervseg.images.masks import PLAIN, MaskOptions, Reading
from cervseg.reports import JSON

DOCUMENT = "dataset.json"
"""Written last: a folder without it is no dataset."""

AFTER_CUTTING = {"output", "preprocess", "cache"}
"""Keys of `data` that do not change the tiles."""


class SourceRow(NamedTuple):
    """A line of `sources.csv`: one photograph.

    Args:
        name: Stem of the image.
        image: Its path; relative ones lie in the dataset folder.
        mask: Class indices, likewise; empty where it shows background only.
        objects: A label image of the objects, likewise; empty where they are not known.
        origin: What the mask was made from: the annotator's file.
        group: What no split divides.
        split: train, valid or test; empty in a dataset in folds, until one is chosen.
        fold: Of a dataset in folds, its number from 0; else empty.
        height: Of the file, pixels.
        width: Likewise.
        vertical: Full-size pixels per file pixel.
        horizontal: Likewise.
        mpp: Micrometres per file pixel, or empty.
        sha256: Of the decoded pixels; empty for a picture of one colour.
        phash: Alike for pictures that look alike; empty likewise.
        foreground: Share of pixels that belong to a class.
    """

    name: str
    image: str
    mask: str
    objects: str
    origin: str
    group: str
    split: Split | Literal[""]
    fold: str
    height: int
    width: int
    vertical: float
    horizontal: float
    mpp: str
    sha256: str
    phash: str
    foreground: float


class TileRow(NamedTuple):
    """A line of `manifest.csv`: one tile.

    Args:
        tile: Path of the image; relative ones lie in the dataset folder.
        mask: Likewise; a mask of class indices, empty for background only.
        source: Name in `sources.csv`.
        group: Of the source.
        split: train, valid or test; in a dataset in folds, the form it was cut in.
        kind: A window, or the whole field reduced.
        scale: Model pixels per full-size pixel.
        top: Of the window, model pixels.
        left: Likewise.
        height: Likewise.
        width: Likewise.
        foreground: Share of pixels that belong to a class.
        sha256: Of the tile's decoded pixels.
    """

    tile: str
    mask: str
    source: str
    group: str
    split: Split
    kind: Literal["window", "reduced"]
    scale: float
    top: int
    left: int
    height: int
    width: int
    foreground: float
    sha256: str


@dataclass(frozen=True)
class Dataset:
    """A dataset folder as read."""

    folder: Path
    document: Mapping[str, JSON]
    classes: Classes
    scale: float
    tile_size: int
    reading: Reading
    sources: tuple[SourceRow, ...]
    tiles: tuple[TileRow, ...]
    options: MaskOptions = PLAIN

    @property
    def fingerprint(self) -> str:
        """A digest of all sources, splits, tiles and classes."""
        return text_digest(repr((self.classes, self.scale, self.sources, self.tiles)))

    @property
    def folds(self) -> int:
        """How many folds its groups are in; 0 where each source has its split."""
        return len({row.fold for row in self.sources if row.fold})

    def of_fold(self, fold: int) -> "Dataset":
        """The dataset with this fold as the test, the next one as validation, the rest to train.

        Of each source only the tiles in the form of its split are left; those of the test, of
        which none were cut, are seen whole.

        Args:
            fold: From 0 to `folds` - 1; after the last comes the first.
        """
        held_out: dict[int, Split] = {(fold + 1) % self.folds: "valid", fold: "test"}
        splits = {row.name: held_out.get(int(row.fold), "train") for row in self.sources}
        sources = tuple(row._replace(split=splits[row.name], fold="") for row in self.sources)
        tiles = tuple(row for row in self.tiles if row.split == splits.get(row.source))
        return replace(self, sources=sources, tiles=tiles)

    def path(self, name: str) -> Path:
        """The path behind a name of the tables."""
        return self.folder / name

    def sources_of(self, split: Split) -> list[SourceRow]:
        """The photographs of a split, in order."""
        return [row for row in self.sources if row.split == split]

    def require_sources(self, split: Split) -> None:
        """Check that the photographs and masks of a split are still there.

        Raises:
            DataError: One is gone.
        """
        for row in self.sources_of(split):
            for name in (row.image, row.mask, row.objects):
                if name and not self.path(name).exists():  # a Zarr image is a folder
                    raise DataError(f"{self.path(name)}: the dataset names it, but it is gone")

    def require_options(self, config: DataConfig) -> None:
        """Check that the dataset was cut as the config says.

        Raises:
            ConfigError: Lists the keys that differ.
            DataError: The dataset does not say how it was cut.
        """
        cut = self.document.get("options")
        # Whoever draws from the fields leaves tiles that are there alone.
        unseen = AFTER_CUTTING | ({"sampling"} if config.sampling == "fields" else set())
        wanted = config.model_dump(mode="json", exclude=unseen)
        if not isinstance(cut, dict):
            raise DataError(f"{self.folder}: broken dataset: no options")
        different = [
            f"data.{key}"
            for key, value in wanted.items()
            # Masks count classes in their order, which equal mappings may not share.
            if cut.get(key) != value or (key == "classes" and [*cut[key]] != [*value])
        ]
        if different:
            raise ConfigError(
                f"{self.folder} was cut with another config: {', '.join(different)}",
                hint="undo the change, or cut it again: cervseg dataset-tile CONFIG --overwrite",
            )

    def tiles_of(self, split: Split) -> list[TileRow]:
        """The tiles of a split, in order."""
        return [row for row in self.tiles if row.split == split]


def write_dataset(
    folder: Path,
    document: Mapping[str, JSON],
    *,
    sources: Sequence[SourceRow],
    tiles: Sequence[TileRow],
) -> None:
    """Write `sources.csv`, `manifest.csv` and, last, `dataset.json`."""
    write_csv(folder / "sources.csv", SourceRow._fields, sources)
    write_csv(folder / "manifest.csv", TileRow._fields, tiles)
    write_json(folder / DOCUMENT, document)


def describe(
    classes: Classes, *, scale: float, tile_size: int, reading: Reading
) -> dict[str, JSON]:
    """The part of `dataset.json` that readers need: classes, scale, tile, mask reading."""
    colours = {n: format_colour(c) for n, c in zip(classes.names, classes.colours, strict=True)}
    return {"classes": colours, "scale": scale, "tile_size": tile_size, "reading": reading}


def open_dataset(folder: Path) -> Dataset:
    """Read a dataset folder.

    Raises:
        DataError: It is missing or broken, or a file it names is gone.
    """
    if not (folder / DOCUMENT).is_file():
        raise DataError(
            f"{folder}: no dataset in it", hint="make it with: cervseg dataset-tile CONFIG"
        )
    document = read_json(folder / DOCUMENT, what="dataset")
    sources = read_csv(folder / "sources.csv", SourceRow._fields, what="table of sources")
    tiles = read_csv(folder / "manifest.csv", TileRow._fields, what="manifest")
    try:
        dataset = Dataset(
            folder,
            document,
            Classes.of(cast(dict[str, str], document["classes"])),
            float(cast(float, document["scale"])),
            int(cast(int, document["tile_size"])),
            _reading(document["reading"]),
            _in_folds_or_none(tuple(_source(row) for row in sources)),
            tuple(_tile(row) for row in tiles),
            _mask_options(document.get("options")),
        )
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as exc:
        raise DataError(f"{folder}: broken dataset: {one_line(repr(exc))}") from exc
    _check_present(dataset)
    return dataset


def _check_present(dataset: Dataset) -> None:
    for row in dataset.tiles:
        for name in (row.tile, row.mask):
            if name and not dataset.path(name).is_file():
                raise DataError(f"{dataset.path(name)}: the dataset names it, but it is gone")


def _reading(value: JSON) -> Reading:
    if value not in ("index", "colour", "threshold", "luma"):
        raise ValueError(f"unknown mask reading {value!r}")
    return cast(Reading, value)


def _mask_options(options: JSON) -> MaskOptions:
    """How ready tiles are to be read: they are used in place, not rewritten as indices."""
    masks = options.get("masks") if isinstance(options, dict) else None
    return PLAIN if masks is None else mask_options(MaskReading.model_validate(masks))


def _split(text: str) -> Split:
    if text not in SPLITS:
        raise ValueError(f"unknown split {text!r}")
    return text


def _in_folds_or_none(sources: tuple[SourceRow, ...]) -> tuple[SourceRow, ...]:
    folds = {row.fold for row in sources}
    if folds and folds != {""} and folds != {str(i) for i in range(len(folds))}:
        raise ValueError(f"folds {', '.join(sorted(map(repr, folds)))}")
    return sources


def _source(row: dict[str, str]) -> SourceRow:
    if not is_plain_name(row["name"]):  # pictures and scores of it are called so
        raise ValueError(f"a source called {row['name']!r}")
    values = SourceRow(**row)  # type: ignore[arg-type]  # all text until the next line
    return values._replace(
        mpp=row["mpp"] and repr(float(row["mpp"])),
        split="" if row["fold"] and not row["split"] else _split(row["split"]),
        height=int(row["height"]),
        width=int(row["width"]),
        vertical=float(row["vertical"]),
        horizontal=float(row["horizontal"]),
        foreground=float(row["foreground"]),
    )


def _tile(row: dict[str, str]) -> TileRow:
    if row["kind"] not in ("window", "reduced"):
        raise ValueError(f"unknown kind of tile {row['kind']!r}")
    values = TileRow(**row)  # type: ignore[arg-type]  # all text until the next line
    return values._replace(
        split=_split(row["split"]),
        scale=float(row["scale"]),
        top=int(row["top"]),
        left=int(row["left"]),
        height=int(row["height"]),
        width=int(row["width"]),
        foreground=float(row["foreground"]),
    )

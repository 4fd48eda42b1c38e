"""`config show`, `config schema`, `config init`: what a config says, may say, and could say."""

import json
import math
import re
import shlex
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic.json_schema import JsonSchemaValue

from cervseg.classes import IGNORE, Colour, distinct_colour, format_colour
from cervseg.config import Config
from cervseg.config.keys import all_keys, section_models
from cervseg.config.loader import leaves, load_config
from cervseg.config.syntax import format_value
from cervseg.errors import DataError
from cervseg.images.image import decoding, find_images
from cervseg.images.masks import INDEX_LIMIT, THRESHOLD
from cervseg.images.photo import open_pillow
from cervseg.images.readers import open_image
from cervseg.reports import Report, Table

LOOKED_AT = 20
"""Images and masks whose content decides what `config init` proposes."""

GREEN = distinct_colour(0)


def show_config(path: Path | str | None, overrides: Sequence[str] = ()) -> Report:
    """List each resolved value with where it came from.

    Raises:
        ConfigError: The config is wrong.
    """
    loaded = load_config(path, overrides)
    values = leaves(loaded.config)
    results = tuple(
        {"key": key, "value": value, "origin": loaded.origins[key]} for key, value in values.items()
    )
    rows = tuple((key, format_value(value), loaded.origins[key]) for key, value in values.items())
    title = str(loaded.path) if loaded.path else "all defaults"
    table = Table(title, ("key", "value", "from"), rows)
    return Report("config show", results=results, tables=(table,))


def config_schema() -> str:
    """The JSON Schema of a config, for editors; equal text for equal schema."""
    schema = Config.model_json_schema()
    for definition in (schema, *schema["$defs"].values()):
        _drop_section_defaults(definition)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(head | schema | {"title": "cervseg config"}, indent=2) + "\n"


def _drop_section_defaults(definition: JsonSchemaValue) -> None:
    """The default of a section repeats those of its keys."""
    sections = {key.name for key in all_keys() if section_models(key.field.annotation)}
    for name, entry in definition.get("properties", {}).items():
        if name in sections and isinstance(entry.get("default"), dict):
            del entry["default"]


class _Masks(NamedTuple):
    """What a look at some masks suggests."""

    read: Literal["index", "colour", "threshold"]
    classes: dict[str, str]


def starter_config(images: Path, masks: Path | None = None, *, output: Path | None = None) -> str:
    """Draw up a commented config fitted to a folder of images and, where there is one, of masks.

    Args:
        images: The folder of images, or one with `train/images` and `train/masks` in it.
        masks: That of their masks, if it is not the folder `masks` beside them.
        output: The file that the config will be, for the command it tells.

    Raises:
        DataError: A folder is missing or holds no images, or an image looked at is broken.
    """
    name = experiment_name(images)
    if masks is None and all((images / "train" / kind).is_dir() for kind in ("images", "masks")):
        images, masks = (images / "{split}" / kind for kind in ("images", "masks"))
    beside = images.parent / "masks"
    masks = beside if masks is None and beside.is_dir() else masks
    names, (height, width) = _survey(_of_training(images))
    guess = (
        guess_masks(_of_training(masks)) if masks else _Masks("threshold", _name_classes([GREEN]))
    )
    scale, size = _choose_tiles(height, width)
    tiles = _count_tiles(height * scale, size) * _count_tiles(width * scale, size)
    lines = {
        "data:": None,
        f"  output: {format_value(f'datasets/{name}')}": "the tiles are written here",
        "  source:": None,
        f"    images: {format_value(str(images))}": "{split}: train, valid, test"
        if "{split}" in images.parts
        else "read with all folders in it",
        f"    masks: {format_value(str(masks or beside))}": "paired with the images by stem"
        if masks
        else "put your masks there",
        f"  classes: {format_value(guess.classes)}": "foreground classes and their colours",
        f"  masks: {{read: {guess.read}}}": _READING_NOTES[guess.read],
        f"  {propose_groups(names)}": "what no split may divide: a slide, a patient",
        f"  scale: {scale:g}": "of the images the network sees; larger shows more detail",
        f"  tile_size: {size}": f"a field of {width} x {height} becomes {_tiles(tiles)}",
        f"  overlap: {size // 4}": "pixels that neighbouring tiles share",
        "train:": None,
        f"  output: {format_value(f'runs/{name}')}": "the run folder, with the model in it",
        "  epochs: 100": "at most: it stops when validation no longer improves",
    }
    file = shlex.quote(str(output or f"{name}.yaml"))
    head = f"# {name}: {len(names)} images; next: cervseg dataset-tile {file}\n"
    return head + "".join(f"{t:<48}  # {note}\n" if note else f"{t}\n" for t, note in lines.items())


def _of_training(folder: Path) -> Path:
    """The folder itself, or of one that is divided into splits that of the training."""
    return Path(*("train" if part == "{split}" else part for part in folder.parts))


def _tiles(count: int) -> str:
    return "1 tile" if count == 1 else f"{count} tiles"


_READING_NOTES: Mapping[str, str] = {
    "index": "pixel values 1, 2, … are the classes; 0 is background",
    "colour": "each pixel takes the class of the nearest colour",
    "threshold": f"foreground where the largest channel is {THRESHOLD} or more",
}


def _survey(folder: Path) -> tuple[list[str], tuple[int, int]]:
    """The stems below a folder, and the median height and width of some of the images."""
    paths = find_images(folder)
    if not paths:
        what = "png, jpg, tif, bmp, webp, slides and zarr are read"
        raise DataError(f"{folder}: no images", hint=what)
    heights, widths = [], []
    for path in _spread(paths):
        image = open_image(path)  # of any kind, and upright
        heights.append(image.height)
        widths.append(image.width)
    return [p.stem for p in paths], (
        int(statistics.median(heights)),
        int(statistics.median(widths)),
    )


def _spread(paths: Sequence[Path]) -> list[Path]:
    """At most `LOOKED_AT` of the paths, evenly spread."""
    return list(paths[:: math.ceil(len(paths) / LOOKED_AT)]) if paths else []


def _choose_tiles(height: int, width: int) -> tuple[float, int]:
    """A scale and a tile size, a multiple of 16, for at most 6 tiles a field.

    The largest scale that does so with small tiles, for a laptop's sake; not below 1/8, where
    cells would vanish. A field of at most 256 pixels is one tile or few.
    """
    if max(height, width) <= 256:
        return 1.0, max(16, min(height, width) // 16 * 16)
    for scale in (1.0, 0.5, 0.25, 0.125):
        for size in (256, 320):
            if _count_tiles(height * scale, size) * _count_tiles(width * scale, size) <= 6:
                return scale, size
    return 0.125, 320


def _count_tiles(length: float, size: int) -> int:
    """Tiles along one side, at an overlap of a quarter."""
    return 1 + math.ceil(max(0.0, length - size) / (size - size // 4))


def experiment_name(images: Path) -> str:
    """The first telling folder name from below, fit for a file name."""
    generic = {"images", "image", "imgs", "train", "valid", "test", "", ".", ".."}
    parts = [part for part in reversed(images.absolute().parts) if part.lower() not in generic]
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", parts[0]).strip("-.") if parts else ""
    return name or "cervseg"


def propose_groups(stems: Sequence[str]) -> str:
    """A `group_pattern` as a comment: the first that makes fewer groups than there are names."""
    patterns = (r"^(\d+)-", r"^(.+)_\d+x\d+$", r"^(.+?)[-_]", r"^(.+)[-_]\d+$")
    for pattern in patterns:
        found = [re.search(pattern, stem) for stem in stems]
        groups = {match[1] for match in found if match}
        if all(found) and 1 < len(groups) < len(stems):
            return f"# group_pattern: '{pattern}'"
    return "# group_pattern: '^(slide[0-9]+)'"


def guess_masks(folder: Path) -> _Masks:
    """How masks are to be read, and their classes."""
    paths = _spread(find_images(folder))
    if not paths:
        raise DataError(f"{folder}: no masks", hint="leave MASKS out if there are none yet")
    values: set[int] = set()
    colours: Counter[Colour] = Counter()
    for path in paths:
        with decoding(path), open_pillow(path) as file:
            if file.mode in ("L", "P", "1") or file.mode.startswith("I"):
                pixels = np.asarray(file).astype(np.int64)
                values |= set(np.unique(pixels * 255 if file.mode == "1" else pixels).tolist())
            else:
                rgb = np.asarray(file.convert("RGB"))
                colours.update(_strong_colours(rgb, noisy=file.format in ("JPEG", "WEBP")))
    indices = {value for value in values if 0 < value < INDEX_LIMIT}
    if indices and not colours and values <= {0, IGNORE} | set(range(INDEX_LIMIT)):
        return _Masks("index", _name_classes(map(distinct_colour, range(max(indices)))))
    total = sum(colours.values())
    common = [c for c, n in colours.most_common(30) if n > total / 50]
    lively = sorted((c for c in common if len(set(c)) > 1), reverse=True)
    if len(lively) > 1:
        return _Masks("colour", _name_classes(lively))
    return _Masks("threshold", _name_classes(lively or [GREEN]))


def _strong_colours(pixels: NDArray[np.uint8], *, noisy: bool) -> Counter[Colour]:
    """Count the colours that are far from black; of a noisy mask the pure ones near by."""
    strong = pixels[pixels.max(axis=-1) >= THRESHOLD // 2].astype(np.int64)
    colours, counts = np.unique(strong, axis=0, return_counts=True)
    if noisy or len(colours) >= INDEX_LIMIT:
        strong = np.minimum((strong + 64) // 128 * 128, 255)
        colours, counts = np.unique(strong, axis=0, return_counts=True)
    counted = zip(colours.tolist(), counts.tolist(), strict=True)
    return Counter({(red, green, blue): n for (red, green, blue), n in counted})


def _name_classes(colours: Iterable[Colour]) -> dict[str, str]:
    """One class is a cell; several get numbers, for the reader to replace."""
    known = list(map(format_colour, colours))[:30]
    if len(known) == 1:
        return {"cell": known[0]}
    return {f"class_{i}": colour for i, colour in enumerate(known, start=1)}

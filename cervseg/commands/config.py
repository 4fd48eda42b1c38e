"""`config show`, `config schema`, `config init`: what a config says, may say, and could say."""

import json
import logging
import math
import re
import shlex
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic.json_schema import JsonSchemaValue

from cervseg.config import Config
from cervseg.config.data import DataConfig
from cervseg.config.keys import all_keys, section_models
from cervseg.config.loader import leaves, load_config
from cervseg.config.syntax import format_value
from cervseg.data.checks import edge_share, tell_inverted
from cervseg.data.cutting import read_field
from cervseg.data.fields import list_problems
from cervseg.data.guessing import Guess, by_colour, guess_masks, named_label_images, spread
from cervseg.data.sources import list_fields
from cervseg.data.tiling import foreground_share
from cervseg.errors import CervsegError, DataError
from cervseg.images.image import find_images
from cervseg.images.readers import open_image
from cervseg.reports import JSON, Report, Table

log = logging.getLogger("cervseg")


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


class Starter(NamedTuple):
    """A config drawn up, and the command to type next."""

    text: str
    next_command: str


def starter_config(images: Path, masks: Path | None = None, *, output: Path | None = None) -> str:
    """The text alone of `draw_up`."""
    return draw_up(images, masks, output=output).text


def draw_up(images: Path, masks: Path | None = None, *, output: Path | None = None) -> Starter:
    """Draw up a commented config fitted to a folder of images and, where there is one, of masks.

    What `dataset-tile` would refuse or doubt of those looked at is warned of.

    Args:
        images: The folder of images, or one with `train/images` and `train/masks` in it.
        masks: That of their masks, if it is not the folder `masks` beside them.
        output: The file that the config will be, for the command it tells.

    Raises:
        DataError: A folder is missing or holds no images, or none of those looked at can be read.
    """
    name = experiment_name(images)
    images, masks, paths = _find_folders(images, masks)
    size, problems = _survey(_of_training(images), paths)
    guess = guess_masks(_of_training(masks), paths) if masks else by_colour([])
    source: dict[str, JSON] = {"images": str(images), "masks": str(masks or _beside(images))}
    if guess.kind != "folders":
        source = {"kind": guess.kind, **source}
    if masks:
        data: dict[str, JSON] = {"source": source, "classes": guess.classes, "masks": guess.masks}
        problems = list(dict.fromkeys([*problems, *_try_out(data)]))
    if problems:
        log.warning(list_problems("before dataset-tile, mend", problems, most=5))
    following = "cervseg dataset-check" if problems else "cervseg dataset-tile"
    command = f"{following} {shlex.quote(str(output or f'{name}.yaml'))}"
    notes = {
        "kind": guess.note,
        "images": "{split}: train, valid, test"
        if "{split}" in images.parts
        else "read with all folders in it",
        "masks": "paired with the images by stem" if masks else "put your masks there",
    }
    read = {f"    {key}: {format_value(value)}": notes[key] for key, value in source.items()}
    head = f"# {name}: {len(paths)} images; next: {command}\n"
    return Starter(head + _body(name, paths, size, guess=guess, source=read), command)


def _find_folders(images: Path, masks: Path | None) -> tuple[Path, Path | None, list[Path]]:
    """The folders of images and, where there are any, of masks; the images."""
    if masks is None and all((images / "train" / kind).is_dir() for kind in ("images", "masks")):
        images, masks = (images / "{split}" / kind for kind in ("images", "masks"))
    paths = find_images(_of_training(images))
    labels = named_label_images(paths, paths)  # Cellpose writes them beside its images
    if masks is None:
        masks = _beside(images) if _beside(images).is_dir() else images if labels else None
    if masks and masks.resolve() == images.resolve():
        paths = [path for path in paths if path not in labels]
    return images, masks, paths


def _beside(images: Path) -> Path:
    return images.parent / "masks"


def _body(
    name: str,
    paths: Sequence[Path],
    image: tuple[int, int],
    *,
    guess: Guess,
    source: Mapping[str, str],
) -> str:
    """The lines of a config, each with its note."""
    height, width = image
    scale, size = _choose_tiles(height, width)
    tiles = _count_tiles(height * scale, size) * _count_tiles(width * scale, size)
    reading = {f"  masks: {format_value(guess.masks)}": guess.note} if guess.masks else {}
    lines = {
        "data:": None,
        f"  output: {format_value(f'datasets/{name}')}": "the tiles are written here",
        "  source:": None,
        **source,
        f"  classes: {format_value(guess.classes)}": "foreground classes and their colours",
        **reading,
        f"  {propose_groups([p.stem for p in paths])}": "what no split may divide: a slide, "
        "a patient",
        f"  scale: {scale:g}": "of the images the network sees; larger shows more detail",
        f"  tile_size: {size}": f"a field of {width} x {height} becomes {_tiles(tiles)}",
        f"  overlap: {size // 4}": "pixels that neighbouring tiles share",
        "train:": None,
        f"  output: {format_value(f'runs/{name}')}": "the run folder, with the model in it",
        "  epochs: 100": "at most: it stops when validation no longer improves",
    }
    return "".join(f"{t:<48}  # {note}\n" if note else f"{t}\n" for t, note in lines.items())


def _try_out(data: dict[str, JSON]) -> list[str]:
    """What is wrong with some of the images and masks, read so: one line each."""
    config = DataConfig.model_validate(data)
    try:
        listed = list_fields(config)
    except CervsegError as exc:
        return [_words(exc)]
    problems, shares = list(listed.problems), []
    for field in spread([field for field in listed.fields if field.truth]):
        try:
            mask = read_field(field, config)[1].mask
        except CervsegError as exc:
            problems.append(_words(exc))
        else:
            shares.append((foreground_share(mask), edge_share(mask)))
    inverted = tell_inverted(shares, config.class_table())
    return [*problems, inverted] if inverted else problems


def _words(exc: CervsegError) -> str:
    return str(exc) + (f" ({exc.hint})" if exc.hint else "")


def _of_training(folder: Path) -> Path:
    """The folder itself, or of one that is divided into splits that of the training."""
    return Path(*("train" if part == "{split}" else part for part in folder.parts))


def _tiles(count: int) -> str:
    return "1 tile" if count == 1 else f"{count} tiles"


def _survey(folder: Path, paths: Sequence[Path]) -> tuple[tuple[int, int], list[str]]:
    """The median height and width of some of the images, and which of them are broken."""
    if not paths:
        what = "png, jpg, tif, bmp, webp, slides and zarr are read"
        raise DataError(f"{folder}: no images", hint=what)
    heights, widths, problems = [], [], []
    for path in spread(paths):
        try:
            image = open_image(path)  # of any kind, and upright
        except DataError as exc:
            problems.append(_words(exc))
        else:
            heights.append(image.height)
            widths.append(image.width)
    if not heights:
        hint = "name a folder of photographs that other programs open"
        raise DataError(
            list_problems(f"{folder}: no image can be read", problems, most=5), hint=hint
        )
    return (int(statistics.median(heights)), int(statistics.median(widths))), problems


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

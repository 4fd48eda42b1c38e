"""Images to infer, and the names of their outputs."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cervseg.data.fields import list_problems
from cervseg.errors import ConfigError, DataError
from cervseg.images.image import find_images, image_name, is_zarr


class Input(NamedTuple):
    """An image, and its name below each output folder: relative, without suffix or `.ome`."""

    path: Path
    name: str


def find_inputs(paths: Sequence[Path]) -> list[Input]:
    """List files, and images below folders; a Zarr is one image though it is a folder.

    What an earlier inference wrote below such a folder is no photograph.

    Raises:
        DataError: A path is missing or may not be read, or there is no image at all.
        ConfigError: Two images would be written under one name.
    """
    missing: list[str] = []
    inputs: list[Input] = []
    for path in paths:
        try:
            if path.exists():
                inputs += _inputs_of(path)
            else:
                missing.append(f"{path}: no such image or folder")
        except PermissionError as exc:  # already for looking whether it is there
            raise DataError(f"{path}: can't be read: permission denied") from exc
    if missing:
        title = "images are missing"
        raise DataError(missing[0] if len(missing) == 1 else list_problems(title, missing))
    if not inputs:
        where = ", ".join(map(str, paths)) or "nothing named"
        raise DataError(f"no images to infer: {where}", hint="name image files or a folder of them")
    _refuse_collisions(inputs)
    return inputs


def _inputs_of(path: Path) -> list[Input]:
    if not path.is_dir() or is_zarr(path):
        return [Input(path, image_name(path))]
    return [Input(f, _name_below(path, f)) for f in find_images(path)]


def _name_below(folder: Path, path: Path) -> str:
    return path.relative_to(folder).with_name(image_name(path)).as_posix()


def _refuse_collisions(inputs: Sequence[Input]) -> None:
    by_name: dict[str, list[Path]] = defaultdict(list)
    for item in inputs:
        by_name[item.name].append(item.path)
    same = [paths for paths in by_name.values() if len(paths) > 1]
    if same:
        problems = [f"{paths[0]} and {paths[1]}" for paths in same]
        raise ConfigError(
            list_problems("images would be written under one name", problems),
            hint="infer them into different --output folders",
        )

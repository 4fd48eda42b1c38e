"""`cervseg export`: a model for another engine or program, compared with the original."""

import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from scipy import ndimage

from cervseg.arrays import RGB, Probabilities
from cervseg.contract import Contract, find_model
from cervseg.errors import CheckError, ConfigError, DataError, ModelError
from cervseg.files import claim, clear, output_error, refuse_occupied, set_aside
from cervseg.grid import Window
from cervseg.images.image import Image, find_images
from cervseg.images.readers import open_image
from cervseg.images.views import Padded, scale_image
from cervseg.reports import JSON, Report, Table
from cervseg.writable import refuse_unwritable

Format = Literal["keras", "saved_model", "onnx", "openvino"]

NAMES: dict[Format, str] = {
    "keras": "model.keras",
    "saved_model": "saved_model",
    "onnx": "model.onnx",
    "openvino": "model.xml",
}
"""What is written beside `contract.json`."""

LIMITS = {"float32": 1e-3, "bfloat16": 1e-2}
"""Largest difference of a probability that passes."""

TRIAL_TILES = 4


@dataclass(frozen=True)
class _Order:
    """What is to be exported, and as what."""

    folder: Path
    contract: Contract
    form: Format
    precision: Literal["float32", "bfloat16"]


def export(
    model: Path | str,
    *,
    to: Format,
    output: Path | str | None = None,
    precision: Literal["float32", "bfloat16"] = "float32",
    tile_size: int | None = None,
    images: Path | str | None = None,
    overwrite: bool = False,
) -> Report:
    """Write a model in another form, read it again and compare the answers on tiles.

    Args:
        model: A run or model folder, or `builtin:NAME`.
        to: `onnx` and `openvino` are models for every command; `keras` and `saved_model` are for
            other programs.
        output: Folder to write; default: `exported/NAME_FORMAT`.
        precision: bfloat16: `keras` and `saved_model` compute so, `openvino` is compared so.
        tile_size: Side of the tiles, pixels, fixed but for `keras`; default: the model's.
        images: A photograph or a folder of them, to take tiles of; default: drawn ones.
        overwrite: Move an occupied output aside.

    Raises:
        ConfigError: An extra is missing, or the form can't be had so.
        OutputError: The output folder is occupied, can't be written, or another process does.
        DataError: `images` is missing, empty or broken.
        ModelError: The model is broken, or is an export itself.
        BudgetError: It needs more memory than there is.
        CheckError: What was written answers otherwise; nothing is left of it.
    """
    order = _order(Path(model), to, precision, tile_size=tile_size)
    output = Path(output) if output else Path("exported") / f"{_name(order.folder)}_{to}"
    needed = (order.folder, Path(images) if images else None)
    refuse_occupied(output, overwrite=overwrite, needed=needed)
    refuse_unwritable(output, beside=True)
    tiles = _trial_tiles(order.contract, Path(images) if images else None)
    with _whole_or_not(output, overwrite=overwrite) as partial:
        largest, mean = _write_and_compare(order, partial, tiles)
        if not largest <= LIMITS[precision]:  # nor where it is not a number
            raise CheckError(
                f"{output}: as {to} the model answers otherwise: largest difference {largest:.1e}, "
                f"the limit is {LIMITS[precision]:g}; nothing is written",
                hint="another --format, or --precision float32",
            )
    return _report(order, output, (largest, mean), count=len(tiles))


def _name(path: Path) -> str:
    """What people call a model: the run it lies in."""
    path = path.resolve()
    return path.parent.name if path.name == "model" else path.name


def _order(
    path: Path, form: Format, precision: Literal["float32", "bfloat16"], *, tile_size: int | None
) -> _Order:
    from cervseg.engines.graphs import exported_for
    from cervseg.engines.settings import refuse_bfloat16, require

    folder = find_model(path)
    contract = Contract.load(folder)
    if exported_for(folder) is not None:
        raise ModelError(f"{path}: this is an export", hint="name the run that it was made of")
    side = tile_size or contract.tile_size
    if side % contract.align:
        raise ConfigError(f"--tile-size {side} is no multiple of the model's {contract.align}")
    if form in ("onnx", "openvino"):
        require(form, conversion=True)
    if precision == "bfloat16" and form == "onnx":
        raise ConfigError("onnx is not exported in bfloat16", hint="use --format openvino")
    if precision == "bfloat16" and form == "openvino":
        refuse_bfloat16()
    return _Order(folder, replace(contract, tile_size=side), form, precision)


@contextmanager
def _whole_or_not(output: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give `NAME.partial` and rename it when the block ends well; else nothing is left of it."""
    if output.is_symlink() or not output.name:  # what it leads to; `.` gets a name
        output = output.resolve()
    partial = output.with_name(f"{output.name}.partial")
    ours = False  # until it is claimed, it may be that of another process
    try:
        with claim(partial, resume=True):
            ours = True
            clear(partial)
            yield partial
        if overwrite and output.exists():
            set_aside(output)
        partial.rename(output)
    except OSError as exc:
        raise output_error(exc, output) from exc
    finally:
        if ours:
            shutil.rmtree(partial, ignore_errors=True)


def _write_and_compare(order: _Order, folder: Path, tiles: RGB) -> tuple[float, float]:
    """Write the model and its contract; the largest and the mean difference of a probability."""
    from cervseg.engines.conversion import convert
    from cervseg.engines.tiles import finish_logits, prepare_tiles

    contract, target = order.contract, folder / NAMES[order.form]
    trial = folder / "trial"
    trial.mkdir()
    np.save(trial / "tiles.npy", prepare_tiles(tiles, contract))
    side = (contract.tile_size, contract.tile_size)
    convert(order.folder, order.form, target, side=side, precision=order.precision, trial=trial)
    expected = finish_logits(np.load(trial / "expected.npy"), contract)
    contract.save(folder)
    if order.form in ("onnx", "openvino"):
        found = _read_again(folder, order, tiles)
    else:
        found = finish_logits(np.load(trial / "answers.npy"), contract)
    shutil.rmtree(trial)
    difference = np.abs(found.astype(np.float64) - expected)
    return float(difference.max()), float(difference.mean())


def _read_again(folder: Path, order: _Order, tiles: RGB) -> Probabilities:
    """Answers of an exported folder, opened as every command does, each tile looked at once."""
    from cervseg.engines import open_model

    return open_model([folder], precision=order.precision, augment="none", batch_size=1).predict(
        tiles
    )


def _trial_tiles(contract: Contract, images: Path | None) -> RGB:
    side = contract.tile_size
    if images is None:
        return drawn_tiles(TRIAL_TILES, side)
    if not images.exists():
        raise DataError(f"{images}: no such image or folder")
    paths = find_images(images) if images.is_dir() else [images]
    if not paths:
        raise DataError(f"{images}: no images in it")
    views = [_at_scale(open_image(path), contract.scale, side) for path in paths[:TRIAL_TILES]]
    return np.stack([view.read(_middle(view, side)) for view in views])


def _at_scale(image: Image, scale: float, side: int) -> Padded:
    """The image as the model sees it, at least one tile large."""
    view = scale_image(image, scale, scale)
    return Padded(view, max(view.height, side), max(view.width, side))


def _middle(view: Padded, side: int) -> Window:
    return Window((view.height - side) // 2, (view.width - side) // 2, side, side)


def drawn_tiles(count: int, side: int) -> RGB:
    """Textured tiles where there are no photographs: noise of three grains, always the same.

    Returns:
        Shape (count, side, side, 3), all values from 0 to 255.
    """
    rng = np.random.default_rng(0)
    tiles = np.zeros((count, side, side, 3))
    for grain in (1, 4, 16):
        noise = ndimage.gaussian_filter(rng.normal(size=tiles.shape), (0, grain, grain, 0))
        tiles += noise / noise.std()
    low, high = np.quantile(tiles, (0.01, 0.99))
    return np.asarray(np.clip((tiles - low) / (high - low) * 255, 0, 255), np.uint8)


def _report(order: _Order, output: Path, difference: Sequence[float], *, count: int) -> Report:
    path = output / NAMES[order.form]
    files = [path, path.with_suffix(".bin")] if order.form == "openvino" else [path]
    every = [f for file in files for f in (file, *file.rglob("*")) if f.is_file()]
    size = sum(file.stat().st_size for file in every)
    result: dict[str, JSON] = {
        "model": str(order.folder),
        "format": order.form,
        "precision": order.precision,
        "tile_size": order.contract.tile_size,
        "path": str(path),
        "bytes": size,
        "compared_tiles": count,
        "largest_difference": difference[0],
        "mean_difference": difference[1],
        "limit": LIMITS[order.precision],
    }
    rows = (
        ("format", order.form),
        ("size", f"{size / 1e6:.1f} MB"),
        ("largest difference", f"{difference[0]:.1e} on {count} tiles"),
        ("mean difference", f"{difference[1]:.1e}"),
    )
    usable = order.form in ("onnx", "openvino")
    following = f"cervseg tiled-infer IMAGES --model {shlex.quote(str(output))}"
    return Report(
        "export",
        output,
        results=(result,),
        paths=(path,),
        tables=(Table("export", ("what", "value"), rows),),
        next_command=following if usable else None,
    )

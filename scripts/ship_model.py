"""Put the model of a finished run into the package, as `builtin:NAME`, in half precision.

    python scripts/ship_model.py RUN NAME --images DIR [--overwrite]
    python scripts/ship_model.py RUN NAME --check

Its card is `docs/models/NAME.md`, copied beside the weights. The photographs of the folder are
segmented with both precisions, by `tiled-infer` as a user has it. Where more than 0.1 % of the
pixels of one of them differ, where the folder is over 10 MB, or the card names no licence, nothing
is written. With `--overwrite` the old model is kept beside the new one, under another name that is
neither listed nor packaged. `--check` ships nothing: it tells whether a run came to the weights of
the built-in model, bit by bit, and ends with 6 where it did not.
"""

import argparse
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image as Pillow

import cervseg
from cervseg import runtime
from cervseg.arrays import Mask
from cervseg.commands.inspect import Card
from cervseg.config import Config
from cervseg.contract import BUILTIN, BUILTIN_NAME, CARD, Contract, builtin_folder, find_model
from cervseg.errors import CervsegError, CheckError, ConfigError, DataError
from cervseg.files import refuse_occupied, set_aside

CARDS = Path(__file__).parents[1] / "docs" / "models"
MOST_CHANGED = 0.001
"""Of the pixels of a mask."""
MOST_BYTES = 10_000_000
ALWAYS_PNG = {"large_from": 10**12, "objects": False}


def main() -> int:
    """Ship a model and tell how its masks differ."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, help="run or model folder")
    parser.add_argument("name", help="as in builtin:NAME")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--images", type=Path, help="photographs to compare on")
    what.add_argument("--check", action="store_true", help="only compare weights")
    parser.add_argument("--overwrite", action="store_true", help="the old one is kept as a _bak")
    asked = parser.parse_args()
    try:
        if asked.check:
            print(check_weights(asked.run, asked.name))
            return 0
        changed = ship(asked.run, asked.name, images=asked.images, card=CARDS / f"{asked.name}.md",
                       overwrite=asked.overwrite)  # fmt: skip
    except CervsegError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return exc.exit_code
    for image, share in changed.items():
        print(f"{image}: {share:.4%} of the pixels differ")
    print(f"wrote {builtin_folder() / asked.name}")
    return 0


def ship(
    run: Path, name: str, *, images: Path, card: Path, overwrite: bool = False
) -> dict[str, float]:
    """Write `cervseg/builtin/NAME`, whole or not at all.

    Args:
        run: Run or model folder.
        name: Of the built-in model.
        images: Folder of photographs.
        card: What people should know, in Markdown.
        overwrite: Set an old one aside.

    Returns:
        For each photograph the share of pixels whose class differs from full precision's.

    Raises:
        CheckError: Masks differ too much, or the model is too large.
        DataError: The card is missing or says too little, or a photograph is broken.
        ModelError: There is no model.
    """
    if not re.fullmatch(BUILTIN_NAME, name):
        raise ConfigError(f"{name!r}: a name is lower case letters, digits and hyphens")
    check_card(card)
    source, target = find_model(run), builtin_folder() / name
    refuse_occupied(target, overwrite=overwrite)
    with new_folder(target) as model:
        halve(source, model)
        shutil.copyfile(card, model / CARD)
        size = sum(path.stat().st_size for path in model.iterdir())
        if size > MOST_BYTES:
            raise CheckError(f"{BUILTIN}{name}: {size / 1e6:.1f} MB, the limit is 10 MB")
        changed = compare_masks(source, model, images)
        worst = max(changed, key=lambda image: changed[image])
        if changed[worst] > MOST_CHANGED:
            raise CheckError(
                f"{worst}: {changed[worst]:.3%} of the pixels differ in half precision, "
                f"the limit is {MOST_CHANGED:.1%}"
            )
        if target.exists():
            set_aside(target)
        model.rename(target)
    return changed


def check_weights(run: Path, name: str) -> str:
    """Compare a run with the built-in model in half precision.

    Raises:
        CheckError: They differ; says where most.
        ModelError: One of them is missing.
    """
    runtime.start(device="cpu")
    from cervseg.models.folder import load_model

    shipped = find_model(Path(f"{BUILTIN}{name}"))
    with TemporaryDirectory() as place:
        halve(find_model(run), Path(place))
        one, other = (load_model(f, Contract.load(f)).weights for f in (Path(place), shipped))
        layers = [[(v.path, tuple(v.shape)) for v in weights] for weights in (one, other)]
        if layers[0] != layers[1]:
            raise CheckError(f"{run}: its layers are not those of {BUILTIN}{name}")
        far = {v.path: float(np.abs(np.asarray(v) - np.asarray(w)).max())
               for v, w in zip(one, other, strict=True)}  # fmt: skip
    worst = max(far, key=lambda path: far[path])
    if far[worst]:
        different = sum(map(bool, far.values()))
        raise CheckError(
            f"{run}: {different} of {len(far)} weights are not those of {BUILTIN}{name}, "
            f"{worst} by up to {far[worst]:.2g}",
            hint="another kind of machine rounds otherwise: compare scores",
        )
    return f"{run}: all {len(far)} weights are those of {BUILTIN}{name}"


def check_card(path: Path) -> None:
    """Check that a card has what `cervseg inspect` tells of it, and a licence.

    Raises:
        DataError: It is missing, or says too little.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such card")
    card = Card.parse(path.read_text(encoding="utf-8"))
    for what, found in {
        "a sentence below its title": card.description,
        "a section Scores": card.scores,
        "a licence": "licen" in card.text.lower(),
    }.items():
        if not found:
            raise DataError(f"{path}: the card lacks {what}")


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Give an empty folder on the same disk; what is not renamed at the end is gone."""
    target.parent.mkdir(exist_ok=True)
    with TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as place:
        folder = Path(place) / target.name
        folder.mkdir()
        yield folder


def halve(source: Path, folder: Path) -> None:
    """Write a model with kernels in half precision."""
    runtime.start(device="cpu")
    from cervseg.models.folder import load_model, save_model

    contract = Contract.load(source)
    save_model(folder, load_model(source, contract), contract, half=True)


def compare_masks(one: Path, other: Path, images: Path) -> dict[str, float]:
    """Segment photographs with two models; the share of pixels whose class differs, by photograph.

    Raises:
        DataError: One could not be segmented.
    """
    with TemporaryDirectory() as place:
        masks = [segment(model, images, Path(place) / model_name)
                 for model, model_name in ((one, "one"), (other, "other"))]  # fmt: skip
        return {
            name: changed_share(read(masks[0][name]), read(masks[1][name])) for name in masks[0]
        }


def segment(model: Path, images: Path, output: Path) -> dict[str, Path]:
    """The masks of photographs by a model, by the photograph's path."""
    config = Config.model_validate({"tiled_infer": ALWAYS_PNG})
    report = cervseg.tiled_infer(config, model=[model], images=[images], output=output)
    for failure in report.failures:
        raise DataError(f"{failure.item}: {failure.message}")
    return {str(result["image"]): Path(str(result["mask"])) for result in report.results}


def read(path: Path) -> Mask:
    """The classes of a mask, (height, width)."""
    with Pillow.open(path) as picture:
        return np.asarray(picture)


def changed_share(one: Mask, other: Mask) -> float:
    """The share of pixels whose class differs, 0 to 1."""
    return float(np.mean(one != other))


if __name__ == "__main__":
    raise SystemExit(main())

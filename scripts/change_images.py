"""What if the camera, the light or the stain were another? Scores of changed images.

    python scripts/change_images.py CONFIG --folds 0 1 2 [--set KEY=VALUE …]

For each fold its model segments the fields it is scored on, as they are and changed in one way
after another; none of the changes is drawn by chance. Fields of several sizes are told apart.
Prints a Markdown table of means over fields.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from compare_postprocessing import SHOWN, as_field, begin, scores

from cervseg.arrays import RGB
from cervseg.commands.fold import of_fold
from cervseg.config import Config
from cervseg.contract import Contract, find_model
from cervseg.data.colour import LEVELS, apply_curve, bend, turn_colours, vary_dyes
from cervseg.data.folds import open_fold
from cervseg.data.labelled import labelled_sources, read_labelled
from cervseg.data.optics import blur, compress, fall_off
from cervseg.images.image import whole
from cervseg.images.photo import Photo
from cervseg.inference.answers import tiled_answers
from cervseg.inference.decision import decision_for
from cervseg.reports import SILENT


def tint(red: float, blue: float) -> Callable[[RGB], RGB]:
    """A light of another colour: factors on two channels."""
    return lambda image: np.rint(np.clip(image * (red, 1, blue), 0, 255)).astype(np.uint8)


CHANGES: dict[str, Callable[[RGB], RGB]] = {
    "as it is": lambda image: image,
    "warmer light (red x 1.12, blue x 0.88)": tint(1.12, 0.88),
    "colder light (red x 0.88, blue x 1.12)": tint(0.88, 1.12),
    "darker (gamma 1.4)": lambda image: apply_curve(image, bend(LEVELS, 1.4)),
    "brighter (gamma 0.7)": lambda image: apply_curve(image, bend(LEVELS, 0.7)),
    "hues turned by 20 degrees": lambda image: turn_colours(image, degrees=20, saturation=1),
    "hues turned by -20 degrees": lambda image: turn_colours(image, degrees=-20, saturation=1),
    "half the saturation": lambda image: turn_colours(image, degrees=0, saturation=0.5),
    "1.5 times the saturation": lambda image: turn_colours(image, degrees=0, saturation=1.5),
    "a third less of all dyes": lambda image: vary_dyes(image, gains=(0.67,) * 3, shifts=(0,) * 3),
    "a third more of all dyes": lambda image: vary_dyes(image, gains=(1.33,) * 3, shifts=(0,) * 3),
    "corners darker by a third": lambda image: fall_off(image, 0.33, (0.5, 0.5)),
    "out of focus (sigma 4 pixels)": lambda image: blur(image, 4),
    "JPEG of quality 20": lambda image: compress(image, 20),
}
"""By name; each is seen at a glance."""

SIZES = (0.67, 0.8, 1.25, 1.5)
"""How much larger cells seem where the scale is told wrong."""


class Row(NamedTuple):
    """A field, how it was changed, and its scores."""

    scale: tuple[float, float]
    change: str
    scores: dict[str, float]


def main() -> int:
    """Predict, score, print."""
    config, folds = begin(__doc__ or "")
    rows = [row for fold in folds for row in score(config, fold)]
    for line in as_table(rows):
        print(line)
    return 0


def score(config: Config, fold: int) -> Iterator[Row]:
    """The scored fields of a fold, each as it is and in all ways changed."""
    from cervseg.engines import open_model

    model = of_fold(config, fold).train.output
    dataset = open_fold(config.data.output, fold, hint="")
    contract = Contract.load(find_model(model))
    decision = decision_for(config.tiled_infer, contract)
    predictor = open_model([model], engine=config.tiled_infer.engine).predict
    answer = tiled_answers(contract, predictor, config.tiled_infer, progress=SILENT)
    for item in labelled_sources(dataset, dataset.sources_of("test")):
        read = read_labelled(item, dataset.classes)
        pixels = read.image.read(whole(read.image))
        for name, change in CHANGES.items():
            given = answer(Photo(change(pixels)), item.scale, item.name)
            yield Row(item.scale, name, scores(decision, as_field(item, read, given)))
        for size in SIZES:
            wrong = item._replace(scale=(item.scale[0] * size, item.scale[1] * size))
            given = answer(read.image, wrong.scale, item.name)
            told = scores(decision, as_field(wrong, read, given))
            yield Row(item.scale, f"shown {size:g} times as large", told)


def as_table(rows: list[Row]) -> Iterator[str]:
    """Means over fields, each size of files and each change a line."""
    groups: dict[tuple[tuple[float, float], str], list[dict[str, float]]] = defaultdict(list)
    for row in rows:
        groups[row.scale, row.change].append(row.scores)
    yield "| files | change | fields | " + " | ".join(SHOWN) + " |"
    yield "|---|---|---|" + "---|" * len(SHOWN)
    for (scale, change), those in sorted(groups.items(), key=lambda group: group[0][0]):
        means = (np.nanmean([one[name] for one in those]) for name in SHOWN)
        told = " | ".join(f"{mean:.3f}" for mean in means)
        yield f"| {scale[0]:g} x {scale[1]:g} | {change} | {len(those)} | {told} |"


if __name__ == "__main__":
    raise SystemExit(main())

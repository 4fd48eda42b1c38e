"""What data and machine suggest: the keys of a config, each with its reason.

As nnU-Net plans from a fingerprint of the data (Isensee et al., 2021,
https://doi.org/10.1038/s41592-020-01008-z). The rules know sizes, counts and shares, never what is
on the images. Their numbers are those of docs/accuracy.md.
"""

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from cervseg.config.syntax import format_value
from cervseg.data.statistics import FieldStatistics
from cervseg.errors import DataError
from cervseg.reports import JSON

LARGE_OBJECT = 60
"""Pixels across that the class of the largest objects should have; cells do well with them."""

SMALL_OBJECT = 12
"""Pixels across that the class of the smallest objects has at least."""

SCALES = tuple(part / 2**halvings for halvings in range(6) for part in (1.0, 0.75))

OBJECTS_ACROSS = 5
"""A tile shows about so many side by side, with what is around them."""

ALIGN = 32
SMALLEST_TILE, LARGEST_TILE = 64, 512
WHOLE = 256
"""An image of at most so many pixels is one tile as it is."""

BATCH_PIXELS = 6 * 320 * 320
MOST_IN_BATCH = 32
VIEWS = 30
"""How often a training sees each object, from other sides."""

FEWEST_STEPS, MOST_STEPS = 450, 10_000
EPOCHS = 15
RARE, COMMON = 0.02, 0.3
"""Shares of foreground: below one, crops are drawn to it; above the other, they need not be."""

SPECK = 0.25
"""Of the area of small annotated objects: what is smaller is none."""

APART = 0.6
"""Of their usual width: so far apart are the middles of objects that touch."""

WIDEST = 46
"""Columns before a comment; a longer line has it above."""


class Facts(NamedTuple):
    """What the rules look at.

    Args:
        images: How many.
        groups: That no split divides.
        height: Median, full-size pixels.
        width: Likewise.
        diameters: Of each class with objects, the median of the circle of an object's area,
            full-size pixels.
        objects: Of all classes.
        small_area: Below which 5 % of the objects of a class are, of the class where it is least,
            full-size pixels.
        foreground: Share of the pixels that count.
        classes: Their names.
    """

    images: int
    groups: int
    height: int
    width: int
    diameters: tuple[float, ...]
    objects: int
    small_area: float
    foreground: float
    classes: tuple[str, ...]


class Choice(NamedTuple):
    """A key and why it has its value."""

    key: str
    value: JSON
    reason: str


def find_facts(
    rows: Sequence[FieldStatistics],
    scales: Sequence[tuple[float, float]],
    classes: Sequence[str],
) -> Facts:
    """Sum up what was measured of each image.

    Args:
        rows: One an image.
        scales: Of each, full-size pixels per file pixel, vertical and horizontal.
        classes: Names.

    Raises:
        DataError: Nothing is annotated.
    """
    areas = [sorted(a for row in rows for a in row.areas[i]) for i in range(len(classes))]
    if not any(areas):
        raise DataError("no image has an annotated object", hint="cervseg dataset-check tells more")
    counted = sum(sum(row.pixels[:-1]) for row in rows)
    sizes = list(zip(rows, scales, strict=True))
    return Facts(
        images=len(rows),
        groups=len({row.group for row in rows}),
        height=round(statistics.median(row.height * scale[0] for row, scale in sizes)),
        width=round(statistics.median(row.width * scale[1] for row, scale in sizes)),
        diameters=tuple(2 * math.sqrt(statistics.median(f) / math.pi) for f in areas if f),
        objects=sum(map(len, areas)),
        small_area=min(found[len(found) // 20] for found in areas if found),
        foreground=sum(sum(row.pixels[1:-1]) for row in rows) / counted,
        classes=tuple(classes),
    )


def choose(facts: Facts, name: str, *, batch_limit: int = MOST_IN_BATCH) -> list[Choice]:
    """The keys of sections `data`, `model`, `train` and `tiled_infer` that follow from facts.

    Args:
        facts: Of the data.
        name: Of the experiment.
        batch_limit: Crops a step that memory allows.
    """
    scale, scale_reason = _choose_scale(facts)
    tile, tile_reason = _choose_tile(facts, scale)
    whole = max(facts.height, facts.width) * scale <= tile
    batch = max(1, min(round(BATCH_PIXELS / tile**2), MOST_IN_BATCH, batch_limit))
    steps, steps_reason = _choose_steps(facts, batch=batch, crop=(tile / scale) ** 2)
    several = len(facts.classes) > 1
    return [
        Choice("data.scale", scale, scale_reason),
        Choice("data.tile_size", tile, tile_reason),
        Choice("data.sampling", "tiles" if whole else "fields",
               "an image is one tile" if whole else "crops from anywhere in an image, never twice"),
        Choice("model.architecture", "lite_unet", "small, made for the CPU"),
        Choice("model.encoder_weights", "imagenet",
               f"of {_count(facts.images, 'image')} alone it would learn less"),
        *([Choice("model.final_activation", "softmax", "a pixel belongs to one class")]
          if several else []),
        Choice("train.output", f"runs/{name}", "the run folder, with the model in it"),
        Choice("train.loss",
               [{"name": "categorical_crossentropy"}, {"name": "dice"}] if several else "bce_dice",
               f"Dice, because {facts.foreground:.1%} of the pixels are foreground"),
        Choice("train.foreground_fraction", _foreground(facts),
               f"share of crops around an object, which is {facts.foreground:.1%} of the pixels"),
        Choice("train.batch_size", batch, f"{batch * tile**2 / 1e6:.2g} megapixels a step"),
        Choice("train.epochs", EPOCHS, "each ends with a validation and a checkpoint"),
        Choice("train.steps_per_epoch", math.ceil(steps / EPOCHS), steps_reason),
        Choice("train.optimizer", "adamw", "with the rate below, for pre-trained encoders"),
        Choice("train.learning_rate", 1e-3, "at its highest"),
        Choice("train.weight_decay", 0.01, "as published for adamw"),
        Choice("train.schedule", "cosine", "down to 0: the last epochs are the best"),
        Choice("train.warmup_epochs", 1, "a new decoder is not to spoil the encoder"),
        Choice("train.patience", 0, "cosine runs to its end; the best weights are kept"),
        Choice("train.ema", 0.99, "the mean of the last 100 steps is steadier than the last"),
        Choice("train.augmentation.scale", [0.75, 1.35], "objects of other sizes"),
        Choice("train.augmentation.stain", {"probability": 1, "gain": 0.15, "shift": 0.03},
               "other stainings and scanners"),
        Choice("tiled_infer.min_area", int(SPECK * facts.small_area),
               f"pixels; 95 % of the objects of each class have over {facts.small_area:.0f}"
               if several else
               f"pixels; 95 % of the annotated objects have over {facts.small_area:.0f}"),
        *([] if several or facts.objects < 2 * facts.images else [_cut_apart(facts)]),
    ]  # fmt: skip


def _choose_scale(facts: Facts) -> tuple[float, str]:
    if max(facts.height, facts.width) <= WHOLE:
        return 1.0, "images so small are not reduced"
    largest, smallest = max(facts.diameters), min(facts.diameters)
    wanted = max(LARGE_OBJECT / largest, SMALL_OBJECT / smallest)
    scale = min(SCALES, key=lambda s: abs(math.log(s / wanted)))
    sizes = " and ".join(
        f"{size:.0f} pixels become {size * scale:.0f}" for size in sorted({largest, smallest})
    )
    return scale, f"objects of {sizes}"


def _choose_tile(facts: Facts, scale: float) -> tuple[int, str]:
    object_size = max(facts.diameters) * scale
    field = math.ceil(max(facts.height, facts.width) * scale / ALIGN) * ALIGN
    wanted = round(OBJECTS_ACROSS * object_size / ALIGN) * ALIGN
    tile = min(max(SMALLEST_TILE, min(wanted, field)), LARGEST_TILE)
    if tile == field:
        return tile, f"a whole image of {facts.width} x {facts.height}"
    return tile, f"{tile / object_size:.0f} objects across, to see what is around them"


def _choose_steps(facts: Facts, *, batch: int, crop: float) -> tuple[int, str]:
    """Steps of a training, so that each object is seen often enough, and why an epoch has some."""
    field = facts.height * facts.width
    in_field = facts.objects / facts.images
    in_crop = max(1.0, in_field * min(1.0, crop / field))
    wanted = VIEWS * facts.objects / (batch * in_crop)
    steps = round(min(max(wanted, FEWEST_STEPS), MOST_STEPS))
    views = steps * batch * in_crop / facts.objects
    return (
        steps,
        f"each of {_count(facts.objects, 'object')} is seen about {views:.0f} times in all",
    )


def _cut_apart(facts: Facts) -> Choice:
    """Where objects lie side by side, those that touch would count as one."""
    size = max(facts.diameters)
    reason = f"pixels between middles of objects that touch; one is {size:.0f} across"
    return Choice("tiled_infer.split_touching", round(APART * size), reason)


def _foreground(facts: Facts) -> float:
    if facts.foreground >= COMMON:
        return 0.0
    return 0.67 if facts.foreground < RARE else 0.5


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def write_plan(choices: Iterable[Choice], *, head: Sequence[str]) -> str:
    """A config as YAML, each key with its reason beside or above it.

    Args:
        choices: In order; keys of a section stand together.
        head: Comment lines above all.
    """
    lines = [f"# {line}".rstrip() for line in head]
    open_sections: list[str] = []
    for choice in choices:
        *sections, name = choice.key.split(".")
        shared = 0
        while shared < min(len(sections), len(open_sections)) and (
            sections[shared] == open_sections[shared]
        ):
            shared += 1
        lines += [f"{'  ' * i}{sections[i]}:" for i in range(shared, len(sections))]
        open_sections = sections
        indent = "  " * len(sections)
        text = f"{indent}{name}: {format_value(choice.value)}"
        if not choice.reason:
            lines.append(text)
        elif len(text) <= WIDEST:
            lines.append(f"{text:<{WIDEST}}  # {choice.reason}")
        else:
            lines += [f"{indent}# {choice.reason}", text]
    return "\n".join(lines) + "\n"

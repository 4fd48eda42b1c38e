"""Scores as they come in, and what deserves a picture."""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cervseg.arrays import RGB, Mask, Probabilities
from cervseg.classes import IGNORE, Classes
from cervseg.commands.task import Guessed
from cervseg.config import Config
from cervseg.data.labelled import Labelled, Read, read_labelled
from cervseg.errors import DataError
from cervseg.grid import Window
from cervseg.images.image import whole
from cervseg.images.overlays import write_picture
from cervseg.reporting.pictures import Compared, around, draw_cell, write_layers, write_overlay
from cervseg.reports import Failure
from cervseg.scoring.calibration import ProbabilityCounts
from cervseg.scoring.matching import FATES, Sorted, sort_objects
from cervseg.scoring.summary import count_confusion, min_pixels, score_image

S = TypeVar("S")

CELLS = 8
"""Of each fate that are drawn, the largest."""


@dataclass
class Scored:
    """Scores so far, and the masks of the worst and best images.

    Args:
        classes: Of the masks.
        keep: How many of the worst, and of the best, keep their mask for a picture.
        tolerance: Of `surface_dice`, full-size pixels.
        min_cell_area: Smaller objects are no cells, full-size pixels.
        mpp: Micrometres per full-size pixel, where an image does not say.
    """

    classes: Classes
    keep: int
    tolerance: float = 2.0
    min_cell_area: int = 200
    mpp: float | None = None
    names: list[str] = field(default_factory=list)
    rows: list[list[dict[str, float]]] = field(default_factory=list)  # per image, per class
    empty: list[list[dict[str, float]]] = field(default_factory=list)
    ranked: list[tuple[float, str, Labelled, Mask]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    confusion: NDArray[np.int64] = field(init=False)  # rows truth, columns prediction
    counts: dict[str, ProbabilityCounts] = field(default_factory=dict)  # none for masks of files
    objects: list[tuple[str, str, Sorted]] = field(default_factory=list)  # image, class, fate
    cells: dict[str, list[tuple[int, str, RGB]]] = field(default_factory=dict)  # by fate

    def __post_init__(self) -> None:
        """Begin with no pixel confused."""
        self.confusion = np.zeros((len(self.classes) + 1,) * 2, np.int64)

    def add(self, item: Labelled, read: Read, guessed: Guessed) -> None:
        """Score an image; forget masks that are neither among the worst nor the best."""
        truth, guess = read.mask, guessed.mask
        if guessed.probabilities is not None:
            self._count(truth, guessed.probabilities)
        self.names.append(item.name)
        self.rows.append(self._score(item, read, guess))
        self.empty.append(self._score(item, read, np.zeros_like(truth)))
        self.confusion += count_confusion(truth, guess, len(self.classes))
        self._sort(item, read, guess)
        dice = float(np.mean([row["dice"] for row in self.rows[-1]]))
        if math.isnan(dice):  # nothing of it is known
            return
        self.ranked.append((dice, item.name, item, guess))
        self.ranked.sort(key=lambda entry: entry[:2])
        del self.ranked[self.keep : len(self.ranked) - self.keep]

    def _count(self, truth: Mask, probabilities: Probabilities) -> None:
        known = truth != IGNORE
        for index, name in enumerate(self.classes.names):
            counts = self.counts.setdefault(name, ProbabilityCounts())
            counts.add(truth[known] == index + 1, probabilities[..., index][known])

    def _sort(self, item: Labelled, read: Read, guess: Mask) -> None:
        """Say what became of each cell; draw the largest of each fate, two a fate and image."""
        known, name = read.mask != IGNORE, item.name
        smallest = min_pixels(self.min_cell_area, item.scale)
        for index, class_name in enumerate(self.classes.names, start=1):
            here, there = read.mask == index, (guess == index) & known
            rows = sort_objects(here, there, min_size=smallest, cells=read.objects)
            self.objects += [(name, class_name, row) for row in rows]
            for fate in FATES[1:] if self.keep else ():  # what was found needs no picture
                those = sorted((row for row in rows if row.fate == fate), key=lambda r: -r.area)
                kept = self.cells.setdefault(fate, [])
                kept += [(r.area, name, self._draw(read, guess, r.window)) for r in those[:2]]
                kept.sort(key=lambda entry: -entry[0])
                del kept[CELLS:]

    def _draw(self, read: Read, guess: Mask, window: Window) -> RGB:
        place = around(window, *guess.shape)
        inside = np.s_[place.top : place.bottom, place.left : place.right]
        part = Compared(read.image.read(place), read.mask[inside], guess[inside])
        return draw_cell(part, self.classes)

    def _score(self, item: Labelled, read: Read, guess: Mask) -> list[dict[str, float]]:
        # The mpp of a file that was squeezed is that of its rows, as in `Scaled`.
        own = None if read.image.mpp is None else read.image.mpp / item.scale[0]
        return [
            score_image(
                read.mask,
                guess,
                index,
                scale=item.scale,
                mpp=own or self.mpp,
                tolerance=self.tolerance,
                min_cell_area=self.min_cell_area,
                cells=read.objects,
            )
            for index in range(1, len(self.classes) + 1)
        ]

    def summed_up(self, summarizer: Callable[..., S], config: Config) -> dict[str, S]:
        """By class name what `summarize`, or one like it, says of all images so far."""
        return {
            name: summarizer(
                [row[i] for row in self.rows],
                [row[i] for row in self.empty],
                seed=config.runtime.seed,
                resamples=config.evaluate.resamples,
            )
            for i, name in enumerate(self.classes.names)
        }

    def specks(self) -> list[str]:
        """Say of which classes most annotated objects are too small to be cells."""
        notices = []
        for index, name in enumerate(self.classes.names):
            cells = round(sum(row[index]["cells"] for row in self.rows))
            specks = round(sum(row[index]["specks"] for row in self.rows))
            if specks > cells:
                notices.append(
                    f"{name}: {specks} of {cells + specks} annotated objects have less than "
                    f"{self.min_cell_area} pixels and are no cells to the scores of cells: "
                    "evaluate.min_cell_area sets the limit"
                )
        return notices

    def draw(self, folder: Path) -> list[Path]:
        """Write the overlays of the worst and the best images; for the report, parts of them."""
        overlays = []
        for name, item, guess in self._pictured():
            try:
                read = read_labelled(item, self.classes)
            except DataError:  # changed since it was scored: the scores are what matters
                continue
            compared = Compared(read.image.read(whole(read.image)), read.mask, guess)
            overlays.append(folder / "overlays" / f"{name}.jpg")
            write_overlay(overlays[-1], compared, self.classes)
            write_layers(folder / "pictures" / name, compared, self.classes)
        for fate, kept in self.cells.items():
            for number, (_, name, picture) in enumerate(kept, start=1):
                path = folder / "cells" / f"{fate}{number}_{_short(name)}.jpg"
                write_picture(path, picture)
        return overlays

    def _pictured(self) -> list[tuple[str, Labelled, Mask]]:
        """The worst and best images under the names of their pictures, none twice."""
        entries = [(item, mask) for _, _, item, mask in self.ranked]
        worst, best = entries[: self.keep], entries[self.keep :][::-1]
        return [
            (f"{kind}{place}_{_short(item.name)}", item, mask)
            for kind, group in (("worst", worst), ("best", best))
            for place, (item, mask) in enumerate(group, start=1)
        ]


def _short(name: str) -> str:
    """As much of an image's name as leaves room in a file name for what goes around it."""
    while len(os.fsencode(name)) > 200:
        name = name[:-1]
    return name

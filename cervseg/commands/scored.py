"""Scores as they come in, and which images deserve a picture."""

from dataclasses import dataclass, field

import numpy as np

from cervseg.arrays import Mask
from cervseg.classes import Classes
from cervseg.data.labelled import Labelled
from cervseg.reports import Failure
from cervseg.scoring.summary import score_image


@dataclass
class Scored:
    """Scores so far, and the masks of the worst and best images.

    Args:
        classes: Of the masks.
        keep: How many of the worst, and of the best, keep their mask for a picture.
    """

    classes: Classes
    keep: int
    names: list[str] = field(default_factory=list)
    rows: list[list[dict[str, float]]] = field(default_factory=list)  # per image, per class
    empty: list[list[dict[str, float]]] = field(default_factory=list)
    ranked: list[tuple[float, str, Labelled, Mask]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def add(self, item: Labelled, truth: Mask, guess: Mask) -> None:
        """Score an image; forget masks that are neither among the worst nor the best."""
        indices = range(1, len(self.classes) + 1)
        self.names.append(item.name)
        self.rows.append([score_image(truth, guess, i) for i in indices])
        self.empty.append([score_image(truth, np.zeros_like(truth), i) for i in indices])
        dice = float(np.mean([row["dice"] for row in self.rows[-1]]))
        self.ranked.append((dice, item.name, item, guess))
        self.ranked.sort(key=lambda entry: entry[:2])
        del self.ranked[self.keep : len(self.ranked) - self.keep]

    def pictured(self) -> list[tuple[str, Labelled, Mask]]:
        """The worst and best images under the names of their pictures, none twice."""
        entries = [(item, mask) for _, _, item, mask in self.ranked]
        worst, best = entries[: self.keep], entries[self.keep :][::-1]
        return [
            (f"{kind}{place}_{item.name}", item, mask)
            for kind, group in (("worst", worst), ("best", best))
            for place, (item, mask) in enumerate(group, start=1)
        ]

"""Curves as SVG that takes the colour of the text around it, so light on dark and dark on light."""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from cervseg.bounds import printable

INK = "#010203"
"""Stands for the colour of the text."""

MOST_CHARTS = 40
"""Of a kind, in a page; a second draws ten."""

COLOURS, STYLES, MARKS = ("#2f7fd1", "#d9730d", "#3f9b52"), ("-", "--", ":"), ("o", "s", "^")


class Line(NamedTuple):
    """A curve: colour, dashes and the mark of its points follow from its place among others."""

    label: str
    across: Sequence[float]
    up: Sequence[float]
    points: bool = False


class Chart(NamedTuple):
    """A drawing and what it shows, in words."""

    svg: str
    caption: str


def words(name: str) -> str:
    """The name of a score for people."""
    return name.replace("_", " ").replace("iou", "IoU").replace("hd95", "HD95")


def draw_chart(
    lines: Sequence[Line],
    *,
    caption: str,
    axes: tuple[str, str],
    unit: bool = True,
    diagonal: bool = False,
) -> Chart:
    """Draw curves.

    Args:
        lines: At most three.
        caption: Says what can be seen.
        axes: Names of the horizontal and the vertical one.
        unit: Both run from 0 to 1.
        diagonal: Also draw where both are equal.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    caption, axes = printable(caption), (printable(axes[0]), printable(axes[1]))
    inks = dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color",
                          "ytick.color"), INK)  # fmt: skip
    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": caption, "font.size": 10,
                     "text.parse_math": False, **inks}  # fmt: skip
    drawn = io.BytesIO()
    with rc_context(settings):
        figure = Figure(figsize=(4.4, 3.3), layout="constrained")
        place = figure.subplots()
        if diagonal:
            place.plot([0, 1], [0, 1], color=INK, linewidth=0.8, alpha=0.5)
        for line, colour, style, mark in zip(lines, COLOURS, STYLES, MARKS, strict=False):
            place.plot(line.across, line.up, style, color=colour, label=printable(line.label),
                       marker=mark if line.points or len(line.up) < 3 else "")  # fmt: skip
        if len(lines) > 1:
            place.legend(frameon=False)
        place.set(xlabel=axes[0], ylabel=axes[1])
        if unit:
            place.set(xlim=(0, 1), ylim=(0, 1.02))
        place.grid(alpha=0.25, color=INK)
        figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None})
    text = drawn.getvalue().decode()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    return Chart(text.replace("<svg ", '<svg role="img" ', 1), caption)


class Bins(NamedTuple):
    """Pixels of a class by probability: `probabilities.csv`.

    Args:
        probability: Lower edge of each bin, ascending.
        pixels: In each.
        true: Of these, those of the class.
    """

    probability: Sequence[float]
    pixels: Sequence[int]
    true: Sequence[int]


def sweep_charts(name: str, bins: Bins) -> tuple[Chart, Chart]:
    """Precision over recall, and both with Dice over the threshold; all pixels in one pot."""
    thresholds = np.asarray(bins.probability)
    predicted = np.cumsum(np.asarray(bins.pixels, float)[::-1])[::-1]
    hits = np.cumsum(np.asarray(bins.true, float)[::-1])[::-1]
    total = hits[0] if len(hits) else 0.0
    precision, recall = hits / np.maximum(predicted, 1), hits / max(total, 1)
    dice = 2 * hits / np.maximum(predicted + total, 1)
    best = int(dice.argmax()) if len(dice) else 0
    area = float(np.sum(-np.diff(recall, append=0) * precision))
    curve = draw_chart(
        [Line(name, recall.tolist(), precision.tolist())],
        caption=f"{name}: precision over recall of pixels, average precision {area:.3f}",
        axes=("recall", "precision"),
    )
    lines = [("Dice", dice), ("precision", precision), ("recall", recall)]
    told = f", highest {dice[best]:.3f} at {thresholds[best]:.3f}" if len(dice) else ""
    over = draw_chart(
        [Line(label, thresholds.tolist(), values.tolist()) for label, values in lines],
        caption=f"{name}: Dice of all pixels over the threshold{told}",
        axes=("threshold", "share"),
    )
    return curve, over


def reliability_chart(name: str, lines: Sequence[Line]) -> Chart:
    """What came true over what was said; on the diagonal both are one."""
    return draw_chart(
        [line._replace(points=True) for line in lines],
        caption=f"{name}: share of pixels of the class over the probability given to them",
        axes=("probability", "share that is true"),
        diagonal=True,
    )


def training_charts(history: Mapping[str, Sequence[float]]) -> list[Chart]:
    """Each column of `history.csv` over epochs, validation beside training."""
    names = [name for name in history if name != "epoch" and not name.startswith("val_")]
    charts = []
    for name in names[:MOST_CHARTS]:
        lines = [Line("training", history["epoch"], history[name])]
        if f"val_{name}" in history:
            lines.append(Line("validation", history["epoch"], history[f"val_{name}"]))
        last = ", ".join(f"{line.label} {line.up[-1]:.3g}" for line in lines)
        caption = f"{words(name)} over epochs; at the end {last}"
        charts.append(draw_chart(lines, caption=caption, axes=("epoch", words(name)), unit=False))
    return charts

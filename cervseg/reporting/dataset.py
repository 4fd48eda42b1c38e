"""The statistics of a dataset as one picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cervseg.bounds import printable
from cervseg.files import writing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#4c72b0", "#dd8452", "#55a868", "#8172b3")
"""Of the splits, in their order."""

COLUMNS = 4
"""Panels in a row."""

BINS = 24

Bars = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Title of a panel, split, label: a number."""

Samples = Mapping[str, Mapping[str, Sequence[float]]]
"""Title of a panel, split: numbers of which the distribution is shown."""


def plot_dataset(path: Path, heading: str, *, bars: Bars, samples: Samples) -> None:
    """Draw the statistics of a dataset, each split in its colour.

    Args:
        path: PNG to write.
        heading: What it is a statistic of.
        bars: Panels of counts.
        samples: Panels of distributions; those of a few equal numbers are bars as well.
    """
    from matplotlib.figure import Figure  # no pyplot: nothing global, no display

    splits = list(dict.fromkeys(split for panel in bars.values() for split in panel))
    colours = {split: COLOURS[i % len(COLOURS)] for i, split in enumerate(splits)}
    count = len(bars) + len(samples)
    rows = -(-count // COLUMNS)
    figure = Figure(figsize=(3.4 * COLUMNS, 2.9 * rows + 0.5), layout="constrained")
    figure.suptitle(printable(heading), parse_math=False)  # a folder's name may hold any sign
    panels = list(figure.subplots(rows, COLUMNS, squeeze=False).flat)
    for axes, (title, numbers) in zip(panels, bars.items(), strict=False):
        _draw_bars(axes, title, numbers, colours=colours)
    for axes, (title, values) in zip(panels[len(bars) :], samples.items(), strict=False):
        _draw_histogram(axes, title, values, colours=colours)
    for axes in panels[count:]:
        axes.remove()
    handles = [p for p in panels[0].containers if len(p)]
    if len(splits) > 1:
        figure.legend(handles, splits, loc="outside lower center", ncols=4, frameon=False)
    with writing(path) as partial:
        figure.savefig(partial, dpi=100, metadata={"Software": None})


def _draw_bars(
    axes: "Axes",
    title: str,
    numbers: Mapping[str, Mapping[str, float]],
    *,
    colours: Mapping[str, str],
) -> None:
    labels = list(dict.fromkeys(label for of_split in numbers.values() for label in of_split))
    width = 0.8 / max(1, len(numbers))
    for i, (split, of_split) in enumerate(numbers.items()):
        places = [x + (i - (len(numbers) - 1) / 2) * width for x in range(len(labels))]
        heights = [of_split.get(label, 0) for label in labels]
        drawn = axes.bar(places, heights, width * 0.94, color=colours[split])
        axes.bar_label(drawn, [_short(h) for h in heights], fontsize=7, padding=1)
    axes.set_title(title, fontsize=10)
    axes.set_xticks(range(len(labels)), labels, fontsize=8)
    if len(labels) > 4:
        axes.tick_params("x", rotation=45)
    axes.tick_params("y", labelsize=8)
    axes.margins(y=0.14)
    axes.spines[["top", "right"]].set_visible(False)


def _short(number: float) -> str:
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(number) >= limit:
            return f"{number / (1000 if unit == 'k' else limit):.3g}{unit}"
    return f"{number:.3g}" if number < 100 else f"{number:.0f}"


def _draw_histogram(
    axes: "Axes",
    title: str,
    values: Mapping[str, Sequence[float]],
    *,
    colours: Mapping[str, str],
) -> None:
    filled = {split: list(numbers) for split, numbers in values.items() if len(numbers)}
    axes.set_title(title, fontsize=10)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    if not filled:
        _say(axes, "none")
        return
    everything = [number for numbers in filled.values() for number in numbers]
    low, high = min(everything), max(everything)
    if low == high:
        _say(axes, f"{low:.3g} everywhere")
        return
    edges = [low + (high - low) * i / BINS for i in range(BINS + 1)]
    for split, numbers in filled.items():
        colour = colours[split]
        axes.hist(numbers, edges, color=colour, alpha=0.25)
        axes.hist(numbers, edges, color=colour, histtype="step", linewidth=1.4)


def _say(axes: "Axes", text: str) -> None:
    axes.text(0.5, 0.5, text, ha="center", transform=axes.transAxes, color="#666666")
    axes.set_axis_off()

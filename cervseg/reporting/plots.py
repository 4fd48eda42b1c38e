"""Training curves."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from cervseg.files import writing


def plot_curves(path: Path, history: Mapping[str, Sequence[float]], metrics: Sequence[str]) -> None:
    """Draw loss and metrics of training and validation over epochs, and the learning rate.

    Args:
        path: PNG to write.
        history: Columns of `history.csv`.
        metrics: Columns to show beside the loss; `val_` is added for validation.
    """
    from matplotlib.figure import Figure  # no pyplot: nothing global, no display

    panels = ["loss", *metrics, "learning_rate"]
    figure = Figure(figsize=(4.2 * len(panels), 3.4), layout="constrained")
    epochs = list(history["epoch"])
    for name, axes in zip(panels, figure.subplots(1, len(panels), squeeze=False)[0], strict=True):
        marker = "o" if len(epochs) < 3 else ""
        if name in history:
            axes.plot(epochs, history[name], label="training", color="#4c72b0", marker=marker)
        if f"val_{name}" in history:
            axes.plot(
                epochs, history[f"val_{name}"], "--", label="validation", color="#c44e52",
                marker=marker,
            )  # fmt: skip
            axes.legend(frameon=False)
        axes.set(title=name.replace("_", " "), xlabel="epoch")
        axes.grid(alpha=0.3)
        if name == "learning_rate" and max(history[name]) > 0:
            axes.set_yscale("log", nonpositive="mask")  # a cosine ends at 0
        elif name not in ("loss", "learning_rate"):
            axes.set_ylim(0, 1)
    with writing(path) as partial:
        figure.savefig(partial, dpi=100, metadata={"Software": None})

"""Compare the normalisations of the U-Net on the demo: score, and tiled against whole.

    python scripts/compare_normalizations.py configs/demo.yaml OUTPUT

Trains, evaluates and measures each in turn (`make demo` must have cut the tiles). Runs that are
finished are kept, so it can be interrupted.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from cervseg import runtime
from cervseg.arrays import Probabilities
from cervseg.config.loader import load_config
from cervseg.contract import Predictor
from cervseg.data.labelled import labelled_sources
from cervseg.data.manifest import open_dataset
from cervseg.grid import Window, round_up
from cervseg.images.image import Image
from cervseg.images.readers import open_image
from cervseg.images.views import Padded
from cervseg.inference.bands import predict_bands
from cervseg.inference.prediction import plan_tiles

KINDS = ("none", "batch", "layer", "group")


def main() -> int:
    """Print a Markdown table, a line a normalisation."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    runtime.start(device="cpu")
    print("| normalization | Dice | IoU | margin | receptive field | largest difference | mean |")
    print("|---|---|---|---|---|---|---|")
    for kind in KINDS:
        run = arguments.output / kind
        train_and_evaluate(arguments.config, run, kind)
        document = json.loads((run / "evaluation/test/scores.json").read_text())
        scores = document["classes"][0]["scores"]
        largest, mean, margin, radius = compare_with_whole(arguments.config, run)
        dice, iou = scores["dice"]["mean"], scores["iou"]["mean"]
        print(f"| {kind} | {dice:.3f} | {iou:.3f} | {margin} | {radius} | {largest:.1e} "
              f"| {mean:.1e} |", flush=True)  # fmt: skip
    return 0


def train_and_evaluate(config: Path, run: Path, kind: str) -> None:
    """Run the two commands as a user would."""
    changes = ["--set", f"train.output={run}", "--set", f"model.normalization={kind}"]
    for command in ("train", "evaluate"):
        words = [sys.executable, "-m", "cervseg", command, str(config), *changes, "--resume"]
        subprocess.run([*words, "--quiet"], check=True, stdout=subprocess.DEVNULL)


def compare_with_whole(config: Path, run: Path) -> tuple[float, float, int | None, int | None]:
    """Predict the test fields tiled and at once, at the model's scale.

    Returns:
        Largest and mean difference of probability, margin, and radius of the receptive field.
    """
    from cervseg.engines import open_model  # after `runtime.start`, which imports Keras quietly

    dataset = open_dataset(load_config(config).config.data.output)
    contract, predict = open_model([run])
    plan = plan_tiles(contract)
    differences = []
    for item in labelled_sources(dataset, dataset.sources_of("test")):
        view = plan.view(open_image(item.image), item.scale)
        whole = predict_at_once(view, predict, contract.align)
        grid = plan.grid(view)
        bands = predict_bands(Padded(view, grid.height, grid.width), predict, grid,
                              channels=plan.channels, margin=plan.margin)  # fmt: skip
        tiled = np.concatenate([band.probabilities for band in bands])
        differences.append(np.abs(tiled[: view.height, : view.width] - whole).ravel())
    every = np.concatenate(differences)
    return float(every.max()), float(every.mean()), contract.margin, contract.receptive_field


def predict_at_once(view: Image, predict: Predictor, align: int) -> Probabilities:
    """The answer of the network to the whole view, padded to its stride."""
    height, width = round_up(view.height, align), round_up(view.width, align)
    pixels = Padded(view, height, width).read(Window(0, 0, height, width))
    answer = predict(pixels[None])[0]
    return np.asarray(answer[: view.height, : view.width])


if __name__ == "__main__":
    sys.exit(main())

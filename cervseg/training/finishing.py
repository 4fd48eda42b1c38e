"""From trained weights to a model: best epoch, margin, temperature, threshold."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from cervseg.arrays import Mask
from cervseg.contract import Contract, Predictor
from cervseg.data.labelled import Labelled, labelled_sources, read_labelled
from cervseg.data.manifest import Dataset
from cervseg.engines.keras import KerasPredictor
from cervseg.images.image import Image
from cervseg.images.resampling import scale_mask
from cervseg.inference.checks import measure_margin
from cervseg.inference.drift import training_statistics
from cervseg.inference.prediction import plan_tiles
from cervseg.models.folder import build_network, final_network, save_model
from cervseg.models.folding import fold_normalizations
from cervseg.models.weights import load_weights
from cervseg.reports import SILENT, Progress
from cervseg.runs import Run
from cervseg.training.calibrating import calibrate

log = logging.getLogger("cervseg")

MOST_MARGIN_FIELDS = 3
"""Fields on which the margin is measured."""

MOST_STATISTICS_FIELDS = 48
"""Training fields whose stain and objects are noted."""


def finish(
    run: Run,
    contract: Contract,
    *,
    dataset: Dataset,
    temperature: float | None = None,
    progress: Progress = SILENT,
) -> Contract:
    """Take the best epoch's weights, measure margin, temperature and threshold, write the model.

    The network is built anew, so that they are measured in float32, as it will be used.

    All are measured on validation fields, as a whole and stitched; without any, the margin is
    measured on training fields, the threshold is the contract's, and the temperature 1.

    Args:
        run: Of the training.
        contract: From `fit`.
        dataset: That was learned.
        temperature: The one to use; None: it is measured.
        progress: Draws the bars.

    Returns:
        The contract as written.
    """
    model = final_network(build_network(contract, where=str(run.config)))
    load_weights(run.best, model)
    predict = KerasPredictor(fold_normalizations(model), contract)
    fields = labelled_sources(dataset, dataset.sources_of("valid"))
    seen = fields or labelled_sources(dataset, dataset.sources_of("train"))
    contract = _with_margin(contract, predict, seen, dataset=dataset)
    contract = replace(contract, temperature=temperature or 1.0)
    if fields:

        def predictor(contract: Contract) -> Predictor:
            return KerasPredictor(fold_normalizations(model), contract)

        contract = calibrate(
            contract, predictor, fields, dataset=dataset, fit=temperature is None,
            table=run.calibration, progress=progress,
        )  # fmt: skip
    contract = _with_statistics(contract, dataset)
    contract = replace(contract, created=datetime.now(UTC).isoformat(timespec="seconds"))
    save_model(run.model, model, contract)
    return contract


def _with_statistics(contract: Contract, dataset: Dataset) -> Contract:
    """Note stain, object size and micrometres of training images, to compare others with."""
    items = labelled_sources(dataset, dataset.sources_of("train"))
    chosen = items[:: -(-len(items) // MOST_STATISTICS_FIELDS) or 1]
    plan = plan_tiles(contract)

    def views() -> Iterator[tuple[Image, Mask]]:
        for item in chosen:
            read = read_labelled(item, dataset.classes)
            view = plan.view(read.image, item.scale)
            yield view, scale_mask(read.mask, view.height, view.width)

    pixels = [  # micrometres per full-size pixel, where every file says so
        float(source.mpp) / item.scale[0]
        for source, item in zip(dataset.sources_of("train"), items, strict=True)
        if source.mpp
    ]
    known = len(pixels) == len(items) and max(pixels, default=1) < 1.05 * min(pixels, default=0)
    mpp = float(np.median(pixels)) / contract.scale if known else None
    found = training_statistics(views(), contract.classes.names)
    return replace(contract, statistics=found or None, mpp=mpp)


def _with_margin(
    contract: Contract, predict: Predictor, fields: Sequence[Labelled], *, dataset: Dataset
) -> Contract:
    radius = contract.receptive_field
    if radius is None:
        return replace(contract, margin=None)
    plan = plan_tiles(contract)
    views = [
        plan.view(read_labelled(item, dataset.classes).image, item.scale)
        for item in fields[:MOST_MARGIN_FIELDS]
    ]
    check = measure_margin(
        views, predict, tile_size=contract.tile_size, align=contract.align, radius=radius
    )
    if check is None:
        return replace(contract, margin=radius)
    log.info(
        "margin %d of a receptive field of %d: tiled and whole differ by at most %.4f "
        "in tiles: %d",
        check.margin, radius, check.difference, check.windows,
    )  # fmt: skip
    return replace(contract, margin=check.margin)

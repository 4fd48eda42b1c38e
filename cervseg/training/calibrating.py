"""Temperature and threshold of a model, measured on validation fields."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cervseg.arrays import Mask, Probabilities
from cervseg.classes import IGNORE
from cervseg.contract import Contract, Predictor
from cervseg.data.labelled import Labelled, read_labelled
from cervseg.data.manifest import Dataset
from cervseg.files import write_csv
from cervseg.inference.prediction import plan_tiles, predict_tiled
from cervseg.reports import Progress, track
from cervseg.scoring.calibration import Answers, ProbabilityCounts, best_threshold, fit_temperature

log = logging.getLogger("cervseg")

MOST_PIXELS = 100_000
"""Of a field that the temperature is fitted on, evenly spread."""

MOST_OF_ALL = 10_000_000
"""Of all fields together: they are in memory at once."""


def calibrate(
    contract: Contract,
    predictor: Callable[[Contract], Predictor],
    fields: Sequence[Labelled],
    *,
    dataset: Dataset,
    fit: bool,
    table: Path,
    progress: Progress,
) -> Contract:
    """Fit the temperature; then, for independent classes, the threshold of each.

    Args:
        contract: With the margin.
        predictor: Makes one of a contract.
        fields: Of validation.
        dataset: Theirs.
        fit: Else the contract's temperature stays.
        table: Where probabilities and what came true of them are written, before and after.
        progress: Draws the bars.
    """
    work = _Work(fields, dataset, progress)
    before = replace(contract, temperature=1.0)
    samples, counted = work.sample(before, predictor(before))
    found = fit_temperature(samples, contract.activation) if fit else contract.temperature
    after = replace(contract, temperature=round(found, 4))
    predict = predictor(after)
    recounted = work.count(after, predict)
    _write(table, contract, {1.0: counted, after.temperature: recounted})
    for name, first, second in zip(contract.classes.names, counted, recounted, strict=True):
        log.info("temperature %.3f for %s: calibration error %.4f to %.4f", after.temperature, name,
                 first.calibration_error(), second.calibration_error())  # fmt: skip
    if contract.activation == "softmax":
        return after
    return replace(after, threshold=work.thresholds(after, predict))


class _Work:
    """Validation fields, predicted again for each question: memory for one at a time."""

    def __init__(self, fields: Sequence[Labelled], dataset: Dataset, progress: Progress) -> None:
        self._fields, self._dataset, self._progress = fields, dataset, progress

    def _answers(
        self, contract: Contract, predict: Predictor
    ) -> Iterator[tuple[Mask, Probabilities]]:
        """Classes and probabilities of each field's known pixels, shapes (n,), (n, channels)."""
        plan, count = plan_tiles(contract), len(self._fields)
        for item in track(self._fields, "validation fields", total=count, progress=self._progress):
            image, mask, *_ = read_labelled(item, self._dataset.classes)
            known = mask != IGNORE
            answer = predict_tiled(image, predict, plan, file_scale=item.scale)
            yield mask[known], answer[known]

    def sample(
        self, contract: Contract, predict: Predictor
    ) -> tuple[list[Answers], list[ProbabilityCounts]]:
        """Some pixels of each field, and the counts of all."""
        samples, counts = [], [ProbabilityCounts() for _ in contract.classes.names]
        most = min(MOST_PIXELS, max(1, MOST_OF_ALL // len(self._fields)))
        for mask, answer in self._answers(contract, predict):
            _count(counts, mask, answer, first=_first_channel(contract))
            every = slice(None, None, -(-len(mask) // most) or 1)
            channel = mask[every].astype(np.int64) - 1 + _first_channel(contract)
            samples.append(Answers(channel, answer[every]))
        return samples, counts

    def count(self, contract: Contract, predict: Predictor) -> list[ProbabilityCounts]:
        """The counts of all pixels."""
        counts = [ProbabilityCounts() for _ in contract.classes.names]
        for mask, answer in self._answers(contract, predict):
            _count(counts, mask, answer, first=_first_channel(contract))
        return counts

    def thresholds(self, contract: Contract, predict: Predictor) -> tuple[float, ...]:
        """That of each class which has the highest mean Dice."""
        found = []
        for channel, name in enumerate(contract.classes.names):

            def pairs(
                channel: int = channel,
            ) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.float32]]]:
                for mask, answer in self._answers(contract, predict):
                    yield mask == channel + 1, answer[..., channel]

            threshold, dice = best_threshold(pairs())
            if np.isnan(dice):
                log.warning("no validation field holds %s: its threshold stays 0.5", name)
            else:
                log.info("threshold %.3f for %s: Dice %.3f, validation fields: %d",
                         threshold, name, dice, len(self._fields))  # fmt: skip
            found.append(threshold)
        return tuple(found)


def _first_channel(contract: Contract) -> int:
    return int(contract.activation == "softmax")


def _count(
    counts: Sequence[ProbabilityCounts], mask: Mask, answer: Probabilities, *, first: int
) -> None:
    for number, count in enumerate(counts):
        count.add(mask == number + 1, answer[..., number + first])


def _write(path: Path, contract: Contract, counts: dict[float, list[ProbabilityCounts]]) -> None:
    rows = [
        (temperature, name, *row)
        for temperature, each in counts.items()
        for name, count in zip(contract.classes.names, each, strict=True)
        for row in count.reliability()
    ]
    write_csv(path, ("temperature", "class", "low", "high", "pixels", "mean", "share"), rows)

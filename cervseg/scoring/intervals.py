"""How far a mean over few images can be trusted."""

from collections.abc import Sequence

import numpy as np


def bootstrap_interval(
    values: Sequence[float], *, seed: int, resamples: int = 10_000, level: float = 0.95
) -> tuple[float, float]:
    """The percentile bootstrap interval of a mean over images.

        quantiles (1 ± level) / 2 of mean(values drawn n times with replacement)

    Efron, 1979, https://doi.org/10.1214/aos/1176344552. With n below about ten it is narrower
    than its level says; read it together with n.

    Args:
        values: One score an image; nan (nothing to score in it) is left out.
        seed: Of the draws; equal seeds give equal intervals.
        resamples: How often n values are drawn.
        level: In (0, 1).

    Returns:
        Lower and upper end; nan where there are no values.
    """
    scores = np.array([value for value in values if not np.isnan(value)], np.float64)
    if not len(scores):
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    means: list[float] = []
    rows = max(1, 1_000_000 // len(scores))  # bounds the memory: 8 MB of draws at once
    for start in range(0, resamples, rows):
        shape = (min(rows, resamples - start), len(scores))
        means += scores[rng.integers(len(scores), size=shape)].mean(axis=1).tolist()
    lower, upper = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(lower), float(upper)

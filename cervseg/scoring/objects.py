"""How many cells were found: components of a mask instead of pixels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_EIGHT = np.ones((3, 3), np.uint8)  # diagonal neighbours belong together


@dataclass(frozen=True)
class ObjectScores:
    """Of the true cells of one class in one image.

    A cell is an 8-connected component of the truth of at least `min_size` pixels.

        cell_recall   share of cells of which the prediction covers at least half
        cell_match    share of cells whose predicted component of largest common area has an
                      intersection over union with the cell of at least 0.5
        matched_iou   mean of that over the cells so matched; nan where there are none

    Both shares are 1 where there are no cells. At 0.5 a match is one to one (but for two equal
    cells that fill one component exactly).
    """

    cell_recall: float
    cell_match: float
    matched_iou: float
    cells: int


def object_scores(
    true: NDArray[np.bool_], predicted: NDArray[np.bool_], *, min_size: int = 200
) -> ObjectScores:
    """Look for each true cell in the predicted mask.

    Args:
        true: Shape (height, width).
        predicted: Same shape.
        min_size: Smaller components of the truth are no cells, pixels.
    """
    cells, _ = ndimage.label(true, _EIGHT)
    found, _ = ndimage.label(predicted, _EIGHT)
    cell_sizes, found_sizes = np.bincount(cells.ravel()), np.bincount(found.ravel())
    covered, overlaps = 0, []
    for label, box in enumerate(ndimage.find_objects(cells), start=1):
        size = int(cell_sizes[label])
        if box is None or size < min_size:
            continue
        hits = np.bincount(found[box][cells[box] == label], minlength=2)
        covered += 2 * (size - int(hits[0])) >= size
        best = int(hits[1:].argmax()) + 1  # the first of equals
        common = int(hits[best])
        overlaps.append(common / (size + int(found_sizes[best]) - common) if common else 0.0)
    matched = [overlap for overlap in overlaps if overlap >= 0.5]
    return ObjectScores(
        cell_recall=covered / len(overlaps) if overlaps else 1.0,
        cell_match=len(matched) / len(overlaps) if overlaps else 1.0,
        matched_iou=float(np.mean(matched)) if matched else float("nan"),
        cells=len(overlaps),
    )

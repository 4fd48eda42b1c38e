"""How many cells were found: components of a mask instead of pixels."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Labels = np.uint16 | np.int32 | np.int64

_EIGHT = np.ones((3, 3), np.uint8)  # diagonal neighbours belong together


@dataclass(frozen=True)
class ObjectScores:
    """Of the true cells of one class in one image.

    A cell is an annotated object where objects are known, else an 8-connected component of the
    truth; of at least `min_size` pixels. Smaller ones are `specks`.

        cell_recall   share of cells of which the prediction covers at least half
        cell_match    share of cells whose predicted component of largest common area has an
                      intersection over union with the cell of at least 0.5
        matched_iou   mean of that over the cells so matched; nan where there are none

    Both shares are 1 where there are no cells. At 0.5 a match is one to one (but for two equal
    cells that fill one component exactly).

    Panoptic quality also counts what is found where no cell is. An object is a component of the
    prediction of at least `min_size` pixels; a cell and an object with an intersection over union
    above 0.5 are a match, which is always one to one. With m matches, of c cells and o objects:

        panoptic_quality      Σ iou of the matches / (m + (o - m)/2 + (c - m)/2)
        segmentation_quality  Σ iou of the matches / m; nan without a match
        recognition_quality   m / (m + (o - m)/2 + (c - m)/2)

    The first is the product of the others, 0 without a match; the first and the last are 1 where
    there are neither cells nor objects. A predicted speck below `min_size` is no false object,
    and neither a cell nor an object below it can be matched.

    Kirillov et al., 2019, https://arxiv.org/abs/1801.00868 (a class at a time, no void segments).
    """

    cell_recall: float
    cell_match: float
    matched_iou: float
    cells: int
    specks: int
    panoptic_quality: float
    segmentation_quality: float
    recognition_quality: float


def object_scores(
    true: NDArray[np.bool_],
    predicted: NDArray[np.bool_],
    *,
    min_size: int = 200,
    cells: NDArray[np.uint16] | None = None,
) -> ObjectScores:
    """Look for each true cell in the predicted mask.

    Args:
        true: Shape (height, width).
        predicted: Same shape.
        min_size: Smaller components of the truth are no cells, of the prediction no objects of
            the panoptic quality; pixels.
        cells: A number for each annotated cell, same shape, so that cells that touch are told
            apart; what lies outside of `true` counts nowhere.
    """
    found = ndimage.label(predicted, _EIGHT)[0]
    sought = ndimage.label(true, _EIGHT)[0] if cells is None else np.where(true, cells, 0)
    objects = int(np.count_nonzero(np.bincount(found.ravel())[1:] >= min_size))
    pieces = int(np.count_nonzero(np.bincount(sought.ravel())[1:]))
    looks = _look_for_cells(sought, found, min_size)
    matched = [look.iou for look in looks if look.iou >= 0.5]
    joined = [look.iou for look in looks if look.iou > 0.5 and look.partner >= min_size]
    either = (len(looks) + objects) / 2  # m + (o - m)/2 + (c - m)/2
    return ObjectScores(
        cell_recall=sum(look.covered for look in looks) / len(looks) if looks else 1.0,
        cell_match=len(matched) / len(looks) if looks else 1.0,
        matched_iou=float(np.mean(matched)) if matched else float("nan"),
        cells=len(looks),
        specks=pieces - len(looks),
        panoptic_quality=sum(joined) / either if either else 1.0,
        segmentation_quality=float(np.mean(joined)) if joined else float("nan"),
        recognition_quality=len(joined) / either if either else 1.0,
    )


class _Look(NamedTuple):
    """What stands in the prediction for a cell.

    Args:
        covered: Whether at least half of the cell is predicted.
        iou: With the predicted component of largest common area; 0 without one.
        partner: Pixels of that component.
    """

    covered: bool
    iou: float
    partner: int


def _look_for_cells(cells: NDArray[Labels], found: NDArray[Labels], min_size: int) -> list[_Look]:
    cell_sizes, found_sizes = np.bincount(cells.ravel()), np.bincount(found.ravel())
    looks = []
    for label, box in enumerate(ndimage.find_objects(cells), start=1):
        size = int(cell_sizes[label])
        if box is None or size < min_size:
            continue
        hits = np.bincount(found[box][cells[box] == label], minlength=2)
        best = int(hits[1:].argmax()) + 1  # the first of equals
        common = int(hits[best])
        partner = int(found_sizes[best]) if common else 0
        covered = 2 * (size - int(hits[0])) >= size
        looks.append(_Look(covered, common / (size + partner - common), partner))
    return looks

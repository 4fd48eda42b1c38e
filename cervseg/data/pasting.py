"""What lies over a sample: cells of other samples, blanks."""

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from cervseg.arrays import RGB, Mask
from cervseg.classes import IGNORE

Donor = Callable[[], tuple[RGB, Mask]]
"""Gives another sample: image and mask."""

TRIES = 8
"""Places tried for a cell; the one with the least foreground under it is taken."""


class Cell(NamedTuple):
    """A whole cell of a mask.

    Args:
        top: First row.
        left: First column.
        solid: 0 and 1 over its bounding box.
    """

    top: int
    left: int
    solid: Mask


def find_cells(mask: Mask) -> list[Cell]:
    """The cells of a mask that touch neither its border nor ignored pixels; touching cells are one.

    Args:
        mask: Shape (height, width).
    """
    anything = (mask > 0).astype(np.uint8)  # ignored pixels too: a cell beside them may go on
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(anything, connectivity=8)
    unknown = set(np.unique(labels[mask == IGNORE]).tolist())
    cells = []
    for i, (left, top, width, height, _) in enumerate(boxes.tolist()):
        within = left > 0 and top > 0
        within = within and left + width < mask.shape[1] and top + height < mask.shape[0]
        if i > 0 and within and i not in unknown:
            box = labels[top : top + height, left : left + width]
            cells.append(Cell(top, left, (box == i).astype(np.uint8)))
    return cells


def paste_cells(
    sample: tuple[RGB, Mask], donor: tuple[RGB, Mask], *, count: int, feather: float,
    rng: np.random.Generator,
) -> tuple[RGB, Mask]:  # fmt: skip
    """Lay whole cells of another sample over this one, with soft edges.

    Each is turned by a right angle and mirrored at random. Its opacity rises from 0 to 1 across
    its edge; where it is at least one half, and nowhere else, the mask becomes the cell's.

    Args:
        sample: Image (height, width, 3) and mask (height, width).
        donor: Likewise, of any size.
        count: Cells; fewer where the donor has fewer or they do not fit in.
        feather: Half the width of the edge, pixels.
        rng: Which, where and how turned.

    Returns:
        Copies.
    """
    image, mask = sample[0].copy(), sample[1].copy()
    cells = find_cells(donor[1])
    for i in rng.permutation(len(cells))[:count]:
        turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
        places = rng.random((TRIES, 2))
        lifted = _lift(donor, cells[i], max(1, int(np.ceil(feather))))
        pixels, labels, solid = (_turn(part, turns, mirrored) for part in lifted)
        height, width = solid.shape
        if height > mask.shape[0] or width > mask.shape[1]:
            continue
        corners = np.floor(places * (np.subtract(mask.shape, solid.shape) + 1)).astype(int)
        windows = [(slice(t, t + height), slice(u, u + width)) for t, u in corners.tolist()]
        window = min(windows, key=lambda w: int(np.count_nonzero(mask[w][solid > 0])))
        opacity = soft_edge(solid, feather)[..., None]
        under = image[window].astype(np.float32)
        image[window] = np.rint(under + opacity * (pixels - under)).astype(np.uint8)
        mask[window] = np.where(solid > 0, labels, mask[window])
    return image, mask


def soft_edge(solid: Mask, feather: float) -> NDArray[np.float32]:
    """Opacity of a cell: at least one half exactly within it, from 0 to 1 across its edge.

        opacity = 1/2 + depth / (2 · feather), cut to 0 to 1; depth: pixels from the edge inwards

    Args:
        solid: 0 and 1, shape (height, width).
        feather: Half the width of the edge, pixels; 0 is a hard edge.
    """
    inwards = cv2.distanceTransform(solid, cv2.DIST_L2, 3)
    outwards = cv2.distanceTransform(1 - solid, cv2.DIST_L2, 3)
    depth = np.where(solid > 0, inwards - 0.5, 0.5 - outwards)
    return np.clip(0.5 + depth / (2 * max(feather, 0.5)), 0, 1).astype(np.float32)


def _lift(
    donor: tuple[RGB, Mask], cell: Cell, frame: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """A cell's pixels, classes and shape, with so many pixels around it."""
    height, width = cell.solid.shape
    rows = np.arange(cell.top - frame, cell.top + height + frame)
    columns = np.arange(cell.left - frame, cell.left + width + frame)
    around = np.ix_(
        np.clip(rows, 0, donor[1].shape[0] - 1), np.clip(columns, 0, donor[1].shape[1] - 1)
    )
    return donor[0][around], donor[1][around], np.pad(cell.solid, frame)


def _turn(pixels: NDArray[np.uint8], turns: int, mirrored: bool) -> NDArray[np.uint8]:
    turned = np.rot90(pixels, turns)
    return np.ascontiguousarray(turned[:, ::-1] if mirrored else turned)


def cut_out(
    image: RGB, mask: Mask, *, count: int, size: float, rng: np.random.Generator
) -> tuple[RGB, Mask]:
    """Blank rectangles with the image's mean colour; the mask ignores their place.

    DeVries and Taylor, 2017, https://arxiv.org/abs/1708.04552 (theirs are black squares, and
    they classify: nobody could say what class a blank has here).

    Args:
        image: Shape (height, width, 3).
        mask: Shape (height, width).
        count: Rectangles.
        size: Largest side, share of the image's.
        rng: Where and how large.

    Returns:
        Copies.
    """
    image, mask = image.copy(), mask.copy()
    colour = np.rint(cv2.mean(image)[:3]).astype(np.uint8)
    for share, place in rng.random((count, 2, 2)):
        sides = np.rint(share * size * mask.shape).astype(int)
        top, left = np.floor(place * (mask.shape - sides + 1)).astype(int).tolist()
        window = (slice(top, top + sides[0]), slice(left, left + sides[1]))
        image[window] = colour
        mask[window] = IGNORE
    return image, mask

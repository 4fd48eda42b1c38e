import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from cervseg.annotations.rings import edges_in, fill
from cervseg.classes import Classes
from cervseg.grid import Window
from cervseg.inference.objects import finding as objects_module
from cervseg.inference.objects.finding import find_objects
from cervseg.inference.rows import RowArray

EIGHT = np.ones((3, 3), int)


@st.composite
def masks(draw):
    """Noise of any density, odd sizes down to a row or a column."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape, share = rng.integers(1, 14, 2), rng.choice([0.2, 0.5, 0.8])
    classes = rng.integers(1, rng.choice([2, 4]), shape)
    return np.where(rng.random(shape) < share, classes, 0).astype(np.uint8)


CLASSES = Classes.of({"cell": "#00ff00", "nucleus": "#ff0000", "clump": "#0000ff"})


def probabilities_of(mask, channels=3):
    rng = np.random.default_rng(mask.shape)
    return rng.random((*mask.shape, channels), np.float32)


def found(mask, *, piece=10**6, first_channel=0):
    answers = RowArray(probabilities_of(mask, 3 + first_channel))
    return list(find_objects(RowArray(mask), answers, first_channel=first_channel, piece=piece))


def painted(segment, shape):
    window = Window(0, 0, *shape)
    result = np.zeros(shape, bool)
    for polygon in segment.polygons:
        result |= fill(edges_in((polygon.exterior, *polygon.holes), window), window)
    return result


def text(segments):
    """All there is to compare."""
    return [
        (*segment[:-1], [(p.exterior.tolist(), [h.tolist() for h in p.holes]) for p in polygons])
        for segment in segments
        for polygons in [segment.polygons]
    ]


def blobs(seed, shape=(81, 67)):
    rng = np.random.default_rng(seed)
    smooth = [ndimage.gaussian_filter(rng.normal(size=shape), 3) for _ in range(3)]
    return np.argmax(smooth, axis=0).astype(np.uint8)


def intercepts(picture):
    """Stretches in the four directions, counted one line after another."""

    def stretches(lines):
        return sum(int((np.diff(np.r_[0, line.astype(int), 0]) == 1).sum()) for line in lines)

    def diagonals(of):
        return [np.diagonal(of, k) for k in range(-of.shape[0], of.shape[1] + 1)]

    axial = stretches(picture) + stretches(picture.T)
    return axial, stretches(diagonals(picture)) + stretches(diagonals(picture[:, ::-1]))


# --- the laws -----------------------------------------------------------------------------------


@given(masks(), st.sampled_from([1, 15, 30, 60]), st.integers(0, 1))
def test_objects_are_those_of_the_whole_image(mask, piece, first_channel):
    probabilities = probabilities_of(mask, 3 + first_channel)
    seen = np.zeros(mask.shape, int)
    for segment in found(mask, piece=piece, first_channel=first_channel):
        inside = painted(segment, mask.shape)
        labels, _ = ndimage.label(mask == segment.class_index, EIGHT)
        (label,) = set(labels[inside].tolist())
        np.testing.assert_array_equal(inside, labels == label)
        rows, columns = np.nonzero(inside)
        own = probabilities[inside, segment.class_index - 1 + first_channel].astype(float)
        assert segment.area == inside.sum()
        assert segment.window == (
            rows.min(), columns.min(), np.ptp(rows) + 1, np.ptp(columns) + 1
        )  # fmt: skip
        assert segment.centroid == pytest.approx((rows.mean() + 0.5, columns.mean() + 0.5))
        assert segment.probability == pytest.approx(own.mean(), abs=1e-8)
        axial, diagonal = intercepts(inside)
        assert segment.perimeter == pytest.approx(np.pi / 4 * (axial + diagonal / np.sqrt(2)))
        seen += inside
    np.testing.assert_array_equal(seen, mask > 0)


@pytest.mark.parametrize("piece", [1, 30])
@given(mask=masks())
def test_neither_objects_nor_order_depend_on_pieces(mask, piece):
    assert text(found(mask, piece=piece)) == text(found(mask))


def test_larger_objects_do_not_depend_on_pieces_or_batches(monkeypatch):
    mask = blobs(1)
    expected = text(found(mask))

    monkeypatch.setattr(objects_module, "_BATCH", 40)

    assert text(found(mask, piece=1)) == expected
    assert text(found(mask, piece=500)) == expected


@pytest.mark.parametrize("most", [2, 9])
@given(mask=masks(), piece=st.sampled_from([1, 15, 30, 60]))
def test_nor_do_the_outlines_of_objects_that_are_too_large_to_be_kept(mask, piece, most):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(objects_module.covers, "MOST_RUNS", most)

        assert text(found(mask, piece=piece)) == text(found(mask))


@given(masks(), st.integers(1, 60))
def test_objects_come_by_their_last_row_and_there_from_left_to_right(mask, piece):
    places = []
    for segment in found(mask, piece=piece):
        bottom = segment.window.bottom - 1
        places.append((bottom, int(np.flatnonzero(painted(segment, mask.shape)[bottom])[0])))

    assert places == sorted(set(places))


def test_there_are_as_many_as_counted_in_the_whole_mask():
    mask = blobs(5)
    segments = found(mask, piece=100)

    for index in range(1, len(CLASSES) + 1):
        mine = [segment.area for segment in segments if segment.class_index == index]
        _, objects = ndimage.label(mask == index, EIGHT)
        assert (len(mine), sum(mine)) == (objects, np.count_nonzero(mask == index))


def test_a_mask_without_objects_has_none():
    assert found(np.zeros((5, 9), np.uint8), piece=9) == []


# --- measures -----------------------------------------------------------------------------------


@pytest.mark.parametrize("radius", [20, 45, 90])
def test_the_perimeter_of_a_disc_is_right_within_two_percent(radius):
    row, column = np.mgrid[:201, :207]
    mask = ((row - 100.3) ** 2 + (column - 101.7) ** 2 <= radius**2).astype(np.uint8)

    (segment,) = found(mask)

    assert segment.perimeter == pytest.approx(2 * np.pi * radius, rel=0.02)


def test_equal_probabilities_have_exactly_their_mean():
    mask = np.ones((30, 41), np.uint8)
    answers = np.full((30, 41, 1), 0.7, np.float32)

    (segment,) = find_objects(RowArray(mask), RowArray(answers), first_channel=0, piece=100)

    assert segment.probability == pytest.approx(float(np.float32(0.7)), abs=1e-9)


# --- objects too large to be kept ---------------------------------------------------------------


def two_discs():
    row, column = np.mgrid[:81, :141]
    near = [(row - 40) ** 2 + (column - c) ** 2 <= 25**2 for c in (40, 80)]
    return np.any(near, axis=0).astype(np.uint8)


@pytest.mark.parametrize("piece", [141, 300, 10**6])
def test_a_huge_object_is_outlined_coarsely_and_measured_exactly(piece, monkeypatch):
    mask = two_discs()
    (exact,) = found(mask)
    monkeypatch.setattr(objects_module.covers, "MOST_RUNS", 30)

    (coarse,) = found(mask, piece=piece)

    assert text([coarse._replace(polygons=())]) == text([exact._replace(polygons=())])
    assert (painted(coarse, mask.shape) >= mask).all()
    near = ndimage.binary_dilation(mask, EIGHT, iterations=4)  # 91 rows: 23 of pixels 4 wide
    assert (painted(coarse, mask.shape) <= near).all()


class Lace:
    """Noise of which most is one object, never in memory as a whole."""

    def __init__(self, height, width):
        self.height, self.width = height, width

    def read(self, top, height):
        rows = [np.random.default_rng(top + i).random(self.width) < 0.6 for i in range(height)]
        return np.array(rows, np.uint8)


class Even(Lace):
    def read(self, top, height):
        return np.full((height, self.width, 1), 0.75, np.float32)


def peak_of(height):
    width, areas = 301, []
    tracemalloc.start()
    try:
        for segment in find_objects(
            Lace(height, width), Even(height, width), first_channel=0, piece=30 * width
        ):
            areas.append(segment.area)
        return tracemalloc.get_traced_memory()[1], max(areas) / (height * width)
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_an_object_that_is_everywhere(monkeypatch):
    monkeypatch.setattr(objects_module.covers, "MOST_RUNS", 2000)

    low, _ = peak_of(120)
    high, share = peak_of(1200)  # 87 000 runs: 1 MB, and 20 to trace them

    assert share > 0.55
    assert high < 1.3 * low, (low, high)

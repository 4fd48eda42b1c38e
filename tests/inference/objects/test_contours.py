import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from cervseg.annotations.outlines import outlines
from cervseg.annotations.rings import edges_in, fill
from cervseg.grid import Window
from cervseg.inference.objects import runs as runs_module
from cervseg.inference.objects.contours import trace_coarsely, trace_runs
from cervseg.inference.objects.covers import Cover
from cervseg.inference.objects.runs import find_runs


@st.composite
def pictures(draw):
    """Noise of any density, odd sizes down to a row or a column."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape, share = rng.integers(1, 14, 2), rng.choice([0.3, 0.5, 0.7, 0.9])
    return rng.random(shape) < share


def objects_of(picture):
    """Runs of all objects, one object after another, and the number of each run's object."""
    labels, _ = ndimage.label(picture, np.ones((3, 3), int))
    runs = find_runs(labels)
    runs = runs.take(np.argsort(runs.value, kind="stable"))
    runs = runs.take(runs.value > 0)
    return labels.astype(np.int32), runs, runs.value.astype(np.int64) - 1


def from_the_first_corner(ring):
    corners = list(map(tuple, ring.tolist()))
    first = corners.index(min(corners))
    return (*corners[first:], *corners[:first])


def normal(polygons):
    """Polygons that can be compared: whatever corner rings start at."""
    return sorted(
        (from_the_first_corner(p.exterior), sorted(map(from_the_first_corner, p.holes)))
        for p in polygons
    )


def painted(polygons, shape):
    window = Window(0, 0, *shape)
    result = np.zeros(shape, bool)
    for polygon in polygons:
        result |= fill(edges_in((polygon.exterior, *polygon.holes), window), window)
    return result


def as_shapely(polygons):
    return shapely.MultiPolygon([(p.exterior, list(p.holes)) for p in polygons])


@pytest.mark.parametrize("block", [1, 250_000])
@given(picture=pictures())
def test_runs_have_the_outlines_of_the_painted_objects(block, picture):
    labels, runs, objects = objects_of(picture)
    if not len(objects):
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs_module, "BLOCK", block)
        traced = trace_runs(runs, objects)

    for number, expected in outlines(labels).items():
        assert normal(traced[number - 1]) == normal(expected)
        assert shapely.is_valid(as_shapely(traced[number - 1]))


def test_a_hole_that_meets_the_outside_at_a_corner_is_a_ring_of_its_own():
    picture = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0]], bool)
    _, runs, objects = objects_of(picture)

    ((polygon,),) = trace_runs(runs, objects)

    assert polygon.area == 7 and [len(hole) for hole in polygon.holes] == [4]


def cover_of(runs):
    return Cover(1, np.stack(runs[:3]))


def window_of(runs):
    top, left = int(runs.row[0]), int(runs.left.min())
    return Window(top, left, int(runs.row[-1]) + 1 - top, int(runs.right.max()) - left)


@given(pictures(), st.integers(1, 12))
def test_a_coarse_outline_holds_the_object_and_stays_in_its_window(picture, most):
    labels, runs, objects = objects_of(picture)
    for number in range(int(labels.max())):
        one = runs.take(objects == number)
        polygons = trace_coarsely(cover_of(one).within(most), window_of(one))

        assert shapely.is_valid(as_shapely(polygons))
        assert painted(polygons, picture.shape)[labels == number + 1].all()
        corners = np.concatenate([p.exterior for p in polygons])
        assert corners[:, 0].min() == one.row[0] and corners[:, 0].max() == one.row[-1] + 1
        assert corners[:, 1].min() == one.left.min() and corners[:, 1].max() == one.right.max()

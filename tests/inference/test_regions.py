import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cervseg.annotations.rings import Polygon
from cervseg.annotations.shapes import Shape, paint
from cervseg.errors import ConfigError, DataError
from cervseg.grid import Window
from cervseg.inference.regions import Regions, read_regions

HEIGHT, WIDTH = 90, 131
TRIANGLE = [[10.5, 5], [60, 20], [30, 71.25]]  # x, y
HOLED = [[[70, 30], [120, 30], [120, 80], [70, 80]], [[80, 40], [110, 40], [110, 70], [80, 70]]]


def write(tmp_path, *geometries):
    """A GeoJSON of outlines."""
    path = tmp_path / "roi.geojson"
    features = [{"type": "Feature", "geometry": geometry} for geometry in geometries]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def polygon(*rings):
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]] for ring in rings]}


def ring(*points):
    return np.array(points, float)


def test_no_regions_are_none():
    assert read_regions(None, HEIGHT, WIDTH) is None


def test_a_rectangle_is_its_pixels():
    regions = read_regions((20, 30, 17, 51), HEIGHT, WIDTH)

    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[20:37, 30:81] = True
    np.testing.assert_array_equal(regions.rows(0, HEIGHT), expected)
    assert regions.bounds == Window(20, 30, 17, 51)


def test_a_rectangle_is_cut_at_the_edge_of_the_image():
    regions = read_regions((80, 100, 500, 600), HEIGHT, WIDTH)

    assert regions.bounds == Window(80, 100, 10, 31)
    assert regions.rows(0, HEIGHT).sum() == 10 * 31


def test_outlines_of_any_class_are_read_with_their_holes(tmp_path):
    path = write(tmp_path, polygon(TRIANGLE), polygon(*HOLED))

    rows = read_regions(path, HEIGHT, WIDTH).rows(0, HEIGHT)

    shapes = [
        Shape("a", (Polygon(ring(*((y, x) for x, y in TRIANGLE))),)),
        Shape("a", (Polygon(*(ring(*((y, x) for x, y in r)) for r in HOLED[:1])),)),
    ]
    hole = Shape("hole", (Polygon(ring(*((y, x) for x, y in HOLED[1]))),))
    expected = paint([*shapes, hole], HEIGHT, WIDTH, index={"a": 1, "hole": 0}).mask
    np.testing.assert_array_equal(rows, expected > 0)
    assert 0 < rows.sum() < rows.size


@given(st.integers(0, HEIGHT - 1), st.data())
def test_rows_read_alone_are_those_of_the_whole(top, data):
    height = data.draw(st.integers(1, HEIGHT - top))
    star = ring((5, 60), (88, 100), (30, 2), (31, 128), (85, 20))  # crosses itself
    regions = Regions(HEIGHT, WIDTH, (Polygon(star), Polygon(ring((1, 1), (1, 9), (50, 9)))))

    np.testing.assert_array_equal(
        regions.rows(top, height), regions.rows(0, HEIGHT)[top : top + height]
    )


@given(st.data())
def test_a_window_is_touched_exactly_where_a_much_finer_grid_shows_it(data):
    corner = st.tuples(st.integers(-3, 23), st.integers(-3, 29))
    shape = Polygon(ring(*data.draw(st.lists(corner, min_size=3, max_size=6))))
    regions = Regions(20, 26, (shape,))
    top, left = data.draw(st.integers(0, 19)), data.draw(st.integers(0, 25))
    window = Window(
        top, left, data.draw(st.integers(1, 20 - top)), data.draw(st.integers(1, 26 - left))
    )

    fine = regions.on(20 * 40, 26 * 40).rows(top * 40, window.height * 40)
    seen = fine[:, left * 40 : window.right * 40].any()

    # Where an edge runs through, what is inside may be too thin to be seen; it counts all the same.
    assert seen <= regions.touches(window) <= (seen or _is_crossed(shape, window))


def _is_crossed(shape, window):
    """Whether an edge runs through the window."""
    ends = np.stack([shape.exterior, np.roll(shape.exterior, -1, axis=0)])
    along = np.linspace(0, 1, 2001)[:, None, None]
    points = (ends[0] + along * (ends[1] - ends[0])).reshape(-1, 2)
    rows, columns = points.T
    inside = (rows >= window.top) & (rows <= window.bottom)
    return (inside & (columns >= window.left) & (columns <= window.right)).any()


def test_a_window_beside_a_rectangle_is_not_touched():
    regions = read_regions((20, 30, 17, 51), HEIGHT, WIDTH)

    for window in ((0, 0, 20, 131), (37, 0, 9, 131), (20, 0, 17, 30), (20, 81, 17, 50)):
        assert not regions.touches(Window(*window))
    for window in ((0, 0, 21, 131), (36, 0, 9, 131), (20, 0, 17, 31), (25, 40, 1, 1)):
        assert regions.touches(Window(*window))


def test_a_window_in_a_hole_is_not_touched_and_one_inside_is(tmp_path):
    regions = read_regions(write(tmp_path, polygon(*HOLED)), HEIGHT, WIDTH)

    assert not regions.touches(Window(45, 85, 20, 20))
    assert regions.touches(Window(45, 85, 20, 26))
    assert regions.touches(Window(32, 72, 5, 5))


def test_regions_scale_to_another_grid():
    regions = read_regions((20, 30, 40, 60), 100, 150).on(50, 75)

    assert regions.bounds == Window(10, 15, 20, 30)
    assert regions.rows(0, 50).sum() == 20 * 30
    assert (regions.height, regions.width) == (50, 75)


@pytest.mark.parametrize("roi", [(0, 0, 0, 5), (3, 4, 5, 0)])
def test_an_empty_rectangle_is_refused(roi):
    with pytest.raises(ConfigError) as caught:
        read_regions(roi, HEIGHT, WIDTH)

    assert str(caught.value) == f"tiled_infer.roi: {list(roi)} is empty"
    assert caught.value.hint == "top, left, height, width, in pixels"


def test_a_rectangle_outside_is_refused():
    with pytest.raises(DataError) as caught:
        read_regions((95, 10, 5, 5), HEIGHT, WIDTH)

    assert str(caught.value) == (
        "tiled_infer.roi: [95, 10, 5, 5] lies outside the image of 131 x 90 pixels"
    )


@pytest.mark.parametrize(
    ("geometries", "words"),
    [
        ([], "no region in it"),
        ([polygon([[1, 1], [5, 5], [9, 9]])], "feature 1: a region without an inside"),
        (
            [polygon(TRIANGLE), polygon([[500, 1], [505, 5], [501, 9]])],
            "feature 2 lies outside the image of 131 x 90 pixels",
        ),
    ],
)
def test_outlines_without_a_pixel_are_refused(tmp_path, geometries, words):
    path = write(tmp_path, *geometries)

    with pytest.raises(DataError) as caught:
        read_regions(path, HEIGHT, WIDTH)

    assert str(caught.value) == f"{path}: {words}"


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match="roi.geojson"):
        read_regions(tmp_path / "roi.geojson", HEIGHT, WIDTH)

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from cervseg.annotations import shapes
from cervseg.annotations.rings import Polygon
from cervseg.annotations.shapes import Labels, Shape, paint, renumber, trace
from cervseg.errors import DataError

INDEX = {"cell": 1, "nucleus": 2, "skip": 0, "ignore": 255}
NAMES = ("cell", "nucleus")
PICTURES = arrays(
    np.uint16,
    st.tuples(st.integers(1, 13), st.integers(1, 17)),
    elements=st.sampled_from([0, 0, 1, 1, 2, 5]),
)


def box(*place, name="cell", holes=()):
    return Shape(name, (Polygon(corners_of(*place), holes),), "feature 7")


def corners_of(*place):
    top, left, bottom, right = place
    corners = [(top, left), (top, right), (bottom, right), (bottom, left)]
    return np.array(corners, np.float64)


def painted(*drawn, height=9, width=13):
    return paint(drawn, height, width, index=INDEX)


def labels_of(objects):
    """Objects with classes 1 and 2 in turn."""
    numbers = renumber(objects)
    return Labels(np.where(numbers, 2 - numbers % 2, 0).astype(np.uint8), numbers)


# --- paint --------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_smaller_shape_lies_on_top_whatever_the_order(order):
    both = [box(1, 2, 8, 12), box(3, 4, 5, 7, name="nucleus")]

    mask, objects = painted(*(both[i] for i in order))

    assert (mask[3:5, 4:7] == 2).all() and (mask == 2).sum() == 6
    assert (mask == 1).sum() == 70 - 6
    assert mask.dtype == np.uint8 and objects.dtype == np.uint16
    assert objects[1, 2] == order.index(0) + 1 and objects[3, 4] == order.index(1) + 1


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_what_is_ignored_lies_on_top_of_what_is_smaller(order):
    both = [box(3, 4, 5, 7), box(1, 2, 8, 12, name="ignore")]

    mask, objects = painted(*(both[i] for i in order))

    assert (mask[1:8, 2:12] == 255).all() and not objects.any()


def test_of_two_equals_the_later_lies_on_top():
    mask, _ = painted(box(1, 1, 5, 5), box(3, 3, 7, 7, name="nucleus"))

    assert mask[4, 4] == 2


def test_a_hole_makes_a_shape_smaller():
    ring = box(0, 0, 9, 9, holes=(corners_of(1, 1, 8, 8),))  # 32 pixels

    mask, _ = painted(box(2, 2, 9, 9, name="nucleus"), ring)

    assert mask[8, 5] == 1 and mask[7, 7] == 2 and mask[1, 1] == 0


def test_polygons_of_one_shape_add_up_where_they_overlap():
    whole = Shape("cell", (*box(1, 1, 5, 5).polygons, *box(3, 3, 7, 7).polygons))

    mask, objects = painted(whole)

    assert mask.sum() == 16 + 16 - 4 and objects.max() == 1


def test_shapes_are_cut_at_the_edge_of_the_image():
    mask, _ = painted(box(-5, -3, 2, 40))

    assert mask[:2].all() and not mask[2:].any()


def test_background_and_ignored_are_no_objects():
    mask, objects = painted(
        box(0, 0, 9, 13),
        box(1, 1, 4, 4, name="skip"),
        box(5, 5, 7, 7, name="ignore"),
        box(8, 8, 9, 9),
    )

    assert mask[2, 2] == 0 and (mask == 255).sum() == 4
    assert objects[2, 2] == objects[6, 6] == 0 and objects[8, 8] == 2


def test_objects_without_a_pixel_leave_no_gap():
    covered, tiny = box(2, 2, 4, 4), box(1.1, 1.1, 1.2, 1.2)

    _, objects = painted(covered, tiny, box(2, 2, 4, 4), box(6, 6, 8, 8))

    assert np.unique(objects).tolist() == [0, 1, 2]
    assert objects[2, 2] == 1 and objects[6, 6] == 2


def test_no_shapes_are_background():
    assert not painted().mask.any()


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ((0, 20, 3, 24), "x 20 to 24, y 0 to 3"),
        ((-4, 1, 0, 3.5), "x 1 to 3.5, y -4 to 0"),
        ((9, 0, 12, 3), "x 0 to 3, y 9 to 12"),
    ],
)
def test_a_shape_outside_the_image_is_refused(place, told):
    with pytest.raises(DataError) as caught:
        painted(box(*place))

    expected = f"feature 7 lies outside the image of 13 x 9 pixels: {told}"
    assert str(caught.value) == expected
    assert caught.value.hint == "is it the annotation of another image, or of another scale?"


def test_a_polygon_outside_is_no_error_where_another_is_inside():
    shape = Shape("cell", (*box(20, 20, 22, 22).polygons, *box(1, 1, 2, 2).polygons))

    assert painted(shape).mask.sum() == 1


def test_names_without_a_class_are_listed():
    with pytest.raises(DataError) as caught:
        painted(box(0, 0, 1, 1, name="b\n"), box(0, 0, 1, 1), box(0, 0, 1, 1, name="a"))

    expected = "no class for 'a', 'b\\n'; known are 'cell', 'nucleus', 'skip', 'ignore'"
    assert str(caught.value) == expected


def test_more_objects_than_16_bits_number_are_refused_before_any_is_painted(monkeypatch):
    monkeypatch.setattr(shapes, "fill", None)

    with pytest.raises(DataError) as caught:
        painted(*[box(0, 0, 1, 1)] * 65_536)

    assert str(caught.value) == "65536 objects, at most 65535 in one image"


def test_absurd_work_is_refused(monkeypatch):
    monkeypatch.setattr(shapes, "MOST_WORK", 1)
    drawn = [box(0, 0, 9, 13)] * 30

    with pytest.raises(DataError) as caught:
        painted(*drawn)

    expected = "the shapes cover more pixels in all than any real annotation"
    assert str(caught.value) == expected


# --- trace --------------------------------------------------------------------------------------


@given(picture=PICTURES)
def test_what_is_traced_and_painted_is_the_same(picture):
    labels = labels_of(picture)

    again = paint(trace(labels, NAMES), *picture.shape, index=INDEX)

    np.testing.assert_array_equal(again.mask, labels.mask)
    np.testing.assert_array_equal(again.objects, labels.objects)


@given(picture=PICTURES)
def test_each_part_connected_by_sides_is_a_polygon_and_each_ring_is_simple(picture):
    labels = labels_of(picture)

    traced = trace(labels, NAMES)

    for number, shape in enumerate(traced, start=1):
        assert len(shape.polygons) == ndimage.label(labels.objects == number)[1]
        for polygon in shape.polygons:
            for ring in (polygon.exterior, *polygon.holes):
                assert len(np.unique(ring, axis=0)) == len(ring) >= 4
                steps = np.diff(ring, axis=0, append=ring[:1])
                assert (np.count_nonzero(steps, axis=1) == 1).all()  # along pixel edges
                assert (steps[:, 0] * np.roll(steps[:, 0], 1) == 0).all()  # corners only


def test_a_hole_belongs_to_the_polygon_round_it():
    picture = np.zeros((9, 15), np.uint16)
    picture[1:8, 1:8] = picture[1:8, 9:14] = 1
    picture[2:7, 2:7] = 0
    picture[3:6, 3:6] = 1  # an island in the hole
    picture[4, 4] = picture[4, 11] = 0

    (shape,) = trace(labels_of(picture), NAMES)

    assert [(p.exterior.min(), len(p.holes), p.area) for p in shape.polygons] == [
        (1, 1, 24), (1, 1, 34), (3, 1, 8)
    ]  # fmt: skip


def test_holes_side_by_side_belong_to_one_polygon():
    picture = np.ones((5, 21), np.uint16)
    picture[2, 1::2] = 0
    picture[1, 4] = picture[3, 8] = 0  # some touch at a corner

    ((polygon,),) = (shape.polygons for shape in trace(labels_of(picture), NAMES))

    assert len(polygon.holes) == 12


def test_a_shape_that_meets_itself_at_a_corner_gets_a_hole_there():
    picture = np.ones((4, 5), np.uint16)
    picture[1, 1:3] = picture[2, 3] = picture[3, 3] = 0

    ((polygon,),) = (shape.polygons for shape in trace(labels_of(picture), NAMES))

    assert [hole.tolist() for hole in polygon.holes] == [[[2, 3], [1, 3], [1, 1], [2, 1]]]


def test_an_object_of_two_classes_becomes_two_shapes_and_what_is_no_object_none():
    mask = np.array([[1, 2, 255, 0, 1]], np.uint8)
    objects = np.array([[3, 3, 3, 3, 0]], np.uint16)

    traced = trace(Labels(mask, objects), NAMES)

    assert [(s.name, s.record, s.polygons[0].exterior.tolist()) for s in traced] == [
        ("cell", "object 3", [[0, 0], [0, 1], [1, 1], [1, 0]]),
        ("nucleus", "object 3", [[0, 1], [0, 2], [1, 2], [1, 1]]),
    ]


def test_nothing_is_traced_to_nothing():
    empty = np.zeros((3, 5), np.uint16)

    assert trace(Labels(empty.astype(np.uint8), empty), NAMES) == []


# --- renumber -----------------------------------------------------------------------------------


@given(
    numbers=arrays(np.int64, (3, 7), elements=st.sampled_from([0, 1, 2, 9, 65_535, 65_536, 2**31]))
)
def test_gaps_close_and_the_order_stays(numbers):
    closed = renumber(numbers)

    values = np.unique(numbers[numbers > 0])
    assert closed.dtype == np.uint16 and (closed[numbers == 0] == 0).all()
    for number, value in enumerate(values, start=1):
        assert (closed[numbers == value] == number).all()


def test_more_numbers_than_16_bits_hold_are_refused():
    assert renumber(np.arange(65_536)[None] * 3).max() == 65_535
    with pytest.raises(DataError) as caught:
        renumber(np.arange(65_537)[None])
    assert str(caught.value) == "65536 objects, at most 65535 in one image"

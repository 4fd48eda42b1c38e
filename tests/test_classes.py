import pytest
from hypothesis import given
from hypothesis import strategies as st

from cervseg.classes import IGNORE, Classes, format_colour, parse_colour

BYTE = st.integers(0, 255)


@given(st.tuples(BYTE, BYTE, BYTE))
def test_a_colour_survives_being_written_and_read(colour):
    assert parse_colour(format_colour(colour)) == colour


def test_red_comes_first_and_capitals_do():
    assert parse_colour("#FF8000") == (255, 128, 0)


@pytest.mark.parametrize("text", ["00ff00", "#0f0", "#00ff000", "#00fg00", "", "green", "#+1-1 2"])
def test_what_is_no_colour_is_refused_with_an_example(text):
    with pytest.raises(ValueError) as caught:
        parse_colour(text)

    assert str(caught.value) == f"{text!r} is no colour like '#00ff00'"


def test_classes_keep_the_order_of_the_config():
    classes = Classes.of({"nucleus": "#ff0000", "cell": "#00ff00"})

    assert classes.names == ("nucleus", "cell")
    assert classes.colours == ((255, 0, 0), (0, 255, 0))
    assert len(classes) == 2


def test_one_class_is_binary_and_two_are_not():
    assert Classes.of({"cell": "#00ff00"}).is_binary
    assert not Classes.of({"cell": "#00ff00", "nucleus": "#ff0000"}).is_binary


@given(st.integers(1, 30))
def test_a_palette_has_black_then_the_classes_then_white_for_ignore(count):
    classes = Classes.of({f"class {i}": f"#0000{i:02x}" for i in range(1, count + 1)})

    palette = classes.palette()

    assert len(palette) == 768
    assert palette[:3] == [0, 0, 0]
    assert [tuple(palette[3 * i : 3 * i + 3]) for i in range(1, count + 1)] == list(classes.colours)
    assert palette[3 * IGNORE :] == [255, 255, 255]

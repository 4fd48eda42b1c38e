import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cervseg.config.syntax import YamlError, format_value, format_yaml, parse_yaml


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("NULL", None),
        ("nULL", "nULL"),
        ("true", True),
        ("False", False),
        ("TRUE", True),
        ("yes", "yes"),
        ("no", "no"),
        ("off", "off"),
        ("on", "on"),
        ("012", 12),
        ("-7", -7),
        ("+7", 7),
        ("0o17", 15),
        ("0x1f", 31),
        ("-0x1f", "-0x1f"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2026-11-24", "2026-11-24"),
        ("1e-4", 0.0001),
        ("1E5", 100000.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("-1.5e+3", -1500.0),
        (".inf", math.inf),
        ("-.Inf", -math.inf),
        ("inf", "inf"),
        ("nan", "nan"),
        (".", "."),
        ("e3", "e3"),
        ("'12'", "12"),
        ('"true"', "true"),
        ("''", ""),
        ("<<", "<<"),
    ],
)
def test_scalars_follow_the_core_schema_of_yaml_1_2(written, value):
    read = parse_yaml(f"key: {written}").value

    assert read == {"key": value}
    assert type(read["key"]) is type(value)


def test_not_a_number_is_a_number():
    assert math.isnan(parse_yaml(".NaN").value)


def test_thousands_of_digits_are_read_without_a_crash():
    assert parse_yaml("9" * 5000).value == math.inf


def test_lists_and_mappings_nest():
    text = "a: [1, {b: 2}]\nc:\n  - d: x\n    e:\n  - [ ]\n"

    assert parse_yaml(text).value == {"a": [1, {"b": 2}], "c": [{"d": "x", "e": None}, []]}


def test_keys_are_text_as_written():
    assert parse_yaml("012: a\ntrue: b\n").value == {"012": "a", "true": "b"}


def test_every_key_and_entry_knows_its_line():
    text = "# head\na:\n  b: 1\n  c:\n    - x\n    - d: 2\n\ne: {f: 3,\n    g: 4}\n"

    assert parse_yaml(text).lines == {
        "a": 2,
        "a.b": 3,
        "a.c": 4,
        "a.c.0": 5,
        "a.c.1": 6,
        "a.c.1.d": 6,
        "e": 8,
        "e.f": 8,
        "e.g": 9,
    }


def test_a_key_that_stands_twice_is_told_with_both_lines():
    assert parse_yaml("a:\n  b: 1\n  b: 2\n  b: 3\n").duplicates == [(3, "a.b", 2), (4, "a.b", 2)]


def test_an_anchor_can_be_used_again():
    assert parse_yaml("a: &x {b: 1}\nc: *x\n").value == {"a": {"b": 1}, "c": {"b": 1}}


@pytest.mark.parametrize("text", ["", "# a comment\n", "---\n"])
def test_a_text_without_content_says_nothing(text):
    assert parse_yaml(text).value is None


BOMB = "a: &a [x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 8)}]\n"
    for old, new in zip("abcdef", "bcdefg", strict=True)
)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: b: c", 1, "not valid YAML: mapping values are not allowed here"),
        ("a:\n\tb: 1", 2, "not valid YAML: found character '\\t' that cannot start any token"),
        ("a: 1\nb: \x07", 2, "not valid YAML: a control character"),
        (
            "a: 1\n---\nb: 2",
            2,
            "not valid YAML: expected a single document in the stream, but found another document",
        ),
        ("a: *b", 1, "not valid YAML: found undefined alias 'b'"),
        ("a: 1\nb: !!str 2", 2, "tags like 'tag:yaml.org,2002:str' are not supported"),
        ("a: !ref x", 1, "tags like '!ref' are not supported"),
        ("a: !!python/name:os.system x", 1, "tags like 'tag:yaml.org,2002:python/name:os.system'"),
        ("a: 1\n? [b]\n: 2", 2, "a key must be text"),
        ("a: 1\n'': 2", 2, "a key must be text"),
        ("a: &x\n  b: *x", 1, "an anchor contains itself"),
        ("[" * 1000 + "]" * 1000, 1, "nested more than 50 deep"),
        ("a: &a " + "[" * 40 + "]" * 40 + "\nb: " + "[" * 40 + "*a" + "]" * 40, 1, "nested more"),
        (BOMB, 1, "aliases expand to more than 20000 values"),
    ],
)
def test_what_is_not_taken_is_told_with_its_line(text, line, words):
    with pytest.raises(YamlError, match=re.escape(words)) as caught:
        parse_yaml(text)

    assert caught.value.line == line


def test_more_values_than_any_config_has_are_refused_before_they_are_kept():
    with pytest.raises(YamlError, match="^more than 20000 values$"):
        parse_yaml(f"a: [{'1, ' * 50_000}]")


TEXT = st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from(
    [
        "1e-4",
        "08",
        "0o7",
        "0x1F",
        "off",
        "~",
        "null",
        "",
        ".inf",
        "# x",
        "a: b",
        "- a",
        "{",
        "12:30",
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False) | TEXT,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(TEXT.filter(bool), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_written_reads_back_equal(value):
    assert repr(parse_yaml(format_yaml(value)).value) == repr(value)


@given(VALUES)
def test_a_value_on_one_line_reads_back_equal_inside_a_list(value):
    line = format_value(value)

    assert "\n" not in line
    assert repr(parse_yaml(f"[{line}, 1]").value) == repr([value, 1])


@given(st.text(st.sampled_from("ab01:-,[]{}&*!?|>#'\"%@ \t\n\\~.x\x00\ud800\u2028"), max_size=30))
def test_any_text_is_read_or_refused(text):
    try:
        parse_yaml(text)
    except YamlError as exc:
        assert exc.line >= 1

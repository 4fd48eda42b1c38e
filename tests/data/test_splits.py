from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cervseg.config.data import FolderSplit, FractionSplit, ListSplit
from cervseg.data.fields import Field
from cervseg.data.splits import assign_splits
from cervseg.errors import ConfigError


def fields(*names, group=lambda name: name, split=None):
    return [Field(name, Path(f"{name}.png"), None, group(name), split=split) for name in names]


@given(st.lists(st.integers(0, 9), min_size=20, max_size=60), st.integers(0, 99))
def test_no_group_is_divided_whatever_the_seed(groups, seed):
    found = [Field(str(i), Path("x"), None, str(g)) for i, g in enumerate([*range(3), *groups])]

    chosen, notices = assign_splits(found, FractionSplit(seed=seed))

    assert [field for field, _ in chosen] == found and not notices
    splits = {}
    for field, split in chosen:
        splits.setdefault(field.group, set()).add(split)
    assert all(len(names) == 1 for names in splits.values())
    assert {split for _, split in chosen} == {"train", "valid", "test"}


@pytest.mark.parametrize(
    ("fractions", "expected"),
    [
        ({}, {"train": 14, "valid": 3, "test": 3}),
        ({"train": 0.5, "valid": 0.25, "test": 0.25}, {"train": 10, "valid": 5, "test": 5}),
        ({"train": 0.99, "valid": 0.005, "test": 0.005}, {"train": 18, "valid": 1, "test": 1}),
        ({"train": 0.8, "valid": 0.2, "test": 0}, {"train": 16, "valid": 4}),
        ({"train": 1, "valid": 0, "test": 0}, {"train": 20}),
    ],
)
def test_groups_are_shared_out_by_fractions_and_none_asked_for_stays_empty(fractions, expected):
    chosen, _ = assign_splits(fields(*map(str, range(20))), FractionSplit(**fractions))

    assert Counter(split for _, split in chosen) == expected


def test_one_seed_gives_one_split_whatever_the_order_of_the_fields():
    names = [f"field_{i}" for i in range(12)]

    there = dict(assign_splits(fields(*names), FractionSplit(seed=3))[0])
    back = dict(assign_splits(fields(*reversed(names)), FractionSplit(seed=3))[0])
    other = dict(assign_splits(fields(*names), FractionSplit(seed=4))[0])

    assert there == back != other


def test_too_few_groups_are_refused():
    with pytest.raises(ConfigError) as caught:
        assign_splits(fields("a", "b", "c", group=lambda name: "s"), FractionSplit())

    assert str(caught.value) == "'data.split': 1 group(s) can't fill train, valid and test"
    assert caught.value.hint == "add images, set a fraction to 0, or group them more finely"


def lists(**names):
    return ListSplit.model_validate({"kind": "lists", **names})


def test_names_and_patterns_choose_the_split_and_what_is_left_out_is_told():
    found = fields("f_1", "f_2", "f_10", "g_1", "F_1")

    chosen, notices = assign_splits(found, lists(train=["f_?"], valid=["f_10"], test=["g_[0-5]"]))

    assert [(field.name, split) for field, split in chosen] == [
        ("f_1", "train"), ("f_2", "train"), ("f_10", "valid"), ("g_1", "test"),
    ]  # fmt: skip
    assert notices == ["1 image(s) stand in no list and are left out: F_1"]


def test_of_many_left_out_five_are_named():
    _, notices = assign_splits(fields(*"abcdefgh"), lists(train=["h"]))

    assert notices == ["7 image(s) stand in no list and are left out: a, b, c, d, e, …"]


def test_nothing_left_out_is_no_notice():
    assert assign_splits(fields("a", "b"), lists(train=["*"]))[1] == []


def test_a_name_with_brackets_can_be_listed_as_it_is():
    chosen, _ = assign_splits(fields("field [1]", "b"), lists(train=["b"], test=["field [1]"]))

    assert ("field [1]", "test") in [(field.name, split) for field, split in chosen]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"train": ["a"], "test": ["c*"]}, "'data.split.test': 'c*' matches no image"),
        ({"train": ["a"], "valid": ["A"]}, "'data.split.valid': 'A' matches no image"),
        ({"train": ["a", "b"], "test": ["?"]}, "'data.split': 'a' is in train and test"),
    ],
)
def test_a_list_that_does_not_fit_is_refused(names, message):
    with pytest.raises(ConfigError) as caught:
        assign_splits(fields("a", "b"), lists(**names))

    assert str(caught.value) == message


def test_split_folders_stay_as_they_are():
    found = [*fields("a", split="test"), *fields("b", split="train")]

    chosen, _ = assign_splits(found, FolderSplit(kind="folders"))

    assert [(field.name, split) for field, split in chosen] == [("a", "test"), ("b", "train")]

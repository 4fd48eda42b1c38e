from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cervseg.classes import Classes
from cervseg.data.folds import assign_folds, open_fold, require_groups
from cervseg.data.manifest import SourceRow, describe, write_dataset
from cervseg.errors import ConfigError, DataError


def source(name, group, foreground=0.0, *, side=(10, 10), scale=(1.0, 1.0)):
    return SourceRow(
        name, f"{name}.png", "", "", "", group, "", "", *side, *scale, "", "", "", foreground
    )


def numbered(groups, shares):
    pairs = zip(groups, shares, strict=True)
    return [source(f"f{i}", str(g), share) for i, (g, share) in enumerate(pairs)]


def held(rows, value):
    """What each fold holds."""
    sums = defaultdict(float)
    for row in rows:
        sums[row.fold] += value(row)
    return sums


GROUPS = st.lists(st.tuples(st.integers(0, 9), st.floats(0, 1)), min_size=9, max_size=60)


@given(GROUPS, st.integers(3, 5), st.integers(0, 99))
def test_no_group_is_divided_and_no_fold_is_empty(found, folds, seed):
    rows = numbered([*range(folds), *(g for g, _ in found)], [0.1] * folds + [s for _, s in found])

    chosen = assign_folds(rows, folds, seed=seed)

    assert [row._replace(fold="") for row in chosen] == rows
    fold_of = defaultdict(set)
    for row in chosen:
        fold_of[row.group].add(row.fold)
    assert all(len(names) == 1 for names in fold_of.values())
    assert {row.fold for row in chosen} == {str(i) for i in range(folds)}


def test_folds_are_alike_in_images_in_images_with_foreground_and_in_foreground():
    rng = np.random.default_rng(3)
    groups = rng.integers(0, 40, 203)
    shares = rng.exponential(0.05, 203) * (rng.random(203) < 0.6)

    chosen = assign_folds(numbered(groups, shares), 5, seed=0)

    for value in (lambda row: 1, lambda row: row.foreground > 0, lambda row: row.foreground):
        found = list(held(chosen, value).values())
        assert max(found) <= 1.2 * min(found)


def test_where_every_image_is_a_group_those_with_foreground_are_dealt_out_evenly():
    shares = [0.2] * 6 + [0.0] * 13

    chosen = assign_folds(numbered(range(19), shares), 3, seed=0)

    assert set(held(chosen, lambda row: row.foreground > 0).values()) == {2}
    assert sorted(held(chosen, lambda row: 1).values()) == [6, 6, 7]


def test_foreground_counts_at_full_size():
    """The fold of a file that was squeezed by 6 and 8 has its share with fewer images."""
    files = numbered(range(20), [0.1] * 20)
    squeezed = files[0]._replace(name="s", vertical=6.0, horizontal=8.0)

    chosen = assign_folds([squeezed, *files[1:]], 3, seed=0)

    counts = held(chosen, lambda row: 1)
    assert counts.pop(chosen[0].fold) <= 5 < min(counts.values()), "else 6 or 7 in each"


def test_one_seed_gives_the_same_folds_whatever_the_order_of_the_fields():
    rows = numbered(range(12), [0.1] * 12)

    def folds(rows, seed):
        return {row.name: row.fold for row in assign_folds(rows, 4, seed=seed)}

    assert folds(rows, 1) == folds(rows[::-1], 1) != folds(rows, 2)


def test_data_without_any_foreground_has_folds_too():
    chosen = assign_folds(numbered(range(7), [0.0] * 7), 3, seed=0)

    assert sorted(held(chosen, lambda row: 1).values()) == [2, 2, 3]


def test_fewer_groups_than_folds_are_refused():
    for refused in (
        lambda: require_groups({"a", "b", "c", "d"}, 5),
        lambda: assign_folds(numbered("aabbccdd", [0.1] * 8), 5, seed=0),
    ):
        with pytest.raises(ConfigError) as caught:
            refused()
        assert str(caught.value) == "'data.folds': 4 group(s) can't fill 5 folds"
        assert caught.value.hint == "fewer folds, more images, or group them more finely"


# --- opening


def write(folder, *folds, split=""):
    document = describe(Classes.of({"cell": "#00ff00"}), scale=1.0, tile_size=16, reading="index")
    rows = [source(f"f{i}", f"f{i}")._replace(fold=f, split=split) for i, f in enumerate(folds)]
    write_dataset(folder, document, sources=rows, tiles=[])
    return folder


def refusal(folder, fold, **words):
    with pytest.raises(ConfigError) as caught:
        open_fold(folder, fold, **words)
    return str(caught.value), caught.value.hint


def test_a_fold_is_opened_as_it_sees_the_dataset(tmp_path):
    dataset = open_fold(write(tmp_path, *"012"), 1)

    assert [row.split for row in dataset.sources] == ["train", "test", "valid"]


def test_a_dataset_with_splits_is_opened_without_a_fold(tmp_path):
    dataset = open_fold(write(tmp_path, "", "", split="test"), None)

    assert len(dataset.sources_of("test")) == 2


def test_what_does_not_go_together_is_refused_with_what_mends_it(tmp_path):
    folds, splits = write(tmp_path / "folds", *"0123"), write(tmp_path / "splits", "", split="test")

    assert refusal(folds, None) == (f"{folds}: in 4 folds, and none is chosen", "add --fold K")
    assert refusal(folds, None, hint="add both")[1] == "add both"
    assert refusal(folds, 4) == ("--fold 4: the folds are 0 to 3", None)
    assert refusal(folds, -1) == ("--fold -1: the folds are 0 to 3", None)
    assert refusal(splits, 0) == (
        f"{splits}: not in folds",
        "set data.folds and cut it again: cervseg dataset-tile CONFIG --overwrite",
    )
    with pytest.raises(DataError, match="no dataset in it"):
        open_fold(tmp_path, 0)

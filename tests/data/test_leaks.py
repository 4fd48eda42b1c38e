from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from scipy import ndimage

from cervseg.classes import Classes
from cervseg.contract import Contract, TrainingImage
from cervseg.data.duplicates import perceptual_hash
from cervseg.data.leaks import (
    Fingerprint,
    NearPair,
    Tolerance,
    find_near_leaks,
    refuse_leaks,
    refuse_seen,
    refuse_trained_images,
    tell_near_leaks,
    tell_resemblance,
)
from cervseg.data.manifest import SourceRow
from cervseg.errors import ConfigError, DataError, LeakError


def source(name, split="", *, group=None, sha256=None, fold="", phash=""):
    sha256 = f"{name:0>64}" if sha256 is None else sha256
    return SourceRow(
        name, f"{name}.png", "", "", "", group or name, split, fold, 3, 5, 1.0, 1.0, "", sha256,
        phash, 0.0,
    )  # fmt: skip


def refusal(*sources):
    with pytest.raises(LeakError) as caught:
        refuse_leaks(sources)
    assert caught.value.exit_code == 4
    assert caught.value.hint == (
        "split by group: data.group_pattern, data.group_block, or other lists"
    )
    return str(caught.value).split("\n")


def test_clean_data_passes():
    refuse_leaks(
        [source("a", "train", group="s1"), source("b", "train", group="s1"), source("c", "test")]
    )


def test_a_group_without_a_name_is_one_too():
    empty = [source(n, s)._replace(group="") for n, s in (("a", "train"), ("b", "test"))]

    assert refusal(*empty)[1] == "  group '': b (test), a (train)"


def test_a_group_on_two_sides_is_named_with_an_image_of_each():
    lines = refusal(
        source("a", "train", group="s1"), source("b", "train", group="s1"),
        source("c", "valid", group="s1"), source("d", "test"),
    )  # fmt: skip

    assert lines == [
        "training and scoring data overlap: 1 problem", "  group 's1': a (train), c (valid)",
    ]  # fmt: skip


def test_an_identical_picture_on_two_sides_is_named():
    lines = refusal(source("a", "train", sha256="0f"), source("copy", "test", sha256="0f"))

    assert lines[1:] == ["  one picture: copy (test), a (train)"]


def test_all_leaks_are_told_at_once_twenty_of_them():
    pairs = [
        source(f"{split}{i}", split, group=f"s{i}")
        for i in range(23)
        for split in ("train", "test")
    ]

    lines = refusal(*pairs)

    assert lines[0] == "training and scoring data overlap: 23 problems"
    assert lines[-1] == "  and 3 more" and len(lines) == 22


def test_one_picture_twice_on_one_side_is_no_leak():
    refuse_leaks([source("a", "train", sha256="0f"), source("b", "train", sha256="0f")])


def test_pictures_of_one_colour_have_no_digest_and_are_no_leak():
    refuse_leaks([source("a", "train", sha256=""), source("b", "test", sha256="")])


def test_a_picture_in_two_folds_is_a_leak_and_a_fold_may_hold_what_it_likes():
    refuse_leaks([source("a", fold="0", sha256="0f"), source("b", fold="0", sha256="0f")])

    lines = refusal(source("a", fold="0", sha256="0f"), source("b", fold="2", sha256="0f"))

    assert lines[1:] == ["  one picture: a (fold 0), b (fold 2)"]


# --- leaks that somebody allows


def test_a_leak_with_a_reason_is_a_notice_and_kept(caplog):
    tolerance = Tolerance("one slide is all we have")

    with tolerance.tolerating():
        refuse_leaks([source("a", "train", group="s"), source("b", "test", group="s")])

    (told,) = caplog.messages
    assert told.split("\n")[0] == (
        "leak allowed (one slide is all we have): training and scoring data overlap: 1 problem"
    )
    assert tolerance.record() == {
        "allowed_leak": {
            "reason": "one slide is all we have",
            "found": [
                "training and scoring data overlap: 1 problem\n  group 's': b (test), a (train)"
            ],
        }
    }


def test_without_a_reason_a_leak_is_refused_and_nothing_kept():
    tolerance = Tolerance()

    with pytest.raises(LeakError), tolerance.tolerating():
        refuse_leaks([source("a", "train", group="s"), source("b", "test", group="s")])

    assert tolerance.record() == {}


def test_a_reason_allows_leaks_and_nothing_else():
    with pytest.raises(DataError), Tolerance("why not").tolerating():
        raise DataError("broken")


@pytest.mark.parametrize("reason", ["", " \t"])
def test_an_empty_reason_is_none(reason):
    with pytest.raises(ConfigError) as caught:
        Tolerance(reason)

    assert str(caught.value) == "--allow-leak needs a reason"


# --- near duplicates


def picture(seed):
    """Smooth blobs, as a photograph has."""
    noise = np.random.default_rng(seed).normal(size=(91, 121))
    smooth = ndimage.gaussian_filter(noise, 5)
    grey = 255 * (smooth - smooth.min()) / np.ptp(smooth)
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)


PICTURES = {
    "a": picture(0), "b": picture(1), "turned": np.rot90(picture(0)), "mirrored": picture(1)[::-1],
}  # fmt: skip


def seen(name, split="", **kwargs):
    return source(name, split, phash=perceptual_hash(PICTURES[name]), **kwargs)


def near(*sources):
    read = []

    def look(row):
        read.append(row.name)
        return PICTURES[row.name]

    pairs, is_all = find_near_leaks(sources, look)
    assert is_all
    return [pair[:2] for pair in pairs], read


def test_a_turned_copy_on_another_side_is_found_and_a_distinct_picture_is_not():
    pairs, read = near(
        seen("a", "train"), seen("b", "test"), seen("turned", "test"), seen("mirrored", "valid")
    )

    assert pairs == [("a", "turned"), ("b", "mirrored")]
    assert set(read) == {"a", "b", "turned", "mirrored"}


def test_pictures_of_one_side_are_not_even_read():
    assert near(seen("a", "train"), seen("turned", "train"), seen("b", "test")) == ([], [])


def test_folds_are_sides():
    assert near(seen("a", fold="1"), seen("turned", fold="1"), seen("mirrored", fold="2"),
                seen("b", fold="0"))[0] == [("mirrored", "b")]  # fmt: skip


def test_identical_pictures_are_no_near_ones():
    assert near(seen("a", "train", sha256="0f"), seen("a", "test", sha256="0f")) == ([], [])


def test_of_too_many_pairs_only_the_nearest_are_compared(monkeypatch):
    monkeypatch.setattr("cervseg.data.leaks.MOST_COMPARED", 1)
    sources = [seen("a", "train"), seen("turned", "test"), seen("a", "valid", sha256="x")]

    pairs, is_all = find_near_leaks(sources, lambda row: PICTURES[row.name])

    assert not is_all
    assert len(pairs) == 1


def test_near_duplicates_are_told_with_both_sides_the_first_five_of_them():
    rows = [source(f"{split}{i}", split) for i in range(7) for split in ("train", "test")]
    pairs = [NearPair(f"train{i}", f"test{i}", 0.98765) for i in range(7)]

    (told,) = tell_near_leaks(rows, pairs)

    assert told.startswith(
        "near duplicates on two sides of a split: train0 (train) and test0 (test), correlation "
        "0.988; train1 (train)"
    )
    assert told.endswith("; and 2 more") and "train5" not in told


def test_in_a_fold_whose_training_holds_both_a_pair_is_no_matter():
    rows = [source("a", "train"), source("b", "train"), source("c", "test")]

    assert tell_near_leaks(rows, [NearPair("a", "b", 0.99)]) == []


# --- the model's own images ---------------------------------------------------------------------

CONTRACT = Contract(
    architecture="unet", options={}, classes=Classes.of({"cell": "#00ff00"}), activation="sigmoid",
    tile_size=64,
    trained_on=(TrainingImage("0f", None, "train"), TrainingImage("1e", None, "valid")),
)  # fmt: skip


def prints(**digests):
    return [Fingerprint(name, digest) for name, digest in digests.items()]


def test_an_image_the_model_was_trained_on_is_refused_by_name():
    with pytest.raises(LeakError) as caught:
        refuse_trained_images(prints(a="0f", b="2d", c="1e"), CONTRACT)

    assert str(caught.value).split("\n") == [
        "the model was fitted on images to be scored: 2 problems",
        "  a: in its train split",
        "  c: in its valid split",
    ]
    assert caught.value.hint == (
        "hold out images that it has not seen, or say why it may be: --allow-leak REASON"
    )


def test_images_the_model_has_not_seen_pass():
    refuse_trained_images(prints(a="2d", b="3c"), CONTRACT)


class Held(NamedTuple):
    """As much of a dataset as is asked for what is held out."""

    sources: tuple

    def sources_of(self, split):
        return [row for row in self.sources if row.split == split]


def test_a_start_may_be_validated_again_by_what_validated_it():
    rows = (source("a", "train", sha256="0f"), source("b", "valid", sha256="1e"))

    refuse_seen(Held(rows), CONTRACT)


@pytest.mark.parametrize(
    ("split", "digest", "before"),
    [("valid", "0f", "train"), ("test", "0f", "train"), ("test", "1e", "valid")],
)
def test_a_start_must_not_have_learned_what_validates_nor_known_what_is_scored(
    split, digest, before
):
    with pytest.raises(LeakError, match=f"b: in its {before} split"):
        refuse_seen(Held((source("b", split, sha256=digest),)), CONTRACT)


def test_a_start_that_was_validated_and_later_fitted_on_an_image_has_learned_it():
    seen = (TrainingImage("1e", None, "valid"), TrainingImage("1e", None, "train"))

    with pytest.raises(LeakError, match="b: in its train split"):
        refuse_seen(Held((source("b", "valid", sha256="1e"),)), replace(CONTRACT, trained_on=seen))


def test_an_image_without_digest_is_not_taken_for_a_training_image():
    contract = replace(CONTRACT, trained_on=(TrainingImage("", None, "train"),))

    refuse_trained_images(prints(blank=""), contract)


# --- images that look like the model's own

KNOWN = perceptual_hash(PICTURES["a"])
TRAINED = replace(CONTRACT, trained_on=(TrainingImage("0f", KNOWN, "valid"),))


def test_what_looks_like_a_trained_image_is_told_by_its_hash():
    images = [
        Fingerprint("copy", "2d", perceptual_hash(PICTURES["turned"])),
        Fingerprint("other", "3c", perceptual_hash(PICTURES["b"])),
    ]

    assert tell_resemblance(images, TRAINED) == [
        "by their hash alone, these look like images the model was fitted on: "
        "copy (one of its valid split)"
    ]


def test_what_was_compared_by_its_pixels_is_not_judged_by_its_hash():
    images = [Fingerprint("copy", "2d", KNOWN)]

    assert tell_resemblance(images, TRAINED, compared={"0f"}) == []


def test_an_identical_image_does_not_merely_look_alike():
    assert tell_resemblance([Fingerprint("same", "0f", KNOWN)], TRAINED) == []


def test_a_model_without_hashes_knows_no_resemblance():
    assert tell_resemblance([Fingerprint("copy", "2d", KNOWN)], CONTRACT) == []


def test_images_that_look_like_each_other_are_no_matter():
    images = [Fingerprint(name, name, perceptual_hash(PICTURES["b"])) for name in ("one", "two")]

    assert tell_resemblance(images, TRAINED) == []

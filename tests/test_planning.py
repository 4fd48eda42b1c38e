import math
import re

import pytest
import yaml

from cervseg.config.loader import load_config
from cervseg.data.statistics import FieldStatistics
from cervseg.errors import DataError
from cervseg.planning import (
    ALIGN,
    LARGEST_TILE,
    SMALLEST_TILE,
    Choice,
    Facts,
    choose,
    find_facts,
    write_plan,
)

FIELDS = Facts(
    images=72,
    groups=25,
    height=1536,
    width=2048,
    diameters=(163.0,),
    objects=213,
    small_area=7000,
    foreground=0.025,
    classes=("cell",),
)


def row(areas, *, group="a", height=30, width=40, classes=1, scale=1):
    covered = sum(map(sum, areas)) // scale
    pixels = (height * width - covered, *(sum(found) // scale for found in areas), 0)
    assert len(pixels) == classes + 2
    return FieldStatistics(
        "x", "", group, height, width, pixels, areas, 128.0, 20.0, (0.1, 0.2, 0.1)
    )


def chosen(facts, **options):
    return {choice.key: choice.value for choice in choose(facts, "cells", **options)}


def test_facts_are_of_full_size_pixels_and_of_all_images():
    rows = [row(((100, 300),), group="a"), row(((4800,),), group="a", scale=48), row(((),))]

    facts = find_facts(rows, [(1, 1), (6, 8), (1, 1)], ("cell",))

    assert (facts.images, facts.groups, facts.objects) == (3, 1, 3)
    assert (facts.height, facts.width) == (30, 40)
    assert facts.diameters == pytest.approx([2 * math.sqrt(300 / math.pi)])
    assert facts.foreground == pytest.approx((400 + 100) / 3600)
    assert facts.small_area == 100


def test_a_class_without_objects_has_no_size():
    facts = find_facts([row(((), (50,)), classes=2)], [(1, 1)], ("a", "b"))

    assert facts.diameters == pytest.approx([2 * math.sqrt(50 / math.pi)])


def test_data_without_objects_is_refused():
    with pytest.raises(DataError, match="no image has an annotated object"):
        find_facts([row(((),))], [(1, 1)], ("cell",))


@pytest.mark.parametrize("size", [30, 45, 60, 100, 163, 250, 333, 500])
def test_the_scale_shows_objects_about_60_pixels_across(size):
    scale = chosen(FIELDS._replace(diameters=(size,)))["data.scale"]

    assert 60 / 1.25 <= size * scale <= 60 * 1.25 or (scale == 1 and size < 60)


def test_small_objects_beside_large_ones_stay_visible():
    scale = chosen(FIELDS._replace(diameters=(400.0, 20.0)))["data.scale"]

    assert 20 * scale >= 12 / 1.2


def test_images_that_are_one_tile_are_taken_whole_at_their_size():
    plan = chosen(FIELDS._replace(height=120, width=131, diameters=(90.0,)))

    assert (plan["data.scale"], plan["data.tile_size"], plan["data.sampling"]) == (1, 160, "tiles")


@pytest.mark.parametrize("size", [3, 20, 60, 163, 700])
@pytest.mark.parametrize("field", [(70, 300), (601, 333), (1536, 2048), (40_000, 90_000)])
def test_tiles_fit_the_network_and_are_not_larger_than_an_image(size, field):
    plan = chosen(FIELDS._replace(diameters=(size,), height=field[0], width=field[1]))
    tile, longest = plan["data.tile_size"], max(field) * plan["data.scale"]

    assert tile % ALIGN == 0 and SMALLEST_TILE <= tile <= LARGEST_TILE
    assert tile < longest + ALIGN or tile == SMALLEST_TILE


def test_memory_limits_the_batch_and_steps_make_up_for_it():
    usual, little = chosen(FIELDS), chosen(FIELDS, batch_limit=2)

    assert (usual["train.batch_size"], little["train.batch_size"]) == (6, 2)
    views = [p["train.batch_size"] * p["train.steps_per_epoch"] for p in (usual, little)]
    assert views[1] == pytest.approx(views[0], rel=0.02)


def test_more_objects_make_a_longer_training_within_bounds():
    steps = [
        chosen(FIELDS._replace(objects=3 * n, images=n))["train.steps_per_epoch"] * 15
        for n in (1, 72, 200, 10**6)
    ]

    assert steps[0] == 450 and steps == sorted(steps) and 10_000 <= steps[-1] < 10_015


@pytest.mark.parametrize(("share", "fraction"), [(0.005, 0.67), (0.1, 0.5), (0.6, 0.0)])
def test_the_rarer_the_foreground_the_more_crops_are_drawn_to_it(share, fraction):
    assert chosen(FIELDS._replace(foreground=share))["train.foreground_fraction"] == fraction


def test_several_classes_get_a_softmax_and_one_a_sigmoid():
    several = chosen(FIELDS._replace(classes=("a", "b"), diameters=(50.0, 90.0)))

    assert several["model.final_activation"] == "softmax"
    assert [term["name"] for term in several["train.loss"]] == ["categorical_crossentropy", "dice"]
    assert "model.final_activation" not in chosen(FIELDS)


def test_touching_objects_are_cut_apart_where_there_are_several_in_an_image():
    assert chosen(FIELDS)["tiled_infer.split_touching"] == 98
    assert "tiled_infer.split_touching" not in chosen(FIELDS._replace(objects=143))

    several = FIELDS._replace(classes=("a", "b"), diameters=(50.0, 90.0))
    assert "tiled_infer.split_touching" not in chosen(several)


@pytest.mark.parametrize("classes", [("cell",), ("a", "b", "c")])
def test_the_text_is_a_config_with_a_reason_for_each_key(tmp_path, classes):
    choices = choose(FIELDS._replace(classes=classes), "cells")
    path = tmp_path / "plan.yaml"
    path.write_text(write_plan(choices, head=["cells", "", "more"]))

    config = load_config(path).config

    assert config.data.scale == 0.375 and config.train.augmentation.scale.range == (0.75, 1.35)
    assert path.read_text().startswith("# cells\n#\n# more\ndata:\n")
    lines = path.read_text().splitlines()[3:]
    for i, line in enumerate(lines):
        if re.search(r": \S", line):
            assert "  # " in line or lines[i - 1].lstrip().startswith("# "), line


def test_sections_are_opened_once_at_any_depth():
    choices = [Choice("a.b.c", 1, ""), Choice("a.b.d", [2], ""), Choice("a.e", "x: y", "why")]
    choices += [Choice("f.b.c", None, "")]

    text = write_plan(choices, head=())

    assert yaml.safe_load(text) == {
        "a": {"b": {"c": 1, "d": [2]}, "e": "x: y"},
        "f": {"b": {"c": None}},
    }
    assert text.count("b:") == 2

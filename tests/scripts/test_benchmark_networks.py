"""That the table and the document say what they should; no time is promised."""

import json
import math
import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts/benchmark_networks.py"
BENCHMARK = runpy.run_path(str(SCRIPT))


def example(name, *, parameters=1_234_567, ratio=2.0):
    return BENCHMARK["Cost"](
        name=name, parameters=parameters, multiply_adds=12.34, training=0.5, inference=0.25,
        training_ratio=ratio, inference_ratio=ratio / 4,
    )  # fmt: skip


def test_the_table_has_a_row_a_network_with_times_as_multiples():
    rows = BENCHMARK["table"]([example("unet", ratio=4.0), example("other")]).splitlines()

    assert len(rows) == 4 and {row.count("|") for row in rows} == {6}
    assert rows[2:] == [
        "| `unet` | 1.23 | 12.3 | 4.00 | 1.00 |",
        "| `other` | 1.23 | 12.3 | 2.00 | 0.50 |",
    ]


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_contestants_take_turns_and_each_begins_in_its_turn(turns):
    calls = []
    contestants = [
        {job: lambda name=name, job=job: calls.append((name, job)) for job in BENCHMARK["JOBS"]}
        for name in "ab"
    ]

    medians = BENCHMARK["take_turns"](contestants, turns)

    assert (
        "".join(name for name, job in calls if job == "training") == ("baab" * turns)[: 2 * turns]
    )
    assert [name for name, job in calls[::2]] == [name for name, job in calls[1::2]]
    assert all(set(found) == {"training", "inference"} for found in medians)
    assert all(seconds >= 0 for found in medians for seconds in found.values())


@pytest.mark.parametrize("option", ["--tile", "--batch", "--turns"])
def test_nothing_is_measured_of_no_tiles(option, capsys):
    with pytest.raises(SystemExit) as caught:
        BENCHMARK["main"]([option, "0"])

    assert caught.value.code == 2
    assert "at least 1" in capsys.readouterr().err


@pytest.mark.usefixtures("started")
def test_an_unknown_network_is_told_with_the_known_ones(capsys):
    with pytest.raises(SystemExit) as caught:
        BENCHMARK["main"](["--names", "unet", "unett"])

    assert caught.value.code == 2
    assert "no network 'unett'; there are unet, attention_unet, " in capsys.readouterr().err


@pytest.mark.usefixtures("started")
def test_a_tile_off_the_stride_is_one_line_and_its_exit_code(capsys):
    assert BENCHMARK["main"](["--names", "unet", "--tile", "40"]) == 2

    assert "40 is no multiple of the network's stride 16" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("started")
def test_networks_are_measured_and_unet_is_once_itself(capsys):
    words = ["--names", "unet", "lite_unet", "--tile", "32", "--batch", "1", "--turns", "1"]

    assert BENCHMARK["main"]([*words, "--json"]) == 0

    document = json.loads(capsys.readouterr().out)
    assert {key: document[key] for key in ("tile", "batch", "turns")} == {
        "tile": 32, "batch": 1, "turns": 1,
    }  # fmt: skip
    base, other = document["networks"]
    assert (base["name"], base["training_ratio"], base["inference_ratio"]) == ("unet", 1, 1)
    assert other["name"] == "lite_unet" and set(base) == set(other)
    assert all(math.isfinite(v) and v > 0 for row in (base, other) for v in list(row.values())[1:])
    assert other["multiply_adds"] == pytest.approx(9.4, rel=0.01)

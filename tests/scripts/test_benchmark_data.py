"""That the jobs measure what they say; no time is promised."""

import json
import logging
import runpy
from pathlib import Path

import numpy as np
import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
BENCHMARK = runpy.run_path(str(SCRIPTS / "benchmark_data.py"))
LOOP = runpy.run_path(str(SCRIPTS / "reference_loop.py"))


def test_the_loop_computes_seventeen_variants_of_image_and_mask():
    rng = np.random.default_rng(0)
    image, mask = rng.integers(0, 256, (64, 64, 3), np.uint8), np.zeros((64, 64), np.uint8)
    mask[20:40, 15:45] = 1

    variants = LOOP["all_variants"](image, mask, rng)

    assert len(variants) == 17
    for picture, labels in variants:
        assert picture.shape == (64, 64, 3) and labels.size == 64 * 64
        assert picture.dtype == labels.dtype == np.uint8 and labels.any()
    assert len({picture.tobytes() for picture, _ in variants}) == 17


def test_contestants_take_turns_in_both_orders_after_one_that_does_not_count():
    calls = []
    jobs = {name: lambda name=name: calls.append(name) for name in "abc"}

    seconds = BENCHMARK["take_turns"](jobs, 2)

    assert "".join(calls) == "abc" + "cba" + "abc"
    assert {name: len(values) for name, values in seconds.items()} == dict.fromkeys("abc", 2)


def test_the_ratio_is_that_of_single_turns():
    assert BENCHMARK["median_ratio"]([2.0, 9.0, 4.0], [1.0, 3.0, 1.0]) == 3.0


def test_samples_are_made_anew_and_of_full_size():
    make = BENCHMARK["our_maker"](BENCHMARK["draw_sample"]())

    one, two = make(0), make(1)

    assert one[0].shape == (512, 512, 3) and one[1].shape == (512, 512)
    assert one[1].max() == 1 and not np.array_equal(one[0], two[0])


def test_the_floor_reads_the_sample_that_the_others_vary(tmp_path):
    sample = BENCHMARK["draw_sample"]()

    image, mask = BENCHMARK["decoding_maker"](sample, tmp_path)(0)

    np.testing.assert_array_equal(mask, sample[1])
    assert np.abs(image.astype(int) - sample[0]).mean() < 5


@pytest.mark.parametrize(
    ("words", "message"),
    [(["lop"], "no job 'lop'; there are augment, loop, training, step"),
     (["--turns", "0"], "at least 1 turn")],
)  # fmt: skip
def test_what_cannot_be_measured_is_told(words, message, capsys):
    with pytest.raises(SystemExit) as caught:
        BENCHMARK["main"](words)

    assert caught.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.usefixtures("started")
def test_waiting_is_read_from_what_the_trainer_logs():
    watch = runpy.run_path(str(SCRIPTS / "benchmark_training_data.py"))["EpochWatch"]()

    for words in (("%s", "tiles"), ("epoch %d: %s, %.1f s, waiting %.0f %%", 2, "loss", 3.5, 4.0)):
        record = logging.LogRecord("cervseg", logging.DEBUG, "", 0, words[0], words[1:], None)
        watch.emit(record)

    assert (watch.seconds, watch.waited) == ([3.5], [4.0])


@pytest.mark.slow
def test_the_loop_is_measured(capsys):
    assert BENCHMARK["main"](["loop", "--turns", "1", "--json"]) == 0

    document = json.loads(capsys.readouterr().out)
    assert document["turns"] == 1 and document["loop"]["ratio"] > 1

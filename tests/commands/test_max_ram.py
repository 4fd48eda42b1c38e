"""`tiled_infer.max_ram`: what is chosen, and what is refused."""

import json
import re

import pytest

from cervseg.commands import forecasting
from cervseg.errors import BudgetError
from cervseg.inference import budget
from cervseg.inference.budget import Costs, Memory
from cervseg.inference.parts import BandFolder


def test_too_little_memory_is_refused_with_what_would_do(run, tmp_path):
    with pytest.raises(BudgetError, match="'tiled_infer.max_ram' 1 MB is too little") as caught:
        run("out", "max_ram=1MB")
    assert "max_ram=" in (caught.value.hint or "")
    assert not (tmp_path / "out").exists()


@pytest.fixture
def costs(monkeypatch):
    """Pretends that a process of 1 GB was measured, and a second pass that takes much more."""
    monkeypatch.setattr(budget, "PIECES", (60_000, 20_000, 12_000))
    monkeypatch.setattr(budget, "_SECOND_PASS", 10_000)

    def measured(**those):
        costs = Costs(**{"idle": 10**9, "kept": 0, "tile": 10**6, "seconds": 0.1, **those})
        monkeypatch.setattr(forecasting, "measure", lambda tools, image: costs)

    measured()
    return measured


@pytest.mark.parametrize("limit, piece", [("2GB", 60_000), ("1.25GB", 20_000), ("1.15GB", 12_000)])
def test_a_limit_that_needs_smaller_pieces_is_kept_with_the_same_bytes(
    run, finished, costs, *, tmp_path, limit, piece, digests
):
    report = run("out", "large_from=0", f"max_ram={limit}")

    assert any(f"pieces of {piece} pixels" in notice for notice in report.notices)
    assert digests(tmp_path / "out") == digests(finished[0])


def test_a_reader_that_keeps_less_gives_the_same_bytes(
    run, finished, costs, *, tmp_path, monkeypatch, digests
):
    monkeypatch.setattr(forecasting, "choices", lambda batch, least: [Memory(batch, spare=0)])
    report = run("out", "large_from=0", "max_ram=2GB")

    assert any("no spare cache" in notice for notice in report.notices)
    assert digests(tmp_path / "out") == digests(finished[0])


def test_a_limit_below_the_smallest_is_refused_and_the_one_it_names_works(run, costs, tmp_path):
    costs(tile=10**8)
    with pytest.raises(BudgetError, match=r"1\.01 GB is too little: \d+ MB are needed") as caught:
        run("out", "large_from=0", "max_ram=1.01GB")
    named = re.search(r"max_ram=(\d+MB)", caught.value.hint)[1]

    report = run("out", "large_from=0", f"max_ram={named}")

    assert report.exit_code == 0
    assert any("batches of 1, pieces of" in notice for notice in report.notices)


@pytest.mark.usefixtures("costs")
def test_a_broken_image_is_no_reason_to_measure_none(run, slide, tmp_path):
    broken = tmp_path / "broken.tif"
    broken.write_bytes(slide.read_bytes()[:200])

    report = run("out", "max_ram=2GB", images=[broken, slide])

    assert [failure.item for failure in report.failures] == [str(broken)]
    assert (tmp_path / "out/masks/slide.png").exists()
    assert run("none", "max_ram=2GB", images=[broken]).exit_code == 3


def test_a_resumed_run_keeps_the_batches_it_began_with(
    run, costs, *, tmp_path, monkeypatch, digests
):
    costs(tile=10**8)
    run("whole", "large_from=0", "max_ram=1.4GB")
    assert json.loads((tmp_path / "whole/inference.json").read_text())["batch_size"] == 3
    add = BandFolder.add

    def add_two(self, number, band):
        if number == 2:
            raise MemoryError
        add(self, number, band)

    monkeypatch.setattr(BandFolder, "add", add_two)
    with pytest.raises(MemoryError):
        run("out", "large_from=0", "max_ram=1.4GB")
    monkeypatch.setattr(BandFolder, "add", add)
    with pytest.raises(BudgetError, match=r"1\.20 GB is too little"):
        run("out", "large_from=0", "max_ram=1.2GB", resume=True)
    run("out", "large_from=0", resume=True)

    assert digests(tmp_path / "out") == digests(tmp_path / "whole")

import runpy
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "benchmark_training.py"


@pytest.mark.slow
def test_it_tells_a_ratio_for_each_way(monkeypatch, capsys):
    words = ["--network", "unet", "--tile", "32", "--batch", "1", "--steps", "2", "--repeats", "1"]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *words])
    script = runpy.run_path(str(SCRIPT))

    script["main"]()

    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "unet, 1 crops of 32, seconds a step"
    assert [line[:34].strip() for line in lines] == list(script["WAYS"])
    assert lines[0].endswith("1.00 x") and all(line.endswith(" x") for line in lines)

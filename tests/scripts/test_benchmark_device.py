import runpy
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "benchmark_device.py"


@pytest.mark.slow
def test_each_network_precision_and_batch_has_its_rows_or_says_why_not(monkeypatch, capsys):
    words = ["--networks", "builtin:metaplastic", "no_such", "--precisions", "float32", "float16",
             "--batches", "2", "--tile", "64", "--steps", "2", "--repeats", "1", "--device", "cpu",
            ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *words])

    runpy.run_path(str(SCRIPT))["main"]()

    lines = capsys.readouterr().out.splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:-2]]
    assert [row[:4] for row in rows[:4]] == [
        ["`builtin:metaplastic`", precision, "2", work]
        for precision in ("float32", "float16")
        for work in ("predicting", "training")
    ]
    assert [row[5] for row in rows[:2]] == ["1.00", "1.00"]
    assert 0 < float(rows[2][7]) < 0.1, "half precision differs a little"
    assert all("no_such" in row[3] for row in rows[4:]) and len(rows) == 6
    assert lines[-1] == "on CPU"

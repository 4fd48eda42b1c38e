import os
import runpy
import time
from pathlib import Path

import numpy as np

SCRIPTS = Path(__file__).parents[2] / "scripts"
SCRIPT = runpy.run_path(str(SCRIPTS / "fuzz_images.py"))


def test_damaged_images_are_read_or_refused_in_one_line(tmp_path, capsys):
    assert SCRIPT["main"](["--count", "48", "--seed", "5", "--folder", str(tmp_path)]) == 0

    table = capsys.readouterr().out.splitlines()
    assert sum(map(int, table[-2].split()[1:])) == 48
    assert [path.name for path in tmp_path.iterdir()] == ["clean"]


def test_a_hang_a_traceback_and_too_much_memory_are_bad(tmp_path, monkeypatch):
    examine = SCRIPT["examine"]

    def outcome(look, seconds=20, megabytes=1000):
        monkeypatch.setitem(examine.__globals__, "look_at", look)
        return examine(tmp_path / "a.tif", seconds=seconds, megabytes=megabytes)

    assert outcome(lambda path: "")[:2] == ("valid", "")
    assert outcome(lambda path: f"{path}: broken").verdict == "line"
    assert outcome(lambda path: "broken").verdict == "BAD"
    assert outcome(lambda path: f"{path}\nbroken").verdict == "BAD"
    assert "ZeroDivisionError" in outcome(lambda path: 1 // 0).said
    assert outcome(lambda path: os.write(2, b"libtiff") and "").verdict == "noisy"
    assert outcome(lambda path: time.sleep(9), seconds=0).said == "hangs"
    assert outcome(lambda path: "" if np.ones(10**7).any() else "x", megabytes=9).said.startswith(
        "needs "
    )

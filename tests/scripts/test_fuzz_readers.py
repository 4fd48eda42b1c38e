import pickle
import runpy
from pathlib import Path

import numpy as np
import pytest

from cervseg.errors import BudgetError, CheckError, DataError

SCRIPTS = Path(__file__).parents[2] / "scripts"
SCRIPT = runpy.run_path(str(SCRIPTS / "fuzz_readers.py"))
SAMPLES, DAMAGE = SCRIPT["SAMPLES"], SCRIPT["DAMAGE"]


@pytest.mark.slow
def test_spoilt_files_of_every_kind_are_read_or_refused_in_one_line(tmp_path, capsys):
    code = SCRIPT["main"](
        ["--count", "74", "--commands", "6", "--seed", "5", "--folder", str(tmp_path)]
    )

    told = capsys.readouterr()
    assert code == 0, told.err
    counts = [line.split() for line in told.out.splitlines() if line.startswith("all ")]
    assert [sum(map(int, row[1:])) for row in counts] == [74, 6]
    assert [path.name for path in tmp_path.iterdir()] == ["clean"]


def test_a_fuzzed_process_that_hangs_dies_or_needs_too_much_is_bad_and_replaced(tmp_path):
    limits = SCRIPT["Limits"](seconds=20, megabytes=500)
    folder = SAMPLES["write_samples"](tmp_path, ["config"])["config"]
    worker = SCRIPT["Worker"](tmp_path, ["config"], limits)

    def answer(code):
        """What becomes of a worker that runs some code in place of its process."""
        worker.stop()
        script = tmp_path / "worker.py"
        script.write_text(f"import json, os, sys, time\nsys.stdin.readline()\n{code}\n")
        worker.process = SCRIPT["subprocess"].Popen(
            [SCRIPT["sys"].executable, str(script)], text=True, stderr=worker.noise,
            stdin=SCRIPT["subprocess"].PIPE, stdout=SCRIPT["subprocess"].PIPE,
        )  # fmt: skip
        return worker.read("config", folder)

    assert answer("os.kill(os.getpid(), 11)").said.startswith("dies of SIGSEGV")
    assert worker.process is None
    assert answer("print(json.dumps(['valid', '', 700, 0]))").said.startswith("needs 700 MB")
    assert answer("print(json.dumps(['valid', '', 7, 12]))").verdict == "noisy"
    worker.stop()
    worker.limits = SCRIPT["Limits"](seconds=0.02)
    assert answer("time.sleep(9)").said.startswith("hangs") and worker.process is None
    worker.limits = limits
    assert worker.read("config", folder).verdict == "valid"
    worker.close()


def test_only_a_clear_line_with_the_right_exit_code_is_fine(tmp_path):
    unclear, file = SAMPLES["unclear"], tmp_path / "a.tif"

    assert unclear(DataError(f"{file}: broken"), tmp_path) is None
    assert unclear(DataError(f"{file}: 2 problems\n  one\n  two"), tmp_path) is None
    assert unclear(CheckError(f"{file}: no"), tmp_path) == "exit code 6"
    assert unclear(DataError("broken"), tmp_path) == "does not name the file"
    assert unclear(DataError(f"{file}: no\nerror: forged"), tmp_path).startswith("a line that")
    assert unclear(DataError(f"{file}: not enough memory"), tmp_path) == "ran out of memory"
    assert unclear(BudgetError(f"{file}: not enough memory"), tmp_path) is None
    assert unclear(DataError(f"{file}: {'o' * 2000}"), tmp_path).startswith("1 lines of up to 2")


def test_a_traceback_is_bad(tmp_path, monkeypatch):
    reader = SAMPLES["READERS"]["config"]._replace(read=lambda folder: 1 // 0)
    monkeypatch.setitem(SCRIPT["READERS"], "config", reader)

    verdict, said = SCRIPT["examine"]("config", tmp_path)

    assert verdict == "BAD" and "ZeroDivisionError" in said


@pytest.mark.parametrize("name", ["tiled", "zarr-0.5", "geojson", "config", "labels"])
def test_damage_changes_a_file_and_is_the_same_for_the_same_seed(tmp_path, name):
    clean = SAMPLES["write_samples"](tmp_path / "clean", [name])[name]

    def content(folder):
        return {
            path.relative_to(folder): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }

    def spoilt(number, seed):
        folder = tmp_path / f"{number}-{seed}"
        told = SCRIPT["spoilt"](
            clean.parent, name, folder=folder, rng=np.random.default_rng((9, seed))
        )
        return told, content(folder)

    first = spoilt(0, 0)
    for seed in range(12):
        assert spoilt(1, seed) == spoilt(2, seed)
    assert spoilt(4, 0) == first, "whatever was spoilt in between"
    assert sum(spoilt(3, seed)[1] != content(clean) for seed in range(12)) > 9


def test_a_pickle_in_a_spoilt_archive_would_show(tmp_path, monkeypatch):
    """So that a reader that unpickles would be seen."""
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(DAMAGE["Evil"]()))

    assert [path.name for path in tmp_path.iterdir()] == [DAMAGE["UNPICKLED"]]

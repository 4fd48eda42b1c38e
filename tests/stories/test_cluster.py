"""docs/cluster.md in order, with stand-ins for the commands of SLURM that its scripts call."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "cluster.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SRUN = """#!/bin/bash
echo "srun $*" >> calls
echo $$ > step
[ "$1" = -c ] && shift 2
exec "$@"
"""
SCONTROL = """#!/bin/bash
echo "scontrol $*" >> calls
"""


def asked(name):
    """The `#SBATCH` lines of a script of the page."""
    script = re.search(rf"^cat > cluster/{name}\.sh <<'SH'\n(.*?)^SH$", PAGE, re.M | re.S)[1]
    return dict(re.findall(r"^#SBATCH --([a-z-]+)=?(.*)$", script, re.M))


@pytest.fixture
def cluster(clone):
    """The page's files, and `srun` and `scontrol` found before any real ones."""
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        file = clone.folder / "bin" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)
    return clone


def time_is_up(clone, name, history):
    """Start a script, send SIGTERM to its step once an epoch is in the history; the exit code."""
    path = f"{clone.folder / 'bin'}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}"
    job = subprocess.Popen(
        ["bash", f"cluster/{name}.sh"],
        cwd=clone.folder,
        env={**os.environ, "PATH": path + os.environ["PATH"], "SLURM_JOB_ID": "7",
             "SLURM_CPUS_PER_TASK": "1"},
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    while job.poll() is None and not (history.is_file() and len(history.read_text().split()) > 1):
        time.sleep(0.05)
    assert job.returncode is None, "it ended before"
    os.kill(int((clone.folder / "step").read_text()), signal.SIGTERM)
    return job.wait(timeout=120)


def submit(clone, name, **environment):
    """Run a script as a job would: from the folder it was submitted in."""
    slurm = {"SLURM_JOB_ID": "7", "SLURM_CPUS_PER_TASK": "1", **environment}
    return clone.shell(f"export PATH=$PWD/bin:$PATH; bash cluster/{name}.sh", **slurm)


def test_the_job_scripts_agree_with_what_they_run():
    (folds,) = re.findall(r"^  folds: (\d+)$", PAGE, re.M)
    assert asked("folds")["array"] == f"0-{int(folds) - 1}"
    (shards,) = re.findall(r'--shard "\$SLURM_ARRAY_TASK_ID/(\d+)"', PAGE)
    assert asked("infer")["array"] == f"1-{shards}"
    (threads,) = re.findall(r"--set runtime\.threads=(\d+)", PAGE)
    assert asked("dask")["cpus-per-task"] == threads
    for name in ("train", "folds", "infer"):
        assert asked(name)["signal"].startswith("TERM@"), "to the step, not to the shell"


@pytest.mark.slow
def test_a_job_goes_on_after_its_time_is_up_and_folds_and_shards_are_whole(cluster):
    told = []
    for block in BLOCKS:
        ran = cluster.shell(block)
        assert ran.code == 0, ran.err
        told.append(ran.err)
    assert "memory" in told[1], "of the dry run"
    run, calls = cluster.folder / "cluster/run", cluster.folder / "calls"

    assert time_is_up(cluster, "train", run / "fold0/history.csv") == 143
    assert calls.read_text().splitlines()[-1] == "scontrol requeue 7"
    again = submit(cluster, "train")
    assert again.code == 0, again.err
    assert len(json.loads((run / "fold0/run.json").read_text())["resumed"]) == 1

    for fold in ("0", "1", "2"):
        ran = submit(cluster, "folds", SLURM_ARRAY_TASK_ID=fold)
        assert ran.code == 0, ran.err
    weights = [(run / f"fold{fold}/model/model.weights.h5").read_bytes() for fold in range(3)]
    ran = submit(cluster, "sum")
    assert ran.code == 0, ran.err
    assert [(run / f"fold{n}/model/model.weights.h5").read_bytes() for n in range(3)] == weights
    assert json.loads((run / "folds.json").read_text())

    for shard in ("1", "2", "3", "4"):
        ran = submit(cluster, "infer", SLURM_ARRAY_TASK_ID=shard)
        assert ran.code == 0, ran.err
    masks = cluster.folder / "cluster/masks"
    assert len(list(masks.glob("masks/*.png"))) == 9
    assert len(list(masks.glob("summary_*_of_4.csv"))) == 4

    ran = submit(cluster, "dask")
    assert ran.code == 0, ran.err
    for mask in masks.glob("masks/*.png"):
        shared = cluster.folder / "cluster/shared/masks" / mask.name
        assert shared.read_bytes() == mask.read_bytes()

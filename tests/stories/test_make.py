"""The targets of the Makefile, and the demo that one of them runs."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")


def make(*words):
    """What make says, as if no other make had started it."""
    command = ["make", "--no-print-directory", *words]
    inherited = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "ARGS", "CONFIG")
    env = {name: value for name, value in os.environ.items() if name not in inherited}
    ran = subprocess.run(
        command, cwd=REPOSITORY, env=env, capture_output=True, text=True, check=True
    )
    return ran.stdout.replace("\\\n", "")


def dry_run(*words):
    """The commands that make would run in a finished environment."""
    return make("--dry-run", "-o", ".venv/.installed", *words).splitlines()


def test_verbs_run_in_the_order_typed_each_one_command():
    verbs = ("tile", "train", "evaluate", "infer", "tiled-infer")

    lines = dry_run(*verbs, "CONFIG=a.yaml", "ARGS=--overwrite --json")

    assert lines == [
        f".venv/bin/python -m cervseg {command} a.yaml --overwrite --json"
        for command in ("dataset-tile", "train", "evaluate", "infer", "tiled-infer")
    ]


def test_verbs_take_the_reference_material_by_default():
    assert dry_run("train") == [".venv/bin/python -m cervseg train configs/metaplastic.yaml "]


def test_tests_leave_the_slow_ones_out_and_test_all_demands_coverage():
    assert re.search("-m pytest .*-m 'not slow'", dry_run("test")[0])
    assert "not slow" not in "".join(dry_run("test-all"))
    assert dry_run("test-all")[-1].endswith("coverage report --fail-under=90")


def test_check_is_lint_format_and_types():
    tools = [Path(line.split()[0]).name for line in dry_run("check")]

    assert tools == ["ruff", "ruff", "mypy"]


def test_the_site_hears_its_warnings():
    """Strict counts what is logged, and `--quiet` logs no warning."""
    assert dry_run("docs")[0].endswith("/mkdocs build")


def test_make_alone_lists_every_target():
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split())

    assert set(re.findall(r"^make (\S+)", make(), re.MULTILINE)) == targets


def test_ci_runs_these_targets_and_nothing_else():
    lines = (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8").splitlines()

    assert [line for line in lines if line.startswith("make")] == ["make check", "make test"]
    assert (REPOSITORY / ".ci" / "run").stat().st_mode & 0o111


SMALL = """\
data:
  output: tiles
  source: {images: fields/images, masks: fields/masks}
  split: {kind: lists, train: ["field_00[12]"], valid: [field_003], test: [field_004]}
  scale: 0.125
  tile_size: 64
model: {base_filters: 4, num_layers: 3}
train: {output: run, epochs: 1, steps_per_epoch: 2, previews: {num_infer_images: 0}}
tiled_infer: {images: fields/images, output: masks}
"""


@pytest.mark.slow
def test_the_demo_ends_with_scores_and_overlays_and_can_be_repeated(tmp_path):
    (tmp_path / "small.yaml").write_text(SMALL)
    demo = [sys.executable, REPOSITORY / "scripts" / "demo.py", "--config", "small.yaml"]

    for _ in range(2):
        ran = subprocess.run(
            [*demo, "--fields", "4"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr

    typed = re.findall(r"^\$ (cervseg .*)$", ran.stderr, re.MULTILINE)
    assert [line.split()[1] for line in typed] == [
        "dataset-tile", "train", "evaluate", "tiled-infer"
    ]  # fmt: skip
    first, *rest = ran.stdout.splitlines()
    assert first == "Dice on 1 held-out fields, tiles stitched at full size"
    assert re.search(r"^  this model +0\.\d{3}  \(95 % interval", ran.stdout, re.MULTILINE)
    assert re.search(r"^  best single threshold +0\.\d{3}  \(\w+ (above|at most) \d+\)", ran.stdout, re.MULTILINE)  # fmt: skip # noqa: E501
    assert re.search(r"^\d+ seconds .* at most \d\.\d GB of memory$", ran.stdout, re.MULTILINE)
    overlays = rest[rest.index("overlays") + 1 :]
    assert overlays[-1] == "  masks/overlays/field_004.jpg"
    assert all((tmp_path / path.strip()).is_file() for path in overlays)


@pytest.mark.slow
def test_the_demo_stops_where_a_step_fails(tmp_path):
    (tmp_path / "small.yaml").write_text(SMALL.replace("field_004", "field_009"))
    demo = [sys.executable, REPOSITORY / "scripts" / "demo.py", "--config", "small.yaml"]

    ran = subprocess.run(
        [*demo, "--fields", "3"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert (ran.returncode, ran.stdout) == (2, "")
    assert "'data.split.test': 'field_009' matches no image" in ran.stderr
    assert "cervseg train" not in ran.stderr

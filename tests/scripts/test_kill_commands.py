"""The quick part of the harness: each of the cheap commands killed twice, once within a write."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts/kill_commands.py"

pytestmark = pytest.mark.slow


def test_a_command_killed_anywhere_goes_on_to_the_same_files():
    words = ["--kills", "6", "--writes", "3", "--only", "dataset-tile", "train", "tiled-infer"]

    ran = subprocess.run([sys.executable, str(SCRIPT), *words], capture_output=True, text=True)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    table = ran.stdout.splitlines()[-3:]
    for row, name in zip(table, ("dataset-tile", "train", "tiled-infer"), strict=True):
        command, kills, within, *_, lost = row.split()
        assert (command, kills, lost) == (name, "2", "0")
        assert int(within) >= 1

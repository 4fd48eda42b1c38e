import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "measure_many.py"


@pytest.mark.slow
def test_each_command_has_a_row_for_each_number_of_fields():
    done = subprocess.run([sys.executable, SCRIPT, "--fields", "10", "15", "--side", "96"],
                          capture_output=True, text=True, check=False)  # fmt: skip
    rows = [
        [cell.strip(" `") for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines()
    ]

    assert done.returncode == 0, done.stderr
    assert [row[:2] for row in rows[2:]] == [
        [command, count] for count in ("10", "15")
        for command in ("dataset-tile", "train", "evaluate", "tiled-infer")
    ]  # fmt: skip
    assert all(row[3] == "" for row in rows[2:6]) and all(row[3] for row in rows[6:])
    assert all(float(row[2]) > 0 and float(row[4]) > 50 for row in rows[2:])

import re
import runpy
from pathlib import Path

import pytest

from cervseg.config.keys import all_keys, section_models

REPOSITORY = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(REPOSITORY / "scripts" / "make_config_table.py"))
main, render = SCRIPT["main"], SCRIPT["render"]


def rows(page):
    """The cells of each row by section and key."""
    found, section = {}, ""
    for line in page.splitlines():
        if line.startswith("##"):
            section = re.findall(r"`(.+?)`", line)[0]
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if line.startswith("| `"):
            found[f"{section}.{cells[0].strip('`')}"] = cells[1:]
    return found


def test_the_page_in_docs_is_fresh(capsys):
    assert main(["--check"]) == 0, capsys.readouterr().err


def test_a_stale_or_missing_page_fails_the_check(tmp_path, capsys):
    page = tmp_path / "page.md"

    assert main(["--check", "--output", str(page)]) == 1
    assert not page.exists()
    assert main(["--output", str(page)]) == 0
    assert main(["--check", "--output", str(page)]) == 0
    page.write_text(page.read_text() + " ")
    capsys.readouterr()
    assert main(["--check", "--output", str(page)]) == 1
    assert capsys.readouterr().err == (
        f"{page} is stale: run python scripts/make_config_table.py\n"
    )


def test_every_key_has_a_row():
    leaves = [key.dotted for key in all_keys() if not section_models(key.field.annotation)]

    assert set(rows(render())) == set(leaves)


@pytest.mark.parametrize(
    ("key", "value", "default"),
    [
        ("train.epochs", "whole number from 1 to 1000000", "`100`"),
        ("train.output", "path", "`runs/cervseg`"),
        ("train.schedule", "`flat`, `plateau`, `cosine`, `polynomial`, `step`", "`plateau`"),
        ("model.base_kernels", "[whole number, whole number]", "`[3, 3]`"),
        ("model.size", "`b0`, `b1`, `b2`", "`b0`"),
        ("data.scale", "number above 0 to 8", "`1.0`"),
        ("data.source.images", "path", "required"),
        ("data.classes", "mapping of names to text", "`{cell: '#00ff00'}`"),
        ("data.extra_scales", "list: number above 0 to 8", "`[]`"),
        ("infer.model", "path or list: path", "`[]`"),
        ("tiled_infer.overlap", "whole number or `auto`", "`auto`"),
        ("train.clip_norm", "number above 0", ""),
        ("runtime.seed", "whole number from 0 below 2147483648", "`0`"),
    ],
)
def test_a_row_tells_values_and_default(key, value, default):
    assert rows(render())[key][:2] == [value, default]

import runpy
from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "scripts"
SCRIPT = runpy.run_path(str(SCRIPTS / "fine_tuning_curve.py"))


def row(start, size, seed, *, dice):
    return {"start": start, "size": size, "seed": seed, "dice": dice, "iou": 0.1,
            "cell_recall": 0.2, "cell_match": dice / 2}  # fmt: skip


ROWS = [
    row(start, size, seed, dice=(size + seed) / 20)
    for start in SCRIPT["STARTS"] for size in SCRIPT["SIZES"] for seed in range(2)
]  # fmt: skip


def test_no_scored_field_has_a_block_in_common_with_a_learned_one():
    blocks = [{int(name[-3:]) // 3 for name in SCRIPT[names]} for names in ("SCORED", "LEARNED")]

    assert not blocks[0] & blocks[1]
    assert (len(SCRIPT["SCORED"]), len(SCRIPT["LEARNED"])) == (6, 12)


def test_the_table_has_means_and_the_range_over_seeds():
    lines = list(SCRIPT["as_table"](ROWS))

    assert lines[2] == "| 2 |" + " 0.125 (0.100 to 0.150), 0.06 |" * 3
    assert len(lines) == 2 + len(SCRIPT["SIZES"])


def test_the_curve_is_drawn(tmp_path):
    SCRIPT["plot"](tmp_path / "curve.png", ROWS)

    assert (tmp_path / "curve.png").stat().st_size > 5000

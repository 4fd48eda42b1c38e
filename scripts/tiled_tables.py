"""What `scripts/benchmark_tiled.py` measured, as numbers and as tables."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Row:
    """A method with one network.

    Args:
        name: For people.
        precision: float32 or bfloat16.
        facts: From getting ready.
        turns: What each turn measured.
        failure: Why it was not measured.
    """

    name: str
    precision: str
    facts: dict[str, Any] = field(default_factory=dict)
    turns: list[dict[str, float]] = field(default_factory=list)
    failure: str = ""

    def median(self, key: str) -> float:
        """Of all turns."""
        return statistics.median(turn[key] for turn in self.turns)

    def times_faster(self, than: "Row") -> float | None:
        """Median over the turns of the other's seconds by ours."""
        if not self.turns or not than.turns:
            return None
        pairs = zip(than.turns, self.turns, strict=True)
        return statistics.median(slow["road"] / fast["road"] for slow, fast in pairs)

    def overhead(self, tiles: int) -> float:
        """What the road takes beyond the bare forward of its tiles, as a share of that."""
        return statistics.median(t["road"] / (tiles * t["forward"]) - 1 for t in self.turns)


def digest(found: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of one network, as the tables and the document have them."""
    rows: list[Row] = found["rows"]
    tiles, rates = found["tiles"], found["rates"]
    measured = {kind: rates.median(kind) for kind in rates.turns[0]} if rates.turns else {}
    best = max(measured.values(), default=None)
    product = None if best is None else found["gflop"] / best
    naive, monai = rows[0], rows[1]
    methods = []
    for row in rows:
        told: dict[str, Any] = {"name": row.name, "precision": row.precision}
        if row.failure:
            methods.append({**told, "failure": row.failure})
            continue
        forward = row.median("forward")
        told |= {
            "seconds": row.median("road"),
            "seconds_a_tile": row.median("road") / tiles,
            "times_naive": row.times_faster(naive),
            "times_monai": row.times_faster(monai),
            "forward_a_tile": forward,
            "overhead": row.overhead(tiles),
            "forward_over_product": None if product is None else forward / product,
            **row.facts,
            "turns": row.turns,
        }
        methods.append(told)
    kept = {key: value for key, value in found.items() if key not in ("rows", "rates", "machine")}
    return {**kept, "gflop_per_second": measured, "product_a_tile": product, "methods": methods}


def tell(document: Mapping[str, Any], *, markdown: bool) -> str:
    """All tables of a document."""
    parts = []
    for found in document["networks"]:
        rates = ", ".join(f"{kind} {rate:.0f}" for kind, rate in found["gflop_per_second"].items())
        product = found["product_a_tile"]
        parts.append(
            f"{found['network']}: {found['parameters'] / 1e6:.1f} M parameters, "
            f"{found['gflop']:.1f} GFLOP a tile; {found['tiles']} tiles of {document['tile']} that "
            f"share {found['overlap']}, in batches of {found['batch']}; "
            f"matrix product {rates or 'not measured'} "
            f"GFLOP/s" + (f", so {1e3 * product:.0f} ms a tile" if product else "")
        )
        parts.append(layout(main_table(found), markdown=markdown))
        if split := split_of(found):
            parts.append(split)
        if len(forecasts := forecast_table(found)) > 1:
            parts.append("`--dry-run` beside the truth, one field, the whole command:")
            parts.append(layout(forecasts, markdown=markdown))
    facts = ", ".join(f"{name} {value}" for name, value in document["machine"].items())
    repeats, (height, width) = document["repeats"], document["size"]
    parts.append(
        f"{document['fields']} field(s) of {height} x {width}, medians of {repeats} turns; {facts}"
    )
    return "\n\n".join(parts)


def main_table(found: Mapping[str, Any]) -> list[list[str]]:
    """A row a method."""
    table = [[
        "method", "precision", "seconds", "ms a tile", "x naive", "x MONAI", "forward, ms a tile",
        "beyond it", "forward / product", "peak memory", "differs by",
    ]]  # fmt: skip
    for one in found["methods"]:
        if "failure" in one:
            table.append([one["name"], one["precision"], one["failure"], *[""] * 8])
            continue
        table.append([
            one["name"], one["precision"], f"{one['seconds']:.2f}",
            f"{1e3 * one['seconds_a_tile']:.1f}",
            _number(one["times_naive"], ".2f"), _number(one["times_monai"], ".2f"),
            f"{1e3 * one['forward_a_tile']:.1f}", f"{one['overhead']:+.0%}",
            _number(one["forward_over_product"], ".2f"), f"{one['peak'] / 1e9:.2f} GB",
            f"{one['difference']:.0e}",
        ])  # fmt: skip
    return table


def split_of(found: Mapping[str, Any]) -> str:
    """The naive loop's seconds, divided; nothing where it failed."""
    naive = found["methods"][0]
    if "failure" in naive:
        return ""
    forward = naive["forward_a_tile"] * found["tiles"]
    beyond = naive["seconds"] - forward
    return f"of the naive loop's {naive['seconds']:.2f} s, {forward:.2f} are forward, " \
           f"{beyond:.2f} overhead"  # fmt: skip


def forecast_table(found: Mapping[str, Any]) -> list[list[str]]:
    """Memory and time of each of ours: forecast, truth, and how far off."""
    table = [["method", "precision", "memory forecast", "truth", "off", "time forecast", "truth",
              "off"]]  # fmt: skip
    for one in found["methods"]:
        if "forecast" not in one:
            continue
        guess, truth = one["forecast"], one["truth"]
        cells = [one["name"], one["precision"]]
        for key, unit, scale in (("memory", "GB", 1e9), ("seconds", "s", 1.0)):
            cells += [f"{guess[key] / scale:.2f} {unit}", f"{truth[key] / scale:.2f} {unit}",
                      f"{guess[key] / truth[key] - 1:+.0%}"]  # fmt: skip
        table.append(cells)
    return table


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def layout(rows: Sequence[Sequence[str]], *, markdown: bool) -> str:
    """A table for the terminal, or for a page."""
    if markdown:
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])
    # What is said instead of numbers may be long, and does not widen the third column.
    widths = [
        max(len(row[i]) for row in rows if i != 2 or any(row[3:])) for i in range(len(rows[0]))
    ]
    return "\n".join(
        "  ".join(cell.ljust(n) for cell, n in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def tell_line(document: Mapping[str, Any], *, markdown: bool) -> str:
    """Seconds against tiles."""
    rows = [["image", "tiles", "seconds", "ms a tile"]]
    rows += [
        [f"{one['side']} x {one['side']}", str(one["tiles"]), f"{one['seconds']:.2f}",
         f"{1e3 * one['seconds'] / one['tiles']:.1f}"]
        for one in document["rows"]
    ]  # fmt: skip
    facts = ", ".join(f"{name} {value}" for name, value in document["machine"].items())
    fit = f"R² {document['r2']:.5f}, {1e3 * document['seconds_a_tile']:.1f} ms a tile more"
    return f"{layout(rows, markdown=markdown)}\n\nlite_unet, {document['engine']}: {fit}\n{facts}"


def tell_seams(document: Mapping[str, Any]) -> str:
    """The scores under a picture."""
    naive, ours, there = (_number(document[key], ".2f") for key in ("naive", "ours", "ours_there"))
    return f"{document['picture']}: seams {naive} of resized tiles, {ours} of cervseg, which has " \
           f"{there} where the resized tiles meet"  # fmt: skip

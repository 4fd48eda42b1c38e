"""What a dataset holds, counted by split or by fold."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from cervseg.classes import Classes
from cervseg.data.checks import tell_inverted
from cervseg.data.cutting import Cut
from cervseg.data.fields import SPLITS
from cervseg.reports import JSON, Table


def count_cuts(cuts: Sequence[Cut]) -> dict[str, dict[str, JSON]]:
    """Images, groups, tiles and foreground of each split, or of each fold."""
    folds = sorted({int(cut.source.fold) for cut in cuts if cut.source.fold})
    if folds:
        return {
            f"fold {fold}": _count_fold([c for c in cuts if c.source.fold == str(fold)])
            for fold in folds
        }
    return {split: _count_split([c for c in cuts if c.source.split == split]) for split in SPLITS}


def _count_split(cuts: Sequence[Cut]) -> dict[str, JSON]:
    kinds = Counter(row.kind for cut in cuts for row in cut.tiles)
    return {
        "images": len(cuts),
        "groups": len({cut.source.group for cut in cuts}),
        "tiles": kinds["window"],
        "reduced": kinds["reduced"],
        "empty_dropped": sum(cut.dropped for cut in cuts),
        "foreground": _mean([cut.source.foreground for cut in cuts]),
    }


def _count_fold(cuts: Sequence[Cut]) -> dict[str, JSON]:
    forms = Counter(row.split for cut in cuts for row in cut.tiles)
    return {
        "images": len(cuts),
        "with_foreground": sum(cut.source.foreground > 0 for cut in cuts),
        "groups": len({cut.source.group for cut in cuts}),
        "training_tiles": forms["train"],
        "validation_tiles": forms["valid"],
        "empty_dropped": sum(cut.dropped for cut in cuts),
        "foreground": _mean([cut.source.foreground for cut in cuts]),
    }


def _mean(shares: Sequence[float]) -> float:
    return float(np.mean(shares)) if shares else 0.0


def tally_table(counts: dict[str, dict[str, JSON]]) -> Table:
    """The counts for the eye."""
    names = [name.replace("_", " ") for name in next(iter(counts.values()))]
    rows = []
    for part, values in counts.items():
        *whole_numbers, share = values.values()
        assert isinstance(share, float)
        rows.append((part, *map(str, whole_numbers), f"{share:.2%}"))
    return Table("dataset", ("fold" if "fold 0" in counts else "split", *names), tuple(rows))


def cut_notices(cuts: Sequence[Cut], classes: Classes) -> list[str]:
    """What deserves a sentence."""
    inverted = tell_inverted([(cut.source.foreground, cut.edges) for cut in cuts], classes)
    notices = [inverted] if inverted else []
    changed = _mean([cut.changed for cut in cuts])
    if changed:
        notices.append(
            f"{changed:.2%} of the mask pixels had no exact class value and were decided by "
            "threshold or nearest colour (JPEG noise, soft edges)"
        )
    padding = _mean([cut.padding for cut in cuts if cut.tiles])
    if padding:
        notices.append(f"{padding:.1%} of the tile pixels are padding, reflected and ignored")
    counts = count_cuts(cuts)
    empty = [split for split in SPLITS if counts.get(split, {}).get("images") == 0]
    if empty:
        notices.append(f"no image in split {' and '.join(empty)}")
    poor = [part for part, held in counts.items() if held["images"] and held["foreground"] == 0]
    if poor:
        notices.append(f"no foreground in {' and '.join(poor)}: scores there say nothing of cells")
    return notices

"""What a translation of an old file gathers: our settings, remarks, notices."""

import difflib
from collections.abc import Callable
from functools import cache
from typing import Literal, NamedTuple, TypeVar

from cervseg.config.keys import all_keys
from cervseg.config.legacy.ini import MISSING, Entry, Missing, OldConfig
from cervseg.config.legacy.keys import LATER
from cervseg.reports import JSON

T = TypeVar("T")
D = TypeVar("D")
Where = tuple[str, str]


class Setting(NamedTuple):
    """A value of ours, the old key it comes from, and what is to be said of it."""

    value: JSON
    of: Where | None
    comment: str


class Translation:
    """Gathers what an old file means.

    Args:
        old: Its values.

    Attributes:
        settings: By dotted key of ours.
        remarks: Old options that are not carried over, and why.
        notices: Sentences for the user.
        obstacles: Why trained weights would answer otherwise here.
        architecture: Of the network.
        color_order: In which the network saw its images.
        classes: How many there are.
        tile_size: Side of a tile, pixels.
    """

    def __init__(self, old: OldConfig) -> None:
        self.old = old
        self.settings: dict[str, Setting] = {}
        self.remarks: list[tuple[Entry, str]] = []
        self.notices: list[str] = []
        self.obstacles: list[str] = []
        self.architecture = "unet"
        self.color_order: Literal["RGB", "BGR"] = "BGR"
        self.classes = 1
        self.tile_size = 512

    def get(self, where: Where, read: Callable[[object], T], default: D) -> T | D:
        """Take an old value, or what the reference took without it."""
        return self.old.take(*where, read=read, default=default)

    def need(self, where: Where, read: Callable[[object], T], stand_in: D) -> T | D:
        """Take an old value without which the reference crashes; go on with a stand-in."""
        value = self.old.take(*where, read=read, default=MISSING)
        if not isinstance(value, Missing):
            return value
        if not self.old.has(*where):
            known = {entry.key: entry for entry in self.old.left() if entry.section == where[0]}
            near = difflib.get_close_matches(where[1], known, n=1, cutoff=0.7)
            meant = f"is '{near[0]}' on line {known[near[0]].line} meant?" if near else None
            self.old.blame(*where, "missing, and the reference has no default", hint=meant)
        return stand_in

    def put(self, key: str, value: JSON, of: Where | None, *, comment: str = "") -> None:
        """Set a key of ours.

        One that our schema does not have yet becomes a remark; one that the old file does not
        give is left out where the reference's default is ours too.
        """
        section, _, name = key.rpartition(".")
        kind = self.architecture if section == "model" else None
        defaults = _defaults(section, kind)
        if name not in defaults:
            if of is not None:
                self.remark(of, f"{LATER}there is no {key}")
            return
        is_given = of is None or self.old.has(*of)
        if is_given or value != defaults[name]:
            self.settings[key] = Setting(value, of, comment)

    def remark(self, where: Where, why: str) -> None:
        """Say why an old option is not carried over, if the file gives it."""
        self.old.drop(*where)
        entry = self.old.entries.get(where)
        if entry is not None:
            self.remarks.append((entry, why))

    def notice(self, where: Where, message: str) -> None:
        """Tell something worth knowing, with the line it is about."""
        entry = self.old.entries.get(where)
        place = f"{self.old.name}:{entry.line}" if entry else self.old.name
        self.notices.append(f"{place}: [{where[0]}] {where[1]}: {message}")


@cache
def _defaults(section: str, kind: str | None) -> dict[str, JSON]:
    """Our keys of a section, of one kind of it, with their defaults; lists as lists."""
    found: dict[str, JSON] = {}
    for key in all_keys():
        if key.section == section and (kind is None or not key.kinds or kind in key.kinds):
            value = key.field.default
            found.setdefault(key.name, list(value) if isinstance(value, tuple) else value)
    return found

"""What is wrong with a config, in our words: pydantic's errors rewritten, near names suggested."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from pydantic_core import ErrorDetails

from cervseg.bounds import printable, shortened
from cervseg.config.keys import DISCRIMINATORS, all_keys, names_in
from cervseg.errors import ConfigError

Raw = None | bool | int | float | str | tuple["Raw", ...] | dict[str, "Raw"]
"""What was written, lists as tuples: strict validation takes nothing else for a tuple."""

Location = tuple[str | int, ...]

_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "is_instance_of": "a path",  # the only instances in the schema
    "tuple": "a list",
    "dict": "a mapping",
    "model": "a mapping of keys",
    "finite_number": "a finite number",
}
_BOUNDS = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("at most", "le"),
}


class Place(NamedTuple):
    """Where a value was written; sorts files before `--set`, then by line."""

    rank: int
    line: int
    text: str


class Problem(NamedTuple):
    """One thing to mend."""

    place: Place
    message: str
    suggestion: str | None = None


MOST_PROBLEMS, MOST_EXPLAINED = 20, 500
"""Told of one file, and looked into: near names are searched for each, a second for 500."""


def config_error(problems: Iterable[Problem]) -> ConfigError:
    """Make one error of all problems: one line each, in the order of the file."""
    ordered = sorted(dict.fromkeys(problems), key=lambda problem: problem[:2])
    if len(ordered) == 1:
        place, message, suggestion = ordered[0]
        return ConfigError(_line(place, message), hint=suggestion)
    lines = [
        _line(place, message + (f" ({suggestion})" if suggestion else ""))
        for place, message, suggestion in ordered[:MOST_PROBLEMS]
    ]
    if len(ordered) > MOST_PROBLEMS:
        lines.append(f"  and {len(ordered) - MOST_PROBLEMS} more problems")
    return ConfigError("\n".join(lines))


def _line(place: Place, message: str) -> str:
    """A line that nothing in the file can leave or flood."""
    return f"{place.text}: {printable(shortened(message))}"


def find_problems(
    errors: Sequence[ErrorDetails], raw: Raw, places: Mapping[str, Place], *, fallback: Place
) -> list[Problem]:
    """Rewrite pydantic's first 500 errors; the several errors of one union become one.

    Args:
        errors: Of `ValidationError.errors()`.
        raw: What was validated.
        places: For each dotted key that was written, where.
        fallback: The place of what was written nowhere.
    """
    grouped: dict[Location, list[ErrorDetails]] = {}
    for error in errors[:MOST_EXPLAINED]:
        where = _written_path(error["loc"], raw, missing=error["type"] == "missing")
        grouped.setdefault(where, []).append(error)
    problems = []
    for where, group in grouped.items():
        value = _look_up(raw, where)
        fitting = [e for e in group if not _is_aftermath(e, value)]
        if not fitting:
            continue
        message, suggestion = _describe(where, value, fitting, kind=_kind_beside(raw, where))
        place = _find_place(_dotted(where), message, places) or fallback
        problems.append(Problem(place, message, suggestion))
    return problems


def _dotted(where: Iterable[str | int]) -> str:
    return ".".join(map(str, where))


def _written_path(location: Location, raw: Raw, *, missing: bool) -> Location:
    """Drop from pydantic's location the names of union members and the 0 of a lone mapping."""
    path: list[str | int] = []
    here = raw
    for i, part in enumerate(location):
        if isinstance(here, dict) and isinstance(part, str):
            if part in here or (missing and i == len(location) - 1):
                path.append(part)
                here = here.get(part)
        elif isinstance(here, tuple) and isinstance(part, int):
            path.append(part)
            here = here[part] if part < len(here) else None
    return tuple(path)


def _look_up(raw: Raw, where: Location) -> Raw:
    for part in where:
        if isinstance(raw, dict) and isinstance(part, str):
            raw = raw.get(part)
        elif isinstance(raw, tuple) and isinstance(part, int) and part < len(raw):
            raw = raw[part]
        else:
            return None
    return raw


def _kind_beside(raw: Raw, where: Location) -> str | None:
    """Which of several sections is meant; without a word the first, as in the schema."""
    section = _look_up(raw, where[:-1])
    named = [section.get(key) for key in DISCRIMINATORS] if isinstance(section, dict) else []
    told = [name for name in named if isinstance(name, str)]
    around = _dotted(part for part in where[:-1] if isinstance(part, str))
    kinds = [kind for key in all_keys() if key.section == around for kind in key.kinds]
    return next((name for name in told if name in kinds), kinds[0] if kinds else None)


def _is_aftermath(error: ErrorDetails, value: Raw) -> bool:
    """A list whose bad entries were dropped is called too short: not the user's mistake."""
    short = error["type"] == "too_short" and isinstance(value, tuple | dict)
    return short and len(value) >= error["ctx"]["min_length"]  # type: ignore[arg-type]


def _find_place(dotted: str, message: str, places: Mapping[str, Place]) -> Place | None:
    """Where the key, a key that the message names, or the nearest section around it stands."""
    named = [f"{dotted}.{name}" for name in re.findall(r"`([\w.]+)`", message)]
    found = [places[key] for key in named if key in places]
    if found:
        return max(found)
    parts = dotted.split(".")
    for n in range(len(parts), 0, -1):
        around = ".".join(parts[:n])
        inside = (place for key, place in places.items() if key.startswith(f"{around}."))
        place = places.get(around) or max(inside, default=None)
        if place:
            return place
    return None


def _describe(
    where: Location, value: Raw, group: Sequence[ErrorDetails], *, kind: str | None
) -> tuple[str, str | None]:
    """The message and the suggestion for one key."""
    name, first = _dotted(where), group[0]
    ctx = first.get("ctx", {})
    match first["type"]:
        case "extra_forbidden":
            return f"unknown key '{name}'", suggest_key(where, kind)
        case "missing" if isinstance(where[-1], int):
            needed = f"'{_dotted(where[:-1])}' must have at least {where[-1] + 1} entries"
            return f"{needed}, not {where[-1]}", None
        case "missing":
            return f"'{name}' is missing", None
        case "union_tag_not_found":
            return f"'{name}.{_unquoted(ctx['discriminator'])[0]}' is missing", None
        case "union_tag_invalid":
            choices = _unquoted(ctx["expected_tags"])
            inner = f"{name}.{_unquoted(ctx['discriminator'])[0]}"
            tag = str(ctx["tag"])
            return f"'{inner}' must be {_one_of(choices)}, not {tag!r}", _did_you_mean(tag, choices)
        case "value_error":
            return f"'{name}': {ctx['error']}", None
    choices = [choice for error in group for choice in _choices(error)]
    suggestion = _did_you_mean(value, choices) or _quotes(value, group)
    size = isinstance(value, tuple | dict) and first["type"] in ("too_short", "too_long")
    shown = len(value) if size else show(value)  # type: ignore[arg-type]  # sized: just asked
    return f"'{name}' must {_demand(group)}, not {shown}", suggestion


def _demand(group: Sequence[ErrorDetails]) -> str:
    """What a value must be: the bound that it breaks, else all types that it could have."""
    for error in group:
        ctx = error.get("ctx", {})
        if error["type"] in _BOUNDS:
            words, key = _BOUNDS[error["type"]]
            bound = int(ctx[key]) if float(ctx[key]).is_integer() else ctx[key]
            return f"be {words} {bound}"
        if error["type"] in ("too_short", "too_long"):
            words, key = {"too_short": ("least", "min_length"), "too_long": ("most", "max_length")}[
                error["type"]
            ]
            entries = "entry" if ctx[key] == 1 else "entries"
            return f"have at {words} {ctx[key]} {entries}"
    return "be " + " or ".join(dict.fromkeys(_wanted(error) for error in group))


def _wanted(error: ErrorDetails) -> str:
    if error["type"] == "literal_error":
        return _one_of(_choices(error))
    stem = error["type"].removesuffix("_type").removesuffix("_attributes").split("_from_")[0]
    return _TYPES.get(stem) or error["msg"][0].lower() + error["msg"][1:]


def _choices(error: ErrorDetails) -> list[str]:
    if error["type"] != "literal_error":
        return []
    return re.split(r", | or ", str(error["ctx"]["expected"]))


def _unquoted(text: str) -> list[str]:
    return re.findall(r"'([^']*)'", text)


def _one_of(choices: Sequence[str]) -> str:
    shown = [choice if choice[0] in "'0123456789" else repr(choice) for choice in choices]
    return shown[0] if len(shown) == 1 else f"one of {', '.join(shown)}"


def show(value: Raw) -> str:
    """A value as it stood in the file, cut short; lists and mappings by their size."""
    match value:
        case None:
            return "empty"
        case bool():
            return str(value).lower()
        case str():
            return repr(value if len(value) <= 60 else value[:59] + "…")
        case tuple():
            return f"a list of {len(value)}"
        case dict():
            return "a mapping"
    return str(value)


def _quotes(value: Raw, group: Sequence[ErrorDetails]) -> str | None:
    """Text that YAML takes for a number or a comment needs quotes: `[268]`, `#00ff00`."""
    if group[0]["type"] != "string_type" or isinstance(value, tuple | dict):
        return None
    if value is None:
        return "write text that starts with # in quotes"
    return f"write it in quotes: '{show(value)}'"


def _did_you_mean(value: Raw, choices: Sequence[str]) -> str | None:
    plain = [choice.strip("'") for choice in choices]
    close = difflib.get_close_matches(value, plain, n=1) if isinstance(value, str) else []
    return f"did you mean '{close[0]}'?" if close else None


MOST_KINDS = 4
"""How many are named where several have a key."""


def suggest_key(where: Location, kind: str | None) -> str | None:
    """Find what an unknown key was meant to be.

    A very near name of its section; else its own name or a very near one elsewhere, in the
    same part of the config if it is there; else a near name of its section.
    """
    *section, name = [str(part) for part in where if isinstance(part, str)]
    here = ".".join(section)
    having = (key for key in all_keys() if (key.section, key.name) == (here, name))
    kinds = [kind for key in having for kind in key.kinds]
    if kinds:
        told_by = next(key for key in DISCRIMINATORS if key in names_in(here))
        shown = [repr(kind) for kind in kinds[:MOST_KINDS]]
        more = f" or one of {len(kinds) - MOST_KINDS} more" if len(kinds) > MOST_KINDS else ""
        return f"only {told_by} {' or '.join(shown)}{more} has it"
    known = names_in(here, kind)
    elsewhere = {key.dotted: key.name for key in all_keys() if key.section != here}
    for cutoff in (0.8, 0.6):
        near = difflib.get_close_matches(name, known, n=1, cutoff=cutoff)
        if near:
            return f"did you mean '{near[0]}'?"
        alike = difflib.get_close_matches(name, set(elsewhere.values()), n=1, cutoff=0.8)
        found = [dotted for dotted, leaf in elsewhere.items() if leaf in alike]
        inside = [dotted for dotted in found if section and dotted.startswith(f"{section[0]}.")]
        if found:
            named = " or ".join(f"'{dotted}'" for dotted in (inside or found)[:3])
            return f"did you mean {named}?"
    return None

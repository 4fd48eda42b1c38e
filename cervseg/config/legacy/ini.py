"""The reference's INI files: sections, keys and literals with their lines; nothing is executed."""

import ast
import difflib
import re
import warnings
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

from cervseg.config.problems import Place, Problem

T = TypeVar("T")
D = TypeVar("D")

LONGEST = 2000
"""Characters of a value; the longest of the family has 200."""

LARGEST = 10**10
"""No number of the family comes near; what follows need not fear an overflow."""

_SECTION = re.compile(r"\[(.+)\]")
_OPTION = re.compile(r"(.*?)\s*[=:]\s*(.*)")


class Entry(NamedTuple):
    """One `key = value` of a file."""

    section: str
    key: str
    text: str
    line: int

    @property
    def name(self) -> str:
        """`[train] epochs`."""
        return f"[{self.section}] {self.key}"


class Missing:
    """Stands for a value that a file does not give."""


MISSING = Missing()


def parse_ini(text: str, name: str) -> tuple[list[Entry], list[Problem]]:
    """Read sections and options by the rules of Python's `configparser`, which the reference uses.

    Keys are lower-cased, `#` and `;` begin a comment line, a line that is indented more than its
    option continues the value.

    Args:
        text: The file's.
        name: The file's, for problems.

    Returns:
        Options in order, and what is wrong: what stands twice, lines that are neither.
    """
    lines: list[tuple[str, str, list[str], int]] = []
    problems: list[Problem] = []
    section, indent = None, 0
    continuing = False
    for number, raw in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        depth = len(raw) - len(raw.lstrip())
        if section is not None and continuing and depth > indent:
            lines[-1][2].append(line)
            continue
        indent = depth
        header, option = _SECTION.match(line), _OPTION.fullmatch(line)
        continuing = not header and option is not None and bool(option[1]) and section is not None
        if header:
            section = header[1]
            lines.append((section, "", [], number))
        elif continuing and option is not None and section is not None:
            lines.append((section, option[1].lower(), [option[2]], number))
        else:
            wanted = "a section in brackets" if section is None else "`key = value`"
            problems.append(_problem(name, number, f"not {wanted}: {_shown(line)}"))
    problems += _repeated(lines, name)
    entries = [Entry(s, key, "\n".join(parts), at) for s, key, parts, at in lines if key]
    return entries, problems


def _repeated(lines: list[tuple[str, str, list[str], int]], name: str) -> list[Problem]:
    first: dict[tuple[str, str], int] = {}
    problems = []
    for section, key, _, number in lines:
        before = first.setdefault((section, key), number)
        if before != number:
            what = f"[{section}] {key}".rstrip()
            message = f"{what} stands twice, first on line {before}"
            hint = "remove one: the reference reads nothing at all of such a file"
            problems.append(_problem(name, number, message, hint=hint))
    return problems


def _problem(name: str, line: int, message: str, *, hint: str | None = None) -> Problem:
    return Problem(Place(0, line, f"{name}:{line}"), message, hint)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:59] + "…")


def read_literal(text: str) -> object:
    """Read a number, text, True, False, None, or lists of them; never a name or a call.

    Raises:
        ValueError: It is anything else, or longer than 2000 characters.
    """
    if len(text) > LONGEST:
        raise ValueError(f"longer than {LONGEST} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of `"\d"`, say
            value: object = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as exc:
        raise ValueError("no literal") from exc
    return value


def _mend(text: str) -> str | None:
    """What a value that can't be read may have been meant to be."""
    near = difflib.get_close_matches(text, ("True", "False", "None"), n=1)
    if near:
        return f"did you mean {near[0]}?"
    if re.fullmatch(r"[A-Za-z_][\w.]*", text):
        return f'write it in quotes: "{text}"'
    if re.fullmatch(r"[\[(]\s*[-+.\d]+(\s+[-+.\d]+)+\s*[\])]", text):
        return "write commas between the numbers"
    return "only numbers, text in quotes, True, False, None and lists of them are read"


class OldConfig:
    """The values of an old file, each taken once and by its type.

    Args:
        text: The file's.
        name: The file's, for problems.
        fallbacks: What the reference took for lists it could not read, by section and key.

    Attributes:
        problems: What is wrong, gathered so that all is told at once.
        entries: Every option, by section and key.
        fallen: Options that have their fallback.
    """

    def __init__(
        self, text: str, name: str, fallbacks: dict[tuple[str, str], tuple[float, ...]]
    ) -> None:
        self.name = name
        entries, self.problems = parse_ini(text, name)
        self.entries = {(e.section, e.key): e for e in entries}
        self.fallen: dict[tuple[str, str], tuple[float, ...]] = {}
        self._values: dict[tuple[str, str], object] = {}
        self._taken: set[tuple[str, str]] = set()
        for where, entry in self.entries.items():
            try:
                self._values[where] = read_literal(entry.text)
            except ValueError as exc:
                mend = _mend(entry.text.strip())
                if where in fallbacks and mend and "commas" in mend:
                    self.fallen[where] = self._values[where] = fallbacks[where]
                    continue
                self._values[where] = MISSING  # told once, not also as of a wrong type
                self.blame(*where, f"can't read {_shown(entry.text)}: {exc}", hint=mend)

    def blame(self, section: str, key: str, message: str, *, hint: str | None = None) -> None:
        """Note a problem at an option, or at the file where the option isn't there."""
        entry = self.entries.get((section, key))
        place = Place(0, entry.line, f"{self.name}:{entry.line}") if entry else self.place()
        self.problems.append(Problem(place, f"[{section}] {key}: {message}", hint))

    def place(self) -> Place:
        """The file as a whole."""
        return Place(0, 0, self.name)

    def has(self, section: str, key: str) -> bool:
        """Whether the file gives this option."""
        return (section, key) in self.entries

    def has_section(self, section: str) -> bool:
        """Whether the file gives any option of this section."""
        return any(entry.section == section for entry in self.entries.values())

    def take(self, section: str, key: str, *, read: Callable[[object], T], default: D) -> T | D:
        """Take a value by its type; one that is not there gives the default.

        A value of a wrong type is a problem, and gives the default too.
        """
        self._taken.add((section, key))
        value = self._values.get((section, key), MISSING)
        if isinstance(value, Missing):
            return default
        try:
            return read(value)
        except ValueError as exc:
            self.blame(section, key, f"must be {exc}, not {_shown(str(value))}")
            return default

    def drop(self, section: str, key: str) -> None:
        """Count an option as dealt with."""
        self._taken.add((section, key))

    def is_off(self, section: str, key: str) -> bool:
        """Whether an option is absent, False, None, 0 or empty."""
        value = self._values.get((section, key))
        return isinstance(value, Missing) or not value

    def asked(self, section: str) -> list[str]:
        """The options of a section that were taken, given or not."""
        return sorted(key for here, key in self._taken if here == section)

    def left(self) -> list[Entry]:
        """Options that nobody has taken, in the order of the file."""
        return [entry for where, entry in self.entries.items() if where not in self._taken]


# Readers: each takes a literal and says in its error what it wanted.


def whole(value: object) -> int:
    """A whole number of at most ten digits."""
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= LARGEST:
        raise ValueError("a whole number")
    return value


def number(value: object) -> float:
    """A finite number below 10^10."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("a number")
    if not abs(value) < LARGEST:
        raise ValueError("a number below 10^10")
    return value


def flag(value: object) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise ValueError("True or False")
    return value


def text(value: object) -> str:
    """Text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("text in quotes")
    return value


def optional(read: Callable[[object], T]) -> Callable[[object], T | None]:
    """A reader that takes None as well."""

    def read_or_none(value: object) -> T | None:
        return None if value is None else read(value)

    return read_or_none


def several(read: Callable[[object], T]) -> Callable[[object], tuple[T, ...]]:
    """A list or tuple of what `read` takes."""

    def read_list(value: object) -> tuple[T, ...]:
        if not isinstance(value, list | tuple):
            raise ValueError("a list")
        try:
            return tuple(read(entry) for entry in value)
        except ValueError as exc:
            raise ValueError(f"a list with each entry {exc}") from exc

    return read_list


def pair(value: object) -> tuple[int, int]:
    """Two whole numbers."""
    numbers = several(whole)(value) if isinstance(value, list | tuple) else ()
    if len(numbers) != 2:
        raise ValueError("two whole numbers")
    return numbers[0], numbers[1]


def one_of(choices: Mapping[str, T]) -> Callable[[object], T]:
    """A word of a table."""

    def read_choice(value: object) -> T:
        if not isinstance(value, str) or value not in choices:
            near = difflib.get_close_matches(str(value), choices, n=1)
            raise ValueError(f"'{near[0]}'" if near else f"one of {', '.join(choices)}")
        return choices[value]

    return read_choice

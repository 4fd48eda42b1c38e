"""YAML 1.2, core schema: text to plain values with the line of each key, and back."""

import re
from collections.abc import Hashable
from dataclasses import dataclass, field

import yaml

from cervseg.reports import JSON

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]

MAX_DEPTH = 50
MAX_NODES = 20_000
"""After aliases are expanded: a list of lists of aliases would else fill the memory."""

_NULL = {"", "~", "null", "Null", "NULL"}
_BOOLEAN = dict.fromkeys(("true", "True", "TRUE"), True) | dict.fromkeys(
    ("false", "False", "FALSE"), False
)
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


class YamlError(ValueError):
    """The text is not the YAML we take; caught by the loader, which knows the file."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True)
class Document:
    """A parsed text.

    Args:
        value: What it says; None where it is empty.
        lines: For each dotted key (list entries by index) its line, from 1.
        duplicates: Line, dotted key and first line of each key that stands twice.
    """

    value: Plain
    lines: dict[str, int] = field(default_factory=dict)
    duplicates: list[tuple[int, str, int]] = field(default_factory=list)


def parse_yaml(text: str) -> Document:
    """Read one YAML document.

    Raises:
        YamlError: It is no YAML, has a tag, a key that is no text, or expands too far.
    """
    try:
        _check_events(text)
        root = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        said = [exc.context] if (exc.problem or "but").startswith("but") else []
        reason = ", ".join(part for part in (*said, exc.problem) if part) or "broken"
        raise YamlError(mark.line + 1 if mark else 1, f"not valid YAML: {reason}") from exc
    except yaml.reader.ReaderError as exc:
        line = text.count("\n", 0, exc.position) + 1
        raise YamlError(line, "not valid YAML: a control character") from exc
    if root is None:
        return Document(None)
    walk = _Walk()
    return Document(walk.value(root, ()), walk.lines, walk.duplicates)


def _check_events(text: str) -> None:
    """Refuse tags, deep nesting and too many values before the reader that keeps all meets them."""
    depth = nodes = 0
    for event in yaml.parse(text, Loader=yaml.BaseLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        tag = getattr(event, "tag", None)  # aliases have none
        if isinstance(event, yaml.NodeEvent) and tag:
            raise YamlError(line, f"tags like {tag!r} are not supported")
        nodes += isinstance(event, yaml.NodeEvent)
        if nodes > 2 * MAX_NODES:  # keys and values
            raise YamlError(line, f"more than {MAX_NODES} values")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise YamlError(line, f"nested more than {MAX_DEPTH} deep")


class _Walk:
    """Turns nodes into values and counts them."""

    def __init__(self) -> None:
        self.lines: dict[str, int] = {}
        self.duplicates: list[tuple[int, str, int]] = []
        self._open: set[int] = set()
        self._count = 0

    def value(self, node: yaml.Node, path: tuple[str, ...]) -> Plain:
        line = node.start_mark.line + 1
        self._count += 1
        if self._count > MAX_NODES:
            raise YamlError(line, f"aliases expand to more than {MAX_NODES} values")
        if len(path) > MAX_DEPTH:
            raise YamlError(line, f"nested more than {MAX_DEPTH} deep")
        if isinstance(node, yaml.ScalarNode):
            return plain_value(node.value) if node.style is None else str(node.value)
        if id(node) in self._open:
            raise YamlError(line, "an anchor contains itself")
        self._open.add(id(node))
        inner = self._mapping if isinstance(node, yaml.MappingNode) else self._sequence
        result = inner(node, path)
        self._open.discard(id(node))
        return result

    def _sequence(self, node: yaml.Node, path: tuple[str, ...]) -> Plain:
        values: list[Plain] = []
        for i, entry in enumerate(node.value):
            inner = (*path, str(i))
            self.lines[".".join(inner)] = entry.start_mark.line + 1
            values.append(self.value(entry, inner))
        return values

    def _mapping(self, node: yaml.Node, path: tuple[str, ...]) -> Plain:
        values: dict[str, Plain] = {}
        for key, entry in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or not key.value:
                raise YamlError(line, "a key must be text")
            inner = (*path, str(key.value))
            dotted = ".".join(inner)
            if key.value in values:
                self.duplicates.append((line, dotted, self.lines[dotted]))
            else:
                self.lines[dotted] = line
            values[key.value] = self.value(entry, inner)
        return values


def plain_value(text: str) -> Plain:
    """Resolve an unquoted scalar by the core schema; `off`, `no`, `12:30` are text."""
    if text in _NULL:
        return None
    if text in _BOOLEAN:
        return _BOOLEAN[text]
    if _INTEGER.fullmatch(text) and len(text) < 100:  # Python refuses to read thousands of digits
        digits = text.lstrip("+-")
        base = {"0o": 8, "0x": 16}.get(digits[:2], 10)
        return int(text[2:], base) if base != 10 else int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _INFINITE.fullmatch(text):
        return float(text.replace(".", ""))
    return text


class _Dumper(yaml.SafeDumper):
    """Quotes all text that our reader, or a YAML 1.1 reader, would take for something else."""

    def ignore_aliases(self, data: Hashable) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    plain = isinstance(plain_value(text), str) and text.isprintable()
    style = None if plain else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def format_yaml(value: JSON) -> str:
    """Write values as YAML that reads back equal; innermost lists and mappings on one line."""
    return yaml.dump(
        value,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=None,
        width=100,
    )


def format_value(value: JSON) -> str:
    """Write one value on one line, fit to stand in `[…]` or `{…}`."""
    listed = yaml.dump(
        [value],
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=True,
        width=1_000_000,
    )
    return listed.strip()[1:-1]

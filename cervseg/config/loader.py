"""Reads a config: YAML, `--set`, where each value came from; all errors at once, with lines."""

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from cervseg.bounds import shortened
from cervseg.config import Config
from cervseg.config.keys import is_section
from cervseg.config.problems import Place, Problem, Raw, config_error, find_problems, show
from cervseg.config.syntax import Document, Plain, YamlError, format_yaml, parse_yaml
from cervseg.errors import ConfigError

DEFAULT = "default"

LARGEST = 1_000_000
"""Bytes of a config; the largest that comes along has 5000."""


@dataclass(frozen=True)
class Loaded:
    """A config and where it came from.

    Args:
        config: All values.
        origins: For each leaf key `default`, `configs/x.yaml:12` or `--set`.
        path: The file, if any.
    """

    config: Config
    origins: dict[str, str]
    path: Path | None


@dataclass
class _Written:
    """What the file and the `--set` options say, before it is checked."""

    raw: dict[str, Raw] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def load_config(path: Path | str | None = None, overrides: Sequence[str] = ()) -> Loaded:
    """Load and check a config.

    Args:
        path: A YAML file; without one all values are defaults.
        overrides: `section.key=value` each, values as in YAML; the last one counts.

    Raises:
        ConfigError: Anything is wrong; it lists all that is, with lines and suggestions.
    """
    written = _Written()
    if path is not None:
        _read_file(Path(path), written)
    for rank, text in enumerate(overrides, start=1):
        _apply_override(text, rank, written)
    raw = _without_empty_sections(written.raw)
    try:
        config = Config.model_validate(raw, strict=True)
    except ValidationError as exc:
        fallback = Place(0, 0, str(path) if path is not None else "config")
        errors = [
            error
            for error in exc.errors(include_url=False)
            if error["type"] != "default_factory_not_called"  # it follows from another
        ]
        found = find_problems(errors, raw, written.places, fallback=fallback)
        raise config_error([*written.problems, *found]) from exc
    if written.problems:
        raise config_error(written.problems)
    return Loaded(config, _origins(config, written), Path(path) if path else None)


def as_config(config: Config | Path | str | None) -> Config:
    """Take a config as it is, or load the file; None: all defaults."""
    return config if isinstance(config, Config) else load_config(config).config


def _read_file(path: Path, written: _Written) -> None:
    try:
        if path.stat().st_size > LARGEST:
            raise ConfigError(f"{path}: larger than {LARGEST // 1_000_000} MB, so no config")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as exc:
        raise ConfigError(f"{path}: no such config file", hint=_near_files(path)) from exc
    except IsADirectoryError as exc:
        raise ConfigError(
            f"{path}: a folder, not a config file",
            hint="cervseg config init IMAGES MASKS writes one",
        ) from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path}: not UTF-8 text") from exc
    except OSError as exc:
        raise ConfigError(f"{path}: can't be read: {(exc.strerror or str(exc)).lower()}") from exc
    document = _parse(text, path)
    for line, key, first in document.duplicates:
        message = f"'{key}' stands twice, first on line {first}"
        written.problems.append(Problem(Place(0, line, f"{path}:{line}"), message))
    value = {} if document.value is None else _frozen(document.value)
    if not isinstance(value, dict):
        raise ConfigError(f"{path}:1: must be a mapping of sections, not {show(value)}")
    written.raw = value
    for key, line in document.lines.items():
        written.places[key] = Place(0, line, f"{path}:{line}")


def _parse(text: str, path: Path) -> Document:
    try:
        return parse_yaml(text)
    except YamlError as exc:
        raise ConfigError(f"{path}:{exc.line}: {shortened(str(exc))}") from exc


def _near_files(path: Path) -> str | None:
    """Configs in the same folder, those with a near name first."""
    folder = path.parent
    there = sorted(p.name for p in folder.glob("*.y*ml")) if folder.is_dir() else []
    near = difflib.get_close_matches(path.name, there, n=1)
    if near:
        return f"did you mean '{folder / near[0]}'?"
    shown = ", ".join(str(folder / name) for name in there[:5])
    return f"there is {shown}" if shown else None


def _frozen(value: Plain) -> Raw:
    """Lists as tuples."""
    if isinstance(value, dict):
        return {key: _frozen(inner) for key, inner in value.items()}
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _apply_override(text: str, rank: int, written: _Written) -> None:
    """Put one `key=value` over what is written, and forget where that came from."""
    key, equals, value = text.partition("=")
    key, place = key.strip(), Place(rank, 0, f"--set {text}")
    parts = key.split(".")
    if not equals or not all(parts):
        raise ConfigError(f"--set {text}: not key=value", hint="write --set section.key=value")
    try:
        document = parse_yaml(value)
    except YamlError as exc:
        raise ConfigError(f"--set {text}: {exc}") from exc
    for _, twice, _ in document.duplicates:
        written.problems.append(Problem(place, f"'{key}.{twice}' stands twice"))
    here = written.raw
    for i, part in enumerate(parts[:-1]):
        inner = here.get(part)
        if not isinstance(inner, dict | None):
            around = ".".join(parts[: i + 1])
            message = f"'{around}' is {show(inner)}, so it has no key '{parts[i + 1]}'"
            raise ConfigError(f"--set {text}: {message}", hint=f"set '{around}' as a whole")
        inner = {} if inner is None else inner
        here[part] = inner
        here = inner
    here[parts[-1]] = _frozen(document.value)
    written.places = {k: v for k, v in written.places.items() if not _is_in(k, key)}
    written.places[key] = place
    written.places.update({f"{key}.{inner}": place for inner in document.lines})


def _is_in(key: str, section: str) -> bool:
    return key == section or key.startswith(f"{section}.")


def _without_empty_sections(raw: dict[str, Raw], around: str = "") -> dict[str, Raw]:
    """Take a section all of whose lines are comments for one that isn't there."""
    kept: dict[str, Raw] = {}
    for name, value in raw.items():
        key = f"{around}.{name}" if around else name
        if value is None and is_section(key):
            continue
        kept[name] = _without_empty_sections(value, key) if isinstance(value, dict) else value
    return kept


def leaves(config: Config) -> dict[str, Plain]:
    """All values by dotted key, in the order of the schema; lists of sections by index."""
    return dict(_leaves(_plain(config), ""))


def _plain(config: Config) -> dict[str, Plain]:
    dumped: dict[str, Plain] = config.model_dump(mode="json")
    return dumped


def _leaves(value: Plain, key: str) -> Iterator[tuple[str, Plain]]:
    inner: Mapping[str, Plain] = {}
    if isinstance(value, dict):
        inner = value
    elif isinstance(value, list) and any(isinstance(entry, dict) for entry in value):
        inner = {str(i): entry for i, entry in enumerate(value)}
    if not inner:
        yield key, value
    for name, entry in inner.items():
        yield from _leaves(entry, f"{key}.{name}" if key else name)


def _origins(config: Config, written: _Written) -> dict[str, str]:
    origins = {}
    for key in leaves(config):
        place = _place_of(key, written)
        origins[key] = DEFAULT if place is None else "--set" if place.rank else place.text
    return origins


def _place_of(key: str, written: _Written) -> Place | None:
    """Where a leaf was written, or the short form that stands for it: `loss: dice`, `shear: 5`."""
    parts = key.split(".")
    alone = ".".join(part for part in parts if not part.isdigit())  # `source:` may be one mapping
    if key in written.places or alone in written.places:
        return written.places.get(key) or written.places[alone]
    here: Raw = written.raw
    for n, part in enumerate(parts, start=1):
        if isinstance(here, dict):
            here = here.get(part)
        elif isinstance(here, tuple) and part.isdigit():
            here = here[int(part)] if int(part) < len(here) else None
        following = parts[n] if n < len(parts) else ""
        goes_on = isinstance(here, dict) or (isinstance(here, tuple) and following.isdigit())
        if here is not None and not goes_on:
            return written.places.get(".".join(parts[:n]))
    return None


def dump_config(config: Config) -> str:
    """Write a config as YAML that loads back equal: all values, in the order of the schema."""
    return format_yaml(_plain(config))


def config_differences(old: Config, new: Config, ignore: Collection[str] = ()) -> list[str]:
    """List the dotted keys that differ; `ignore` names keys or whole sections to leave out."""
    before, after = leaves(old), leaves(new)
    return [
        key
        for key in dict.fromkeys([*before, *after])
        if before.get(key) != after.get(key) and not any(_is_in(key, section) for section in ignore)
    ]

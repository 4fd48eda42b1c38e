"""Old experiments: the INI configs of the reference become YAML, comment by comment."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

from pydantic import ValidationError

from cervseg import __version__
from cervseg.bounds import printable
from cervseg.config import Config
from cervseg.config.legacy.augmentation import translate_augmentation
from cervseg.config.legacy.data import translate_data, translate_inference
from cervseg.config.legacy.ini import Entry, OldConfig
from cervseg.config.legacy.keys import DEAD, FALLBACKS, LATER, NOTES, SECTIONS
from cervseg.config.legacy.network import translate_network
from cervseg.config.legacy.training import translate_training
from cervseg.config.legacy.translation import Setting, Translation
from cervseg.config.problems import Place, Problem, Raw, config_error, find_problems
from cervseg.config.syntax import format_value
from cervseg.reports import JSON

Tree = dict[str, "Tree | Setting"]


@dataclass(frozen=True)
class Imported:
    """An old file in our words.

    Args:
        config: What it says.
        text: The same as YAML, with comments.
        notices: Sentences worth reading.
        color_order: In which trained weights saw their images.
        obstacles: Why trained weights would answer otherwise here.
    """

    config: Config
    text: str
    notices: tuple[str, ...]
    color_order: Literal["RGB", "BGR"]
    obstacles: tuple[str, ...]


def import_legacy(
    text: str,
    name: str,
    *,
    run: str | None = None,
    normalize_after: Literal["convolution", "activation"] | None = None,
) -> Imported:
    """Translate a config of the reference; nothing in it is executed.

    Args:
        text: The file's.
        name: The file's, for problems and comments.
        run: The run folder it goes to; default: one named after the data.
        normalize_after: Where trained weights normalise, if that is known.

    Raises:
        ConfigError: Anything can't be read, stands twice, or has no counterpart; lists all that
            is wrong, with lines.
    """
    old = OldConfig(text, name, FALLBACKS)
    t = Translation(old)
    if not old.has_section("model"):
        problem = "no [model] section, so no config of the reference"
        raise config_error([*old.problems, Problem(old.place(), problem)])
    _translate(t, run)
    if normalize_after is not None and "model.normalize_after" in t.settings:
        setting = t.settings["model.normalize_after"]
        comment = "as the weights have it"
        t.settings["model.normalize_after"] = Setting(normalize_after, setting.of, comment)
    config = _validate(t)
    return Imported(config, _write(t), tuple(t.notices), t.color_order, tuple(t.obstacles))


def _translate(t: Translation, run: str | None) -> None:
    t.put("data.output", "", None)  # they stand first; the name is known after the data's
    t.put("train.output", "", None)
    translate_network(t)
    translate_training(t)
    translate_augmentation(t)
    stem = PurePath(t.old.name).stem or "imported"
    experiment = translate_data(t, stem)
    translate_inference(t)
    t.put("data.output", f"datasets/{experiment}", None, comment="the tiles are written here")
    t.put("train.output", run or f"runs/{experiment}", None, comment="the run folder")
    for entry in t.old.left():
        t.remark((entry.section, entry.key), _reason(t, entry))
    told = {setting.of for setting in t.settings.values()}
    told |= {(entry.section, entry.key) for entry, _ in t.remarks}
    for where in t.old.entries:
        if where not in told:
            t.remark(where, "taken into account above")
    later = [entry.name for entry, why in t.remarks if why.startswith(LATER)]
    if later:
        t.notices.append(f"{t.old.name}: not yet supported: {', '.join(later)}")


def _reason(t: Translation, entry: Entry) -> str:
    """Why an option that nobody took is not carried over."""
    why = NOTES.get((entry.section, entry.key))
    if why is not None:
        is_off = why.startswith(LATER) and t.old.is_off(entry.section, entry.key)
        return "off" if is_off else why
    known = [*t.old.asked(entry.section), *(k for s, k in NOTES if s == entry.section)]
    near = difflib.get_close_matches(entry.key, known, n=1, cutoff=0.75)
    meant = f"[{entry.section}] {near[0]}" if near else None
    if entry.section not in SECTIONS:
        sections = difflib.get_close_matches(entry.section.lower(), SECTIONS, n=1)
        meant = f"[{sections[0]}]" if sections else None
    elif not near:
        homes = [s for s in SECTIONS if entry.key in t.old.asked(s) or (s, entry.key) in NOTES]
        meant = f"[{homes[0]}] {entry.key}" if homes else None
    if meant is None:
        return DEAD
    t.notice((entry.section, entry.key), f"{DEAD}; is {meant} meant?")
    return f"{DEAD}; is {meant} meant?"


def _validate(t: Translation) -> Config:
    """Hold the settings against the schema.

    Raises:
        ConfigError: The old file has problems, or a value is out of bounds.
    """
    raw = _raw(_tree(t.settings))
    places = {
        key: Place(0, entry.line, f"{t.old.name}:{entry.line}")
        for key, setting in t.settings.items()
        if setting.of is not None and (entry := t.old.entries.get(setting.of)) is not None
    }
    try:
        config = Config.model_validate(raw, strict=True)
    except ValidationError as exc:
        errors = exc.errors(include_url=False)
        found = find_problems(errors, raw, places, fallback=t.old.place())
        raise config_error([*t.old.problems, *found]) from exc
    if t.old.problems:
        raise config_error(t.old.problems)
    return config


def _tree(settings: Mapping[str, Setting]) -> Tree:
    """Nested by the parts of the keys, sections in the order of the schema."""
    tree: Tree = {section: {} for section in Config.model_fields}
    for key, setting in settings.items():
        *sections, name = key.split(".")
        here = tree
        for section in sections:
            inner = here.setdefault(section, {})
            assert isinstance(inner, dict)
            here = inner
        here[name] = setting
    return {section: inner for section, inner in tree.items() if inner}


def _raw(node: Tree | Setting) -> Raw:
    if isinstance(node, Setting):
        return _frozen(node.value)
    return {name: _raw(inner) for name, inner in node.items()}


def _frozen(value: JSON) -> Raw:
    """Lists as tuples."""
    if isinstance(value, Mapping):
        return {key: _frozen(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(map(_frozen, value))
    return value


def _write(t: Translation) -> str:
    lines = [
        f"Imported from {t.old.name} by cervseg {__version__}.",
        "Beside each value stands the old key it comes from, at the end what has no counterpart.",
    ]
    text = "".join(f"# {printable(line)}\n" for line in lines)
    text += "".join(f"{line}\n" for line in _yaml(t, _tree(t.settings), ""))
    if t.remarks:
        text += "\n# Not carried over as it was:\n"
    for entry, why in sorted(t.remarks, key=lambda remark: remark[0].line):
        shown = f"{entry.name} = {_cut(entry.text)}: {why}"
        text += f"#   line {entry.line}: {printable(shown)}\n"
    return text


def _yaml(t: Translation, tree: Tree, indent: str) -> Iterator[str]:
    for name, node in tree.items():
        if isinstance(node, Setting):
            comment = printable(_comment(t, node))
            line = f"{indent}{name}: {format_value(node.value)}"
            yield f"{line}  # {comment}" if comment else line
        else:
            yield f"{indent}{name}:"
            yield from _yaml(t, node, f"{indent}  ")


def _comment(t: Translation, setting: Setting) -> str:
    """Where a value comes from, and what is to be said of it."""
    if setting.of is None:
        return setting.comment
    section, key = setting.of
    origin = f"[{section}] {key}" + ("" if t.old.has(section, key) else ", which is not given")
    return f"{origin}: {setting.comment}" if setting.comment else origin


def _cut(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:79]}…"

"""Write docs/configuration.md, the table of all config keys, from the schema.

    python scripts/make_config_table.py [--check] [--output FILE]

With --check nothing is written; the exit code is 1 where the file is not what it would be.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from pydantic.json_schema import JsonSchemaValue
from pydantic_core import PydanticUndefined

from cervseg.config import Config
from cervseg.config.keys import DISCRIMINATORS, Key, all_keys, names_in, section_models
from cervseg.config.syntax import format_value

PAGE = Path(__file__).resolve().parents[1] / "docs" / "configuration.md"

HEAD = """\
# Configuration

One YAML file says everything about an experiment; every key has a default, so a file holds only
what differs. This page is made from the schema by `python scripts/make_config_table.py`.

- YAML 1.2, core schema: `1e-4` is a number, `off` and `no` are text, `012` is 12. A colour needs
  quotes (`"#00ff00"`), else `#` starts a comment. A key that stands twice is an error.
- Paths are relative to the current folder; `~`, `${NAME}` and `${NAME:-default}` are expanded in
  paths and nowhere else.
- `--set section.key=value` changes one key for one run, its value written as in YAML:
  `--set train.epochs=20 --set 'data.extra_scales=[0.5]'`.
- `cervseg config show FILE` lists every value with where it came from; `cervseg config schema`
  prints the JSON Schema by which editors complete and check; `cervseg config init IMAGES [MASKS]`
  draws up a config for a folder of images and warns of what `dataset-tile` would refuse;
  `cervseg plan FOLDER` draws up one with measured sizes and reasons.

An empty default means: not set; the last column says what happens then.
"""

_TYPES = {
    "integer": "whole number",
    "number": "number",
    "boolean": "`true`, `false`",
    "string": "text",
}
_BOUNDS = {
    "minimum": "from {}",
    "exclusiveMinimum": "above {}",
    "maximum": "to {}",
    "exclusiveMaximum": "below {}",
}


def render() -> str:
    """The whole page."""
    definitions = Config.model_json_schema()["$defs"]
    leaves = [key for key in all_keys() if not section_models(key.field.annotation)]
    titles = {key.dotted: key.field.description for key in all_keys()}
    parts = [HEAD]
    opened = set[str]()  # sections of several kinds, whose heading is what links lead to
    for (section, kinds), keys in groupby(_by_section(leaves), key=lambda k: (k.section, k.kinds)):
        told_by = next((d for d in DISCRIMINATORS if d in names_in(section)), "kind")
        suffix = f", {told_by} {', '.join(f'`{kind}`' for kind in kinds)}" if kinds else ""
        level = "##" if "." not in section and not kinds else "###"
        if "." not in section and kinds and section not in opened:
            opened.add(section)
            parts.append(
                f"## `{section}`\n\n{_sentence(titles[section])} `{told_by}` says which.\n"
            )
        rows = [_row(key, definitions) for key in keys]
        table = ["| key | value | default | meaning |", "|---|---|---|---|", *rows]
        parts.append(f"{level} `{section}`{suffix}\n\n{_sentence(titles[section])}\n")
        parts.append("\n".join(table) + "\n")
    return "\n".join(parts)


def _by_section(keys: Sequence[Key]) -> list[Key]:
    """Keys of one section together, though a section within it stood between them."""
    order = list(dict.fromkeys((key.section, key.kinds) for key in keys))
    return sorted(keys, key=lambda key: order.index((key.section, key.kinds)))


def _sentence(text: str | None) -> str:
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _row(key: Key, definitions: Mapping[str, JsonSchemaValue]) -> str:
    value = " or ".join(dict.fromkeys(_values(_property(key, definitions))))
    cells = (f"`{key.name}`", value, _default(key), key.field.description or "")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _property(key: Key, definitions: Mapping[str, JsonSchemaValue]) -> JsonSchemaValue:
    """What the JSON Schema says of a key."""
    around = next(k for k in all_keys() if k.dotted == key.section)
    for model in section_models(around.field.annotation):
        field = model.model_fields.get(key.name)
        if field is key.field:
            found: JsonSchemaValue = definitions[model.__name__]["properties"][key.name]
            return found
    raise KeyError(key.dotted)


def _default(key: Key) -> str:
    default = key.field.default
    if default is PydanticUndefined:
        return "required"
    if default is None:
        return ""
    plain = list(default) if isinstance(default, tuple) else default
    return f"`{format_value(str(plain) if isinstance(plain, Path) else plain)}`"


def _values(schema: JsonSchemaValue) -> Iterator[str]:
    """The values a key takes, in words; more than one where it is a union."""
    if "anyOf" in schema:
        for choice in schema["anyOf"]:
            yield from _values(choice)
    elif "enum" in schema:
        yield ", ".join(f"`{choice}`" for choice in schema["enum"])
    elif "const" in schema:
        yield f"`{schema['const']}`"
    elif schema.get("format") == "path":
        yield "path"
    elif schema.get("type") == "array":
        yield _list(schema)
    elif schema.get("type") == "object":
        yield "mapping of names to text"
    elif schema.get("type") != "null":
        bounds = " ".join(text.format(schema[b]) for b, text in _BOUNDS.items() if b in schema)
        yield f"{_TYPES[schema['type']]} {bounds}".strip()


def _list(schema: JsonSchemaValue) -> str:
    if "prefixItems" in schema:
        return f"[{', '.join(' or '.join(_values(item)) for item in schema['prefixItems'])}]"
    return f"list: {' or '.join(_values(schema['items']))}"


def main(argv: Sequence[str] | None = None) -> int:
    """Write the page, or check it; the exit code."""
    parser = argparse.ArgumentParser(description="Write the table of all config keys.")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 where it is stale")
    parser.add_argument("--output", type=Path, default=PAGE, help="default: docs/configuration.md")
    arguments = parser.parse_args(argv)
    page = render()
    if not arguments.check:
        arguments.output.write_text(page, encoding="utf-8")
        return 0
    if arguments.output.is_file() and arguments.output.read_text(encoding="utf-8") == page:
        return 0
    print(f"{arguments.output} is stale: run python scripts/make_config_table.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())

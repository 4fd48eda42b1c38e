"""All keys of the schema, by section: for suggestions and for the table in the docs."""

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple, get_args

from pydantic.fields import FieldInfo

from cervseg.config import Config
from cervseg.config.base import Section

DISCRIMINATORS = ("kind", "architecture", "name")
"""Keys by which a section is told from others that could stand in its place."""


class Key(NamedTuple):
    """One key of one section; `kinds` where only some kinds of the section have it."""

    section: str
    name: str
    kinds: tuple[str, ...]
    field: FieldInfo

    @property
    def dotted(self) -> str:
        """`train.reducer.factor`."""
        return f"{self.section}.{self.name}" if self.section else self.name


def section_models(annotation: object) -> tuple[type[Section], ...]:
    """The sections that an annotation names: none for a leaf, several for a union."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return (annotation,)
    found = (model for part in get_args(annotation) for model in section_models(part))
    return tuple(dict.fromkeys(found))


def _walk(model: type[Section], section: str, kinds: tuple[str, ...]) -> Iterator[Key]:
    for name, field in model.model_fields.items():
        key = Key(section, name, kinds, field)
        yield key
        models = section_models(field.annotation)
        for inner in models:
            yield from _walk(inner, key.dotted, kinds_of(inner) if len(models) > 1 else kinds)


def discriminator(model: type[Section]) -> str | None:
    """The key by which a section is told from its siblings."""
    fields = model.model_fields
    found = (d for d in DISCRIMINATORS if d in fields and get_args(fields[d].annotation))
    return next(found, None)


def kinds_of(model: type[Section]) -> tuple[str, ...]:
    """The values of that key for which this section stands."""
    key = discriminator(model)
    return get_args(model.model_fields[key].annotation) if key else ()


@cache
def all_keys() -> tuple[Key, ...]:
    """Every key in the order of the schema, sections before what is in them."""
    return tuple(_walk(Config, "", ()))


def is_section(dotted: str) -> bool:
    """Whether a key holds keys of its own."""
    return any(k.dotted == dotted and section_models(k.field.annotation) for k in all_keys())


def names_in(section: str, kind: str | None = None) -> list[str]:
    """The keys of a section, in order; of one kind of it where it has several."""
    found = (k for k in all_keys() if k.section == section)
    fitting = (k for k in found if kind is None or not k.kinds or kind in k.kinds)
    return list(dict.fromkeys(k.name for k in fitting))

"""What all sections share: frozen, strict, no unknown keys; paths that expand."""

import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict


class Section(BaseModel):
    """A part of the config: can't be changed, takes no unknown key."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False
    )


_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


def expand_path(value: object) -> object:
    """Expand `~`, `${NAME}` and `${NAME:-default}`.

    Raises:
        ValueError: Nothing is left, a variable without a default is not set, or `~name` is
            nobody's home.
    """
    if not isinstance(value, str):
        return value
    if not value:
        raise ValueError("an empty path")

    def look_up(match: re.Match[str]) -> str:
        name, default = match.groups()
        found = os.environ.get(name) or default
        if found is None:
            raise ValueError(f"the environment variable {name} is not set")
        return found

    expanded = _VARIABLE.sub(look_up, value)
    if not expanded:
        raise ValueError(f"an empty path: {value}")
    try:
        return Path(expanded).expanduser()
    except RuntimeError as exc:
        raise ValueError(f"no home folder for {value!r}") from exc


ConfigPath = Annotated[Path, BeforeValidator(expand_path)]
"""A path relative to the current directory; `~` and `${NAME:-default}` are expanded."""

"""JSON files of strangers: read within bounds, every field checked before it is used."""

import json
from pathlib import Path
from typing import NoReturn

from cervseg.bounds import LARGEST, one_line, refuse_special
from cervseg.errors import DataError
from cervseg.reports import JSON


def read_document(path: Path, *, what: str, finite: bool = True) -> JSON:
    """Parse a JSON file.

    Args:
        path: The file.
        what: What it should be, for the error.
        finite: Refuse NaN and Infinity, which are no JSON; else they are read as numbers.

    Raises:
        DataError: Missing, over 512 MB, no JSON, or nested too deeply.
    """
    take = _refuse_constant if finite else float
    refuse_special(path)
    try:
        if path.stat().st_size > LARGEST:
            raise DataError(f"{path}: over {LARGEST // 2**20} MB, too large for {what}")
        text = path.read_text(encoding="utf-8-sig")
        return json.loads(text, parse_constant=take)  # type: ignore[no-any-return]
    except FileNotFoundError as exc:
        raise DataError(f"{path}: no such file") from exc
    except RecursionError as exc:
        raise DataError(f"{path}: not readable as {what}: nested too deeply") from exc
    except (OSError, ValueError) as exc:  # among them UnicodeDecodeError, JSONDecodeError
        raise DataError(f"{path}: not readable as {what}: {one_line(exc)}") from exc


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def as_mapping(value: JSON, *, where: str) -> dict[str, JSON]:
    """Check that a value is a JSON object.

    Raises:
        DataError: It is something else.
    """
    if not isinstance(value, dict):
        raise DataError(f"{where}: an object expected, not {shown(value)}")
    return value


def as_list(value: JSON, *, where: str) -> list[JSON]:
    """Check that a value is a JSON array.

    Raises:
        DataError: It is something else.
    """
    if not isinstance(value, list):
        raise DataError(f"{where}: a list expected, not {shown(value)}")
    return value


def as_text(value: JSON, *, where: str) -> str:
    """Check that a value is text.

    Raises:
        DataError: It is something else.
    """
    if not isinstance(value, str):
        raise DataError(f"{where}: text expected, not {shown(value)}")
    return value


def shown(value: JSON) -> str:
    """A value for an error, however long it is."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if value is None:
        return "nothing"
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}…"

"""What the command line asks for: parsed completely before anything runs."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cervseg.errors import ConfigError
from cervseg.reports import Progress, Report

if TYPE_CHECKING:
    from cervseg.config import Config


@dataclass(frozen=True)
class Talk:
    """How much is said, and in which form.

    Args:
        json: One document on stdout.
        quiet: Nothing on stderr but what went wrong.
        debug: Causes of errors.
    """

    json: bool = False
    quiet: bool = False
    debug: bool = False


@dataclass(frozen=True)
class Job:
    """A parsed command line.

    Args:
        command: Its name, `config show`.
        work: Does it; a text it returns is for stdout as it is.
        talk: How to talk meanwhile.
    """

    command: str
    work: Callable[[Progress], Report | str]
    talk: Talk = Talk()


def refuse_both(overwrite: bool, resume: bool) -> None:
    """Refuse `--overwrite` with `--resume`.

    Raises:
        ConfigError: Both are given.
    """
    if overwrite and resume:
        raise ConfigError(
            "--overwrite and --resume exclude each other",
            hint="--resume goes on in the old output, --overwrite puts it aside",
        )


def words_of(path: Path | None, overrides: Sequence[str] | None) -> str | None:
    """How this config is named on a command line: the file and its `--set` values, quoted."""
    words = [] if path is None else [str(path)]
    words += [word for text in overrides or () for word in ("--set", text)]
    return shlex.join(words) or None


def load(path: Path | None, overrides: Sequence[str] | None) -> "Config":
    """Load the config with its `--set` values; without a file, the defaults."""
    from cervseg.config.loader import load_config

    return load_config(path, overrides or ()).config

"""The command to type next."""

from pathlib import Path


def resuming(command: str, config_path: Path | None) -> str:
    """How an interrupted command goes on."""
    if config_path is None:
        return "go on with --resume"
    return f"go on with: cervseg {command} {config_path} --resume"

"""What an inference or scores were made with, so that only the same goes on in their folder."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from cervseg.config import Config
from cervseg.config.base import Section
from cervseg.config.inference import InferConfig
from cervseg.contract import CARD, find_model
from cervseg.digests import content_digest
from cervseg.errors import ConfigError, OutputError
from cervseg.files import is_occupied, read_json
from cervseg.reports import JSON

RESOLVED = ("engine", "batch_size")
"""What a run chose for itself; one that goes on takes the same."""


def make_record(command: str, section: InferConfig, models: Sequence[Path]) -> dict[str, JSON]:
    """Command, settings, and a digest of each model's files and of that of the regions.

    Without `max_ram`: what it chooses and matters is among `RESOLVED`.
    """
    settings = section.model_dump(mode="json", exclude={"images", "output", "model", "max_ram"})
    if isinstance(roi := getattr(section, "roi", None), Path):
        settings["roi"] = content_digest(roi)
    digests: list[JSON] = [model_digest(find_model(path)) for path in models]
    return {"command": command, "settings": settings, "models": digests}


WITHOUT_EFFECT = {
    "evaluate": {"model", "output", "overlays"},
    "prediction": {
        *("images", "output", "model", "overlays", "probabilities", "colorize", "objects"),
        *("look_first", "disagreement", "mask_level", "roi", "skip_background", "self_check"),
        *("max_ram", "large_from", "mpp", "scale"),
    },
}
"""Keys that change no score, by section."""


def score_settings(config: Config, mode: str) -> dict[str, JSON]:
    """What scores depend on beside model and data: kept with them.

    Args:
        config: Of the experiment.
        mode: tiled, whole, stretch or predictions.
    """
    sections: dict[str, Section] = {"evaluate": config.evaluate}
    if mode != "predictions":
        sections["prediction"] = config.tiled_infer if mode == "tiled" else config.infer
    settings = {
        name: section.model_dump(mode="json", exclude=WITHOUT_EFFECT[name])
        for name, section in sections.items()
    }
    return {"mode": mode, "seed": config.runtime.seed, **settings}


def model_digest(folder: Path) -> str:
    """SHA-256 of all that a model folder computes with."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name != CARD:  # what is said of it computes nothing
            digest.update(path.read_bytes())
    return digest.hexdigest()


def check_record(path: Path, record: dict[str, JSON]) -> str | None:
    """Check that a folder to be resumed was made alike; an empty one is begun.

    Returns:
        The engine it was made with, where the record names one.

    Raises:
        OutputError: There is something, but no record of an inference.
        ConfigError: The record differs; names what.
    """
    if not is_occupied(path.parent):
        return None
    if not path.is_file():
        raise OutputError(
            f"{path.parent}: not an inference folder, so it can't be resumed",
            hint="choose another output folder",
        )
    old = read_json(path, what="record of an inference")
    different = [key for key in ("command", "models") if old.get(key) != record[key]]
    before, now = old.get("settings"), record["settings"]
    if isinstance(before, dict) and isinstance(now, dict):
        different += [key for key in now if before.get(key) != now[key]]
    if different:
        raise ConfigError(
            f"{path.parent}: can't resume with other {', '.join(different)}",
            hint="undo the change, or start anew with --overwrite",
        )
    engine = str(old.get("engine", ""))
    return engine if engine and "+" not in engine else None  # several models may have several


def check_scored(folder: Path, notes: dict[str, JSON]) -> None:
    """Check that an evaluation that is there already is the one that is asked for.

    Raises:
        ConfigError: It is of something else, or was scored otherwise.
    """
    old = read_json(folder / "scores.json", what="table of scores")
    told = {"scored": "images, masks or models", "settings": "settings"}
    different = [told.get(key, key) for key, value in notes.items() if old.get(key) != value]
    if different:
        raise ConfigError(
            f"{folder}: holds another evaluation, of other {' and '.join(different)}",
            hint="choose another --output, or score anew with --overwrite",
        )


def recorded_batch(path: Path) -> int | None:
    """Tiles a call of the inference that a folder was made with, where there is a record."""
    if not path.is_file():
        return None
    batch = read_json(path, what="record of an inference").get("batch_size")
    return batch if isinstance(batch, int) else None

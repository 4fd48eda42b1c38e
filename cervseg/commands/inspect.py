"""`cervseg inspect`: what a network looks like and costs, or which names there are."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, get_args

from cervseg import runtime
from cervseg.arrays import Tensor
from cervseg.bounds import printable
from cervseg.commands.draft import draft_contract
from cervseg.config import Config
from cervseg.config.keys import kinds_of, section_models
from cervseg.config.loader import as_config
from cervseg.config.losses import LossName
from cervseg.config.model import ModelConfig
from cervseg.config.training import MetricName
from cervseg.contract import BUILTIN, CARD, Contract, Postprocessing, builtin_models, find_model
from cervseg.files import claim, write_text
from cervseg.inference.prediction import batch_size_for
from cervseg.reports import JSON, Report, Table

if TYPE_CHECKING:
    from cervseg.models.costs import LayerCost

LARGEST_CARD = 1_000_000
"""Bytes; a larger file is none."""

SUMMARY, PICTURE = "summary.txt", "model.png"


class Card(NamedTuple):
    """What people should know of a model, in Markdown.

    Args:
        text: All of it; empty where a model has none.
        description: The paragraph below its title, as one line.
        scores: The lines of its section Scores.
    """

    text: str = ""
    description: str = ""
    scores: tuple[str, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> "Card":
        """Read the card of a model folder."""
        path = folder / CARD
        if not path.is_file() or path.stat().st_size > LARGEST_CARD:
            return cls()
        return cls.parse(path.read_text(encoding="utf-8", errors="replace"))

    @classmethod
    def parse(cls, text: str) -> "Card":
        """Find description and scores in a text."""
        first = re.search(r"^#[^\n]*\n\s*([^#\s].*?)(?=\n\s*\n|\n#|\Z)", text, re.DOTALL)
        scores = re.search(r"^## Scores\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
        return cls(
            text,
            printable(" ".join(first[1].split())) if first else "",
            tuple(map(printable, scores[1].strip().splitlines())) if scores else (),
        )


def list_names() -> Report:
    """What `model.architecture`, `train.loss` and `train.metrics` may be, and built-in models."""
    sections = section_models(ModelConfig)
    networks = {kinds_of(section)[0]: str(section.__doc__) for section in sections}
    losses, metrics = get_args(LossName), get_args(MetricName)
    models = [_builtin(name, folder) for name, folder in builtin_models().items()]
    result: dict[str, JSON] = {
        "networks": networks,
        "losses": list(losses),
        "metrics": list(metrics),
        "models": [model for model, _ in models],
    }
    tables = (
        Table("networks", ("name", "what"), tuple(networks.items())),
        Table("losses", ("name",), tuple((name,) for name in losses)),
        Table("metrics", ("name",), tuple((name,) for name in metrics)),
        Table("built-in models", ("name", "classes", "scale", "size", "what"),
              tuple(row for _, row in models)),
    )  # fmt: skip
    return Report("inspect", results=(result,), tables=tables)


def _builtin(name: str, folder: Path) -> tuple[dict[str, JSON], tuple[str, ...]]:
    """A built-in model as a record and as a row."""
    contract, description = Contract.load(folder), Card.read(folder).description
    classes, size = contract.classes.names, sum(path.stat().st_size for path in folder.iterdir())
    record: dict[str, JSON] = {
        "name": f"{BUILTIN}{name}",
        "classes": list(classes),
        "scale": contract.scale,
        "bytes": size,
        "description": description,
    }
    row = (f"{BUILTIN}{name}", ", ".join(classes), f"scale {contract.scale:g}",
           f"{size / 1e6:.1f} MB", description)  # fmt: skip
    return record, row


def inspect_network(
    config: Config | Path | str | None = None,
    *,
    model: Path | str | None = None,
    output: Path | str | None = None,
    overwrite: bool = False,
) -> Report:
    """Count layers, parameters, multiply-adds and memory of the network of a config or model.

    Args:
        config: Of an experiment; its batch sizes count for a model, too.
        model: A run or model folder, or `builtin:NAME`, instead of the config's network; its
            contract and card are told, too.
        output: Folder for `summary.txt` and `model.png`, the picture that Keras draws.
        overwrite: Move an occupied output aside.

    Raises:
        ConfigError: The config's tiles do not fit the network.
        ModelError: There is no such model, or it is broken.
        OutputError: The output folder is occupied.
    """
    config = as_config(config)
    folder = None if model is None else find_model(Path(model))
    contract = Contract.load(folder) if folder else draft_contract(config)
    runtime.start(device="cpu")
    from cervseg.models.folder import sketch_network, with_geometry

    network = sketch_network(contract, where=str(folder or "the config"))
    contract = with_geometry(contract, network)
    report = _describe(config, contract, network)
    if folder is not None:
        report = _with_contract(report, contract, Card.read(folder))
    if output is None:
        return report
    with claim(Path(output), overwrite=overwrite, needed=(folder,)):
        paths, notices = _write(Path(output), report, network)
    return replace(report, output=Path(output), paths=paths, notices=notices)


def _describe(config: Config, contract: Contract, network: Tensor) -> Report:
    from cervseg.models.costs import inference_bytes, layer_costs, training_bytes

    side = contract.tile_size
    costs = layer_costs(network, side, side)
    batches = config.train.batch_size, batch_size_for(config.tiled_infer, side)
    work = sum(cost.multiply_adds for cost in costs)
    result: dict[str, JSON] = {
        "architecture": contract.architecture,
        "options": contract.options,
        "tile_size": side,
        "input_channels": contract.input_channels,
        "channels": contract.channels,
        "side_outputs": len(network.outputs) - 1,
        "activation": contract.activation,
        "parameters": network.count_params(),
        "trainable_parameters": sum(math.prod(v.shape) for v in network.trainable_variables),
        "multiply_adds": work,
        "multiply_adds_per_pixel": work / side**2,
        "align": contract.align,
        "receptive_field": contract.receptive_field,
        "training_bytes": training_bytes(network, batches[0], side),
        "inference_bytes": inference_bytes(network, batches[1], side),
        "layers": [cost._asdict() for cost in costs],
    }
    totals = Table("network", ("what", "value"), _totals(result, batches))
    return Report("inspect", results=(result,), tables=(_layer_table(costs), totals))


def _with_contract(report: Report, contract: Contract, card: Card) -> Report:
    """Add what a model's contract says beside its network, and the scores of its card."""
    seen = Counter(image.split for image in contract.trained_on)
    added: dict[str, JSON] = {
        "classes": list(contract.classes.names),
        "scale": contract.scale,
        "mpp": contract.mpp,
        "threshold": list(contract.threshold),
        "temperature": contract.temperature,
        "postprocess": asdict(contract.postprocess),
        "augment": contract.augment,
        "margin": contract.margin,
        "seen": dict(seen),
        "created": contract.created,
        "card": card.text,
    }
    rows = (
        ("classes", ", ".join(contract.classes.names)),
        ("scale", f"{contract.scale:g} model pixels to a pixel of a full-size photograph"),
        ("micrometres a model pixel", f"{contract.mpp:g}" if contract.mpp else "not known"),
        ("threshold", ", ".join(f"{value:g}" for value in contract.threshold)),
        ("temperature", f"{contract.temperature:g}"),
        ("done to masks", _done_to_masks(contract.postprocess)),
        ("turns of a tile", contract.augment),
        ("images seen", ", ".join(f"{n} {split}" for split, n in seen.items()) or "not known"),
        ("created", contract.created or "not known"),
    )
    contents = Table("contract", ("what", "value"), rows)
    scores = Table("scores", ("card",), tuple((line,) for line in card.scores))
    (result,) = report.results
    told = (contents, scores) if card.scores else (contents,)
    return replace(report, results=({**result, **added},), tables=(*report.tables, *told))


def _done_to_masks(steps: Postprocessing) -> str:
    """The steps that are on, with their values."""
    on = {name: value for name, value in asdict(steps).items() if value}
    return ", ".join(f"{name} {value:g}" for name, value in on.items()) or "nothing"


def _totals(found: Mapping[str, JSON], batches: tuple[int, int]) -> tuple[tuple[str, str], ...]:
    """The figures of a network in words."""
    field, side = found["receptive_field"], found["tile_size"]
    return (
        ("architecture", f"{found['architecture']}"),
        ("tile", f"{side} x {side} x {found['input_channels']}"),
        ("output", f"{found['channels']} channels, {found['activation']}"),
        ("side outputs", f"{found['side_outputs']}"),
        ("parameters", f"{found['parameters']:,}"),
        ("of them trained", f"{found['trainable_parameters']:,}"),
        ("multiply-adds of a tile", f"{found['multiply_adds']:,}"),
        ("multiply-adds of a pixel", f"{found['multiply_adds_per_pixel']:,.0f}"),
        ("total stride (align)", f"{found['align']}"),
        ("receptive field", "the whole tile" if field is None else f"{field} pixels to each side"),
        (f"memory to train, batch {batches[0]}", _gigabytes(found["training_bytes"])),
        (f"memory to infer, batch {batches[1]}", _gigabytes(found["inference_bytes"])),
    )


def _gigabytes(count: JSON) -> str:
    assert isinstance(count, int)
    return f"{count / 1e9:.2f} GB"


def _layer_table(costs: Sequence["LayerCost"]) -> Table:
    rows = tuple(
        (cost.name, cost.kind, " x ".join(map(str, cost.shape)), f"{cost.parameters:,}",
         f"{cost.multiply_adds:,}")
        for cost in costs
    )  # fmt: skip
    return Table("layers", ("layer", "kind", "output", "parameters", "multiply-adds"), rows)


def _write(
    folder: Path, report: Report, network: Tensor
) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    from cervseg.models.inspection import draw

    summary, picture = folder / SUMMARY, folder / PICTURE
    write_text(
        summary, "\n\n".join(f"{table.title}\n\n{table.text()}" for table in report.tables) + "\n"
    )
    if not draw(network, picture):
        missing = f"no {PICTURE}: it needs Graphviz (its `dot`) and pip install 'cervseg[plot]'"
        return (summary,), (missing,)
    return (summary, picture), ()

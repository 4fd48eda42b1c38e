"""Open a model: a folder in, its contract and a predictor out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cervseg.arrays import Tensor
from cervseg.contract import Augment, Contract, Predictor, find_model
from cervseg.engines.choice import ENGINES, open_engine
from cervseg.engines.graphs import exported_for
from cervseg.engines.settings import EngineName, EngineSettings, Precision
from cervseg.engines.wrappers import TURNS, mean, merge_contracts, turned
from cervseg.errors import ConfigError

__all__ = ["ENGINES", "Opened", "open_model"]


@dataclass(frozen=True)
class Opened:
    """A model ready to predict; unpacks as `contract, predict = open_model(…)`.

    Args:
        contract: Of the model, or what holds for all; its channels are without the extra one.
        predict: From tiles to `contract.channels + extra_channels` channels.
        engine: What computes it: `auto` resolved; several models may have `keras+onnx`.
        precision: Of the activations.
        passes: How often the network looks at each tile: models times turns.
        extra_channels: 1 where disagreement is appended.
        square: Only square tiles of its size, as a member is exported.
    """

    contract: Contract
    predict: Predictor
    engine: str = "keras"
    precision: str = "float32"
    passes: int = 1
    extra_channels: int = 0
    square: bool = False

    def __iter__(self) -> Iterator[Tensor]:
        return iter((self.contract, self.predict))


def open_model(
    paths: Sequence[Path],
    *,
    engine: EngineName = "keras",
    precision: Precision = "float32",
    augment: Augment | None = None,
    disagreement: bool = False,
    tile_size: int | None = None,
    batch_size: int | None = None,
    threads: int | None = None,
) -> Opened:
    """Open one model, or several as their mean.

    Args:
        paths: Run folders, model folders, folders of `cervseg export` for openvino or onnx.
        engine: What computes them; auto: the fastest one installed. A model exported for
            another engine than keras is computed by its own.
        precision: Of the activations.
        augment: The mean over each tile's 4 flips, or over all 8 turns; None: as the first model
            says.
        disagreement: Append a channel: the largest standard deviation over models and turns.
        tile_size: Side of the tiles that will come, pixels; None: the model's.
        batch_size: Tiles computed at once, always; None: as they come.
        threads: Of OpenVINO and ONNX Runtime; None: all allowed cores.

    Raises:
        ConfigError: An engine is missing, or can't do what is asked.
        ModelError: One is missing or broken, or several do not go together.
        BudgetError: There is not enough memory.
    """
    folders = [find_model(path) for path in paths]
    contracts = [Contract.load(folder) for folder in folders]
    merged = merge_contracts(contracts, paths)
    turns = TURNS[augment or merged.augment]
    passes = len(paths) * len(turns)
    if disagreement and passes < 2:
        raise ConfigError(
            "disagreement needs several answers to compare",
            hint="name several models, or set augment to flips or dihedral",
        )
    side = tile_size or merged.tile_size
    settings = EngineSettings(engine, precision, side, batch_size, threads)
    members = []
    for folder, contract in zip(folders, contracts, strict=True):
        member = open_engine(folder, contract, settings)
        members.append(member)
        if engine == "auto":  # the first is timed, the others follow
            settings = replace(settings, engine=member.engine)
    answers = [turned(member.predict, turn) for member in members for turn in turns]
    return Opened(
        merged,
        mean(answers, disagreement=disagreement),
        engine="+".join(dict.fromkeys(member.engine for member in members)),
        precision=precision,
        passes=passes,
        extra_channels=int(disagreement),
        square=any(exported_for(folder) is not None for folder in folders),
    )

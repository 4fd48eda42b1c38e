"""Time every network against `unet`: a training step and the inference of a batch of tiles.

    python scripts/benchmark_networks.py [--names segformer lite_unet] [--tile 128] [--json]

Each network stands as its config's defaults make it, for colour tiles and one class, with random
weights, since their values cost no time. It takes turns with `unet`, so that whatever else the
machine does hits both; medians are compared. A step is forward, backward and Adam, of the loss
`bce_dice` on all heads; inference is what `cervseg tiled-infer` runs, of the final head alone.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from pydantic import TypeAdapter

from cervseg import runtime
from cervseg.arrays import Tensor
from cervseg.classes import Classes
from cervseg.config.model import ModelConfig, network_options
from cervseg.contract import Contract
from cervseg.errors import CervsegError

BASE = "unet"
JOBS = ("training", "inference")

Jobs = dict[str, Callable[[], object]]
"""What is timed, by the names of `JOBS`."""


@dataclass(frozen=True)
class Work:
    """The tiles of a step, and how often it is timed."""

    tile: int
    batch: int
    turns: int


@dataclass(frozen=True)
class Cost:
    """One network.

    Args:
        name: Of its architecture.
        parameters: Learned ones, those of heads for training included.
        multiply_adds: Of the final answer, thousands a pixel.
        training: Median seconds of a step.
        inference: Median seconds of a batch.
        training_ratio: Over the median of `unet` in the same turns.
        inference_ratio: Likewise.
    """

    name: str
    parameters: int
    multiply_adds: float
    training: float
    inference: float
    training_ratio: float
    inference_ratio: float


def build(name: str, work: Work) -> tuple[Tensor, Contract]:
    """A network with all its heads, and the contract of its final answer.

    Raises:
        ConfigError: Its stride does not divide the tile.
    """
    from cervseg.models.folder import build_network
    from cervseg.models.inspection import geometry, refuse_misfit

    section = TypeAdapter(ModelConfig).validate_python({"architecture": name})
    contract = Contract(
        architecture=name,
        options=network_options(section),
        classes=Classes.of({"cell": "#00ff00"}),
        activation="sigmoid",
        channels=1,
        tile_size=work.tile,
    )
    runtime.seed_everything(0)
    network = build_network(contract, where=name)
    refuse_misfit(work.tile, geometry(network).align)
    return network, contract


def prepare(network: Tensor, contract: Contract, work: Work) -> Jobs:
    """Make both jobs ready: the first run compiles, the second finds its memory."""
    import keras

    from cervseg.engines.keras import KerasPredictor
    from cervseg.losses import SegmentationLoss
    from cervseg.models.folder import final_network, training_network

    rng = np.random.default_rng(0)
    tiles = rng.integers(0, 256, (work.batch, work.tile, work.tile, 3), "uint8")
    masks = (tiles[..., 0] > 128).astype("uint8")
    predict = KerasPredictor(final_network(network), contract)
    trained = training_network(network)
    trained.compile(
        keras.optimizers.Adam(1e-4), SegmentationLoss("bce_dice", "sigmoid", channels=1)
    )
    jobs: Jobs = {
        "training": lambda: trained.train_on_batch(tiles, masks),
        "inference": lambda: np.asarray(predict(tiles)),
    }
    for name in 2 * JOBS:
        jobs[name]()
    return jobs


def take_turns(contestants: Sequence[Jobs], turns: int) -> list[dict[str, float]]:
    """Median seconds of each contestant's jobs; who begins changes from turn to turn."""
    seconds: list[dict[str, list[float]]] = [{job: [] for job in JOBS} for _ in contestants]
    for turn in range(turns):
        order = list(range(len(contestants)))
        for i in order if turn % 2 else order[::-1]:
            for job in JOBS:
                begun = time.perf_counter()
                contestants[i][job]()
                seconds[i][job].append(time.perf_counter() - begun)
    return [{job: statistics.median(found[job]) for job in JOBS} for found in seconds]


def measure(name: str, base: Jobs, work: Work) -> Cost:
    """Let a network and `unet` take turns."""
    from cervseg.models.costs import multiply_adds
    from cervseg.models.folder import final_network

    network, contract = build(name, work)
    jobs = base if name == BASE else prepare(network, contract, work)
    theirs, ours = take_turns((base, jobs), work.turns)
    ratios = {job: 1.0 if name == BASE else ours[job] / theirs[job] for job in JOBS}
    counted = multiply_adds(final_network(network), work.tile, work.tile)
    return Cost(
        name=name,
        parameters=sum(int(np.prod(v.shape)) for v in network.trainable_variables),
        multiply_adds=counted / work.tile**2 / 1000,
        training=ours["training"],
        inference=ours["inference"],
        training_ratio=ratios["training"],
        inference_ratio=ratios["inference"],
    )


def compare(names: Sequence[str], work: Work) -> list[Cost]:
    """The costs of networks, one after the other: they would not fit into memory together."""
    network, contract = build(BASE, work)
    base = prepare(network, contract, work)
    costs = []
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        costs.append(measure(name, base, work))
    return costs


def table(costs: Sequence[Cost]) -> str:
    """In Markdown; times as multiples of those of `unet`."""
    lines = [
        "| network | parameters, M | thousand multiply-adds a pixel | training step | inference |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| `{cost.name}` | {cost.parameters / 1e6:.2f} | {cost.multiply_adds:.1f} "
        f"| {cost.training_ratio:.2f} | {cost.inference_ratio:.2f} |"
        for cost in costs
    ]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and tell; the exit code."""
    parser = argparse.ArgumentParser(description="Time networks against unet.")
    parser.add_argument("--names", nargs="+", help="which networks (default: all)")
    parser.add_argument("--tile", type=int, default=128, help="side of a tile (default 128)")
    parser.add_argument("--batch", type=int, default=2, help="tiles at once (default 2)")
    parser.add_argument("--turns", type=int, default=3, help="after a warm-up (default 3)")
    parser.add_argument("--threads", type=int, default=2, help="of Keras (default 2)")
    parser.add_argument("--json", action="store_true", help="one JSON document, with the seconds")
    arguments = parser.parse_args(argv)
    work = Work(arguments.tile, arguments.batch, arguments.turns)
    if min(asdict(work).values()) < 1:
        parser.error("tile, batch and turns are at least 1")
    try:
        runtime.start(device="cpu", threads=arguments.threads)
        from cervseg.models import ARCHITECTURES

        names = arguments.names or list(ARCHITECTURES)
        unknown = [name for name in names if name not in ARCHITECTURES]
        if unknown:
            parser.error(f"no network {unknown[0]!r}; there are {', '.join(ARCHITECTURES)}")
        costs = compare(names, work)
    except CervsegError as exc:
        print(f"error: {exc}" + (f"\nhint: {exc.hint}" if exc.hint else ""), file=sys.stderr)
        return exc.exit_code
    facts = {**runtime.machine(), **runtime.versions()}
    if arguments.json:
        document = {**asdict(work), "machine": facts, "networks": [asdict(cost) for cost in costs]}
        print(json.dumps(document, indent=1))
    else:
        print(table(costs))
        print(f"\nbatches of {work.batch} tiles of {work.tile}, medians of {work.turns} turns")
        print(", ".join(f"{name} {value}" for name, value in facts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The network that all methods of `scripts/benchmark_tiled.py` compute, and the machine's rate."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter
from tiled_job import Job, Ready, grid_of, pad_to
from tiled_monai import import_torch

from cervseg import runtime
from cervseg.arrays import RGB, Tensor
from cervseg.classes import Classes
from cervseg.config.loader import load_config
from cervseg.config.model import ModelConfig, Network, network_options
from cervseg.contract import Contract
from cervseg.errors import ConfigError
from cervseg.grid import TileGrid
from cervseg.inference.prediction import plan_tiles

REFERENCE = Path(__file__).resolve().parent.parent / "configs" / "metaplastic_reference.yaml"
PRODUCT = 2048
"""Side of the matrices whose product is timed."""


def build(job: Job) -> Ready:
    """Write a network of random weights, and say what it costs."""
    runtime.start(device="cpu", threads=job.threads)
    from cervseg.models.costs import multiply_adds
    from cervseg.models.folder import build_network, save_model, with_geometry

    config = _network_config(job)
    contract = Contract(
        architecture=config.architecture,
        options=network_options(config),
        classes=Classes.of({"cell": "#00ff00"}),
        activation="sigmoid",
        tile_size=job.tile or 512,
    )
    runtime.seed_everything(0)
    network = build_network(contract, where=job.network)
    contract = with_geometry(contract, network)
    side, pixels = contract.tile_size, job.pixels()
    height, width = (max(side, n) for n in pixels[0].shape[:2])
    tile = pad_to(pixels[0], TileGrid(height, width, side))[None, :side, :side]
    _spread_logits(network, tile)
    expected = 1 / (1 + np.exp(-np.asarray(network(tile.astype(np.float32)))))
    folder = Path(job.model)
    save_model(folder, network, contract)
    np.savez(folder / "trial.npz", tile=tile, expected=expected)
    plan = plan_tiles(contract, job.section())
    tiles = [len(grid_of(plan, one)) for one in pixels]
    return Ready({
        "parameters": int(network.count_params()),
        "gflop": 2e-9 * multiply_adds(network, side, side),
        "margin": contract.margin, "overlap": plan.overlap, "batch": plan.batch_size,
        "tiles": sum(tiles), "machine": {**runtime.machine(), **runtime.versions()},
    })  # fmt: skip


def _network_config(job: Job) -> Network:
    if job.network != "unet":
        return TypeAdapter(ModelConfig).validate_python({"architecture": job.network})
    config = load_config(REFERENCE).config.model
    return config if job.levels is None else config.model_copy(update={"num_layers": job.levels})


def _spread_logits(network: Tensor, tile: RGB) -> None:
    """Give the logits mean 0 and deviation 1: random ones make all probabilities 0 or 1."""
    logits = np.asarray(network(tile.astype(np.float32)))
    layer = network.get_layer("logits")
    kernel, bias = layer.get_weights()
    mean, deviation = logits.mean(), logits.std() or 1
    layer.set_weights([kernel / deviation, (bias - mean) / deviation])


def product(job: Job) -> Ready:
    """The machine's rate of float32 matrix products, GFLOP/s: NumPy's, and PyTorch's if there."""
    a = np.random.default_rng(0).random((PRODUCT, PRODUCT), np.float32)
    jobs: dict[str, Callable[[], object]] = {"numpy": lambda: a @ a}
    try:
        torch = import_torch(threads=job.threads)
        b = torch.from_numpy(a)
        jobs["torch"] = lambda: b @ b
    except ConfigError:
        pass

    def turn() -> dict[str, float]:
        rates = {}
        for name, multiply in jobs.items():
            begun = time.perf_counter()
            for _ in range(5):
                multiply()
            rates[name] = 5 * 2e-9 * PRODUCT**3 / (time.perf_counter() - begun)
        return rates

    turn()
    return Ready({}, turn)

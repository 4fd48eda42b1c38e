"""MONAI's sliding window over PyTorch, with a twin of our U-Net: the same layers and weights."""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import numpy as np
from tiled_job import Job, Ready, contest, grid_of, largest_difference, pad_to

from cervseg.arrays import RGB, Probabilities, Tensor
from cervseg.contract import Contract, find_model
from cervseg.errors import ConfigError
from cervseg.grid import TileGrid
from cervseg.inference.prediction import plan_tiles
from cervseg.reports import JSON


def monai(job: Job) -> Ready:
    """MONAI's sliding window over PyTorch."""
    contract = job.contract()
    torch = import_torch(threads=job.threads)
    twin = torch_twin(find_model(Path(job.model)), contract, torch)
    pixels, plan = job.pixels(), plan_tiles(contract, job.section())
    rival = Monai(torch, twin, grid=grid_of(plan, pixels[0]), batch=job.batch,
                  precision=job.precision)  # fmt: skip
    tile, expected = job.trial()
    facts: dict[str, JSON] = {
        "difference": largest_difference(rival.forward(tile), expected), "layout": rival.layout,
    }  # fmt: skip
    rival.tiles = 0
    rival.road(pixels[0])
    facts["tiles_of_a_field"] = rival.tiles
    return contest(job, rival.road, rival.forward, batch=job.batch, facts=facts)


def import_torch(*, threads: int) -> Tensor:
    """Import PyTorch, then MONAI, which would import TensorFlow where it is installed.

    Raises:
        ConfigError: One is not installed.
    """
    missing = [name for name in ("torch", "monai") if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"{' and '.join(missing)} not installed",
            hint="pip install torch==2.13.0, then pip install 'cervseg[benchmark]'",
        )
    cast("dict[str, object]", sys.modules)["tensorflow"] = None  # 500 MB, and not MONAI's own
    import torch

    torch.set_num_threads(threads)
    return torch


@dataclass(frozen=True)
class TorchUNet:
    """Our U-Net in plain PyTorch: the same layers, the same weights, logits out.

    Args:
        torch: The module.
        layers: Weight and bias by the name of the layer.
        levels: The bottleneck included.
        divisor: Of the pixels.
    """

    torch: Tensor
    layers: Mapping[str, tuple[Tensor, Tensor]]
    levels: int
    divisor: float

    def __call__(self, x: Tensor) -> Tensor:
        """From float32 pixels (n, 3, height, width) in [0, 255] to logits."""
        functional, skips = self.torch.nn.functional, []
        x = x / self.divisor if self.divisor != 1 else x
        for i in range(self.levels - 1):
            x = self._level(x, f"down{i}")
            skips.append(x)
            x = functional.max_pool2d(x, 2)
        x = self._level(x, "bottleneck")
        for i in reversed(range(self.levels - 1)):
            x = functional.conv_transpose2d(x, *self.layers[f"up{i}_expand"], stride=2)
            x = self._level(self.torch.cat([x, skips[i]], 1), f"up{i}")
        return functional.conv2d(x, *self.layers["logits"])

    def _level(self, x: Tensor, name: str) -> Tensor:
        functional = self.torch.nn.functional
        for number in (1, 2):
            x = functional.conv2d(x, *self.layers[f"{name}_conv{number}"], padding=1)
            x = functional.relu(x, inplace=True)
        return x

    def channels_last(self) -> "TorchUNet":
        """The same with its weights in the other layout of memory, in which it computes."""
        layout = self.torch.channels_last
        layers = {
            name: (kernel.contiguous(memory_format=layout), bias)
            for name, (kernel, bias) in self.layers.items()
        }
        return TorchUNet(self.torch, layers, self.levels, self.divisor)


def torch_twin(folder: Path, contract: Contract, torch: Tensor) -> TorchUNet:
    """The twin of a U-Net on disk; Keras is not needed.

    Raises:
        ConfigError: It is another network, or has layers that the twin lacks.
    """
    import h5py

    options = contract.options
    plain = {"normalization": "none", "activation": "relu"}
    plain_shape = {"base_kernels": [3, 3], "dilation": [1, 1]}
    same = all(options.get(key) == value for key, value in {**plain, **plain_shape}.items())
    if contract.architecture != "unet" or not same:
        raise ConfigError(f"no twin of {contract.architecture} in PyTorch was written")
    layers: dict[str, tuple[Tensor, Tensor]] = {}
    with h5py.File(folder / "model.weights.h5") as file:
        for name, layer in file.items():
            # Keras: (height, width, in, out), transposed ones (height, width, out, in).
            kernel = np.ascontiguousarray(np.asarray(layer["kernel"]).transpose(3, 2, 0, 1))
            bias = np.asarray(layer["bias"])
            layers[str(name)] = (torch.from_numpy(kernel), torch.from_numpy(bias))
    divisor = 255.0 if options.get("rescaling") == "unit" else 1.0
    return TorchUNet(torch, layers, int(str(options["num_layers"])), divisor)


class Monai:
    """MONAI's sliding window over the twin, in the faster of PyTorch's two layouts.

    Args:
        torch: From `import_torch`.
        twin: Of the network.
        grid: Tiles and overlap; the field is padded to it first, so that the tiles are as many.
        batch: Tiles at once.
        precision: float32, or bfloat16 by autocast.
    """

    def __init__(
        self, torch: Tensor, twin: TorchUNet, *, grid: TileGrid, batch: int, precision: str
    ) -> None:
        self._torch, self._grid, self._batch = torch, grid, batch
        self._bfloat16 = precision == "bfloat16"
        self.tiles = 0
        self._network, self.layout = twin, "channels first"
        tiles = np.zeros((batch, *grid.tile, 3), np.uint8)
        seconds = self._seconds(tiles)
        self._network, self.layout = twin.channels_last(), "channels last"
        if self._seconds(tiles) > seconds:
            self._network, self.layout = twin, "channels first"

    def forward(self, tiles: RGB) -> Probabilities:
        """Bare answers of a batch, shape (n, size, size, channels)."""
        with self._torch.inference_mode():
            return self._as_array(self._answer(self._as_tensor(tiles)))

    def road(self, pixels: RGB) -> Probabilities:
        """Answer a field."""
        from monai.inferers import sliding_window_inference

        grid = self._grid
        with self._torch.inference_mode():
            answer = sliding_window_inference(
                self._as_tensor(pad_to(pixels, grid)[None]),
                roi_size=grid.tile,
                sw_batch_size=self._batch,
                predictor=self._answer,
                overlap=grid.overlap / grid.size,
                mode="gaussian",
            )
            return self._as_array(answer)[0, : pixels.shape[0], : pixels.shape[1]]

    def _answer(self, x: Tensor) -> Tensor:
        self.tiles += len(x)
        if self.layout == "channels last":
            x = x.contiguous(memory_format=self._torch.channels_last)
        with self._torch.autocast("cpu", dtype=self._torch.bfloat16, enabled=self._bfloat16):
            logits = self._network(x)
        return self._torch.sigmoid(logits.float())

    def _as_tensor(self, tiles: RGB) -> Tensor:
        return self._torch.from_numpy(tiles).permute(0, 3, 1, 2).float().contiguous()

    def _as_array(self, answer: Tensor) -> Probabilities:
        return np.asarray(answer.permute(0, 2, 3, 1).contiguous().numpy(), np.float32)

    def _seconds(self, tiles: RGB) -> float:
        self.forward(tiles)
        begun = time.perf_counter()
        self.forward(tiles)
        return time.perf_counter() - begun

"""What `scripts/benchmark_tiled.py` compares with: a plain loop, MONAI, the reference's tiles."""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from cervseg.arrays import RGB, Probabilities, Tensor
from cervseg.contract import Contract, Predictor
from cervseg.errors import ConfigError
from cervseg.grid import TileGrid, Window
from cervseg.images.image import Image, whole
from cervseg.inference.bands import Band
from cervseg.inference.parts import STEPS, BandList

Road = Callable[[RGB], Probabilities]
"""From pixels (height, width, 3) to probabilities (height, width, channels)."""


def pad_to(pixels: RGB, grid: TileGrid) -> RGB:
    """Mirror a field up to the size of a grid."""
    rest = ((0, grid.height - pixels.shape[0]), (0, grid.width - pixels.shape[1]), (0, 0))
    return np.pad(pixels, rest, mode="reflect")


def naive_loop(model: Tensor, grid: TileGrid) -> Road:
    """The loop one writes first: `predict` for each tile, its answer pasted over what is there."""

    def road(pixels: RGB) -> Probabilities:
        padded = pad_to(pixels, grid)
        answer = np.zeros((grid.height, grid.width, 1), np.float32)
        for tile in grid:
            rows, columns = slice(tile.top, tile.bottom), slice(tile.left, tile.right)
            logits = model.predict(padded[None, rows, columns].astype(np.float32), verbose=0)
            answer[rows, columns] = 1 / (1 + np.exp(-logits[0]))
        return answer[: pixels.shape[0], : pixels.shape[1]]

    return road


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
        tiles = np.zeros((batch, grid.size, grid.size, 3), np.uint8)
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
                roi_size=(grid.size, grid.size),
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


def resized_tiles(image: Image, predict: Predictor, *, size: int, margin: int) -> BandList:
    """The reference's tiles: seen smaller by their margins, cut hard, black where there is nothing.

    Each tile of `size` is read with `margin` pixels more on every side where all of them lie in
    the image, and squeezed to `size`; the answer is stretched again and the margins are cut off.

    Args:
        image: At the model's scale.
        predict: The model.
        size: Side of a tile, pixels.
        margin: Pixels around it.

    Returns:
        On the grid of tiles without overlap, which may be larger than the image.
    """
    rows, columns = (-(-n // size) for n in (image.height, image.width))
    canvas = np.zeros((rows * size, columns * size, 3), np.uint8)
    canvas[: image.height, : image.width] = image.read(whole(image))
    strips = []
    for top in range(0, rows * size, size):
        tiles = [Window(top, left, size, size) for left in range(0, columns * size, size)]
        answers = [
            _resized(canvas, predict, tile, around=_around(image, tile, margin)) for tile in tiles
        ]
        strips.append(np.concatenate(answers, axis=1))
    parts = BandList(TileGrid(rows * size, columns * size, size), strips[0].shape[-1])
    for row, strip in enumerate(strips):
        parts.add(row, Band(row * size, strip))
    return parts


def _around(image: Image, tile: Window, margin: int) -> Window:
    """The window that is read for a tile."""
    above, before = min(margin, tile.top), min(margin, tile.left)
    below = margin if tile.bottom + margin <= image.height else 0
    behind = margin if tile.right + margin <= image.width else 0
    return Window(
        tile.top - above,
        tile.left - before,
        above + tile.height + below,
        before + tile.width + behind,
    )


def _resized(
    canvas: RGB, predict: Predictor, tile: Window, *, around: Window
) -> NDArray[np.float32]:
    seen = canvas[around.top : around.bottom, around.left : around.right]
    squeezed = np.asarray(cv2.resize(seen, (tile.width, tile.height)), np.uint8)
    answer = predict(squeezed[None])[0]
    large = np.asarray(cv2.resize(answer, (around.width, around.height)), np.float32)
    large = large.reshape(around.height, around.width, answer.shape[-1])
    top, left = tile.top - around.top, tile.left - around.left
    return large[top : top + tile.height, left : left + tile.width]


def recut(parts: BandList, grid: TileGrid) -> BandList:
    """The same answer as if it came from another grid; 0 where that is larger."""
    answer = np.zeros((grid.height, grid.width, parts.channels), np.float32)
    height, width = min(grid.height, parts.grid.height), min(grid.width, parts.grid.width)
    answer[:height, :width] = parts.read(0, height)[:, :width] / np.float32(STEPS)
    other = BandList(grid, parts.channels)
    starts = grid.starts(grid.height)
    for number, (top, bottom) in enumerate(pairwise([*starts, grid.height])):
        other.add(number, Band(top, answer[top:bottom]))
    return other


def worst_seam(
    cut: NDArray[np.float32], smooth: NDArray[np.float32], *, size: int, side: int = 80
) -> Window:
    """Where the jump across borders of tiles is largest, beyond that of the other answer.

    Args:
        cut: Probabilities with borders at multiples of `size`, shape (height, width).
        smooth: Others of the same field.
        size: Side of a tile, pixels.
        side: Of the window, pixels.
    """
    height, width = cut.shape
    jumps = np.zeros((height, width), np.float32)
    for axis, length in ((0, height), (1, width)):
        for line in range(size, length, size):
            here, before = (np.take(cut - smooth, n, axis=axis) for n in (line, line - 1))
            np.moveaxis(jumps, axis, 0)[line] += np.abs(here - before)
    heat = np.asarray(cv2.boxFilter(jumps, -1, (side // 2, side // 2)))
    y, x = np.unravel_index(int(heat.argmax()), heat.shape)
    side = min(side, height, width)
    top = int(np.clip(y - side // 2, 0, height - side))
    left = int(np.clip(x - side // 2, 0, width - side))
    return Window(top, left, side, side)

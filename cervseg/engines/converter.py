"""The process that converts: `python -m cervseg.engines.converter JOB`, started by `convert`.

What is written takes float32 pixels in [0, 255] as the contract prepares them, shape (n, height,
width, input channels), and ends in logits, like every network here.
"""

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cervseg import runtime
from cervseg.arrays import Tensor
from cervseg.contract import Contract
from cervseg.errors import CervsegError
from cervseg.files import output_error


def _export(network: Tensor, target: Path, shape: tuple[int, int, int], *, kind: str) -> None:
    """Let Keras write a graph of fixed tiles and open batch."""
    import keras

    network(np.zeros((1, *shape), np.float32))  # one that was never called is refused
    spec = keras.InputSpec(shape=(None, *shape), dtype="float32", name="image")
    network.export(str(target), format=kind, verbose=False, input_signature=[spec])


def _write_keras(network: Tensor, target: Path, shape: tuple[int, int, int]) -> None:
    from cervseg.models.folding import with_keras_layers

    with_keras_layers(network).save(target)


def _write_saved_model(network: Tensor, target: Path, shape: tuple[int, int, int]) -> None:
    _export(network, target, shape, kind="tf_saved_model")


def _write_onnx(network: Tensor, target: Path, shape: tuple[int, int, int]) -> None:
    _export(network, target, shape, kind="onnx")


def _write_openvino(network: Tensor, target: Path, shape: tuple[int, int, int]) -> None:
    from cervseg.engines.openvino import import_openvino

    openvino = import_openvino()
    with tempfile.TemporaryDirectory(dir=target.parent) as saved:
        _export(network, Path(saved), shape, kind="tf_saved_model")
        graph = openvino.convert_model(saved)
    openvino.save_model(graph, target, compress_to_fp16=False)


WRITERS: dict[str, Callable[[Tensor, Path, tuple[int, int, int]], None]] = {
    "keras": _write_keras,
    "saved_model": _write_saved_model,
    "onnx": _write_onnx,
    "openvino": _write_openvino,
}


def _read_again(kind: str, target: Path) -> Tensor:
    """What was just written for other programs, as they would read it."""
    import keras

    if kind == "keras":
        return keras.models.load_model(target)
    return keras.layers.TFSMLayer(target, call_endpoint="serve")


def _answer(network: Tensor, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.concatenate([np.asarray(network(tile[None].astype(np.float32))) for tile in tiles])


def convert(job: dict[str, str | list[int]]) -> None:
    """Write the model, and answer the tiles of the trial."""
    runtime.start(device="cpu")
    from cervseg.models.folder import load_model

    folder, target, kind = Path(str(job["folder"])), Path(str(job["target"])), str(job["kind"])
    contract = Contract.load(folder)
    network = load_model(folder, contract)
    trial = Path(str(job["trial"])) if job["trial"] else None
    if trial is not None:
        tiles = np.load(trial / "tiles.npy")
        np.save(trial / "expected.npy", _answer(network, tiles))
    if job["precision"] != "float32":
        with runtime.precision(str(job["precision"])):
            network = load_model(folder, contract)
    height, width = map(int, job["side"])
    WRITERS[kind](network, target, (height, width, contract.input_channels))
    if trial is not None and kind in ("keras", "saved_model"):
        np.save(trial / "answers.npy", _answer(_read_again(kind, target), tiles))


def main(words: list[str]) -> int:
    """Do one job; an error that people can mend goes into a file for the other process."""
    job = json.loads(words[0])
    try:
        convert(job)
    except CervsegError as exc:
        return _tell(exc, job["scratch"])
    except OSError as exc:
        return _tell(output_error(exc, Path(job["target"])), job["scratch"])
    return 0


def _tell(error: CervsegError, scratch: str) -> int:
    document = {"kind": type(error).__name__, "message": str(error), "hint": error.hint}
    (Path(scratch) / "error.json").write_text(json.dumps(document), encoding="utf-8")
    return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

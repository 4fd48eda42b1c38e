"""Predict with ONNX Runtime; the extra `onnx`."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cervseg.contract import Contract
from cervseg.engines.graphs import broken_graph, graph_of, refuse_other_graph
from cervseg.engines.settings import EngineSettings, require
from cervseg.engines.tiles import Forward, GraphPredictor, Shape
from cervseg.errors import ConfigError

if TYPE_CHECKING:
    import onnxruntime


def open_onnx(folder: Path, contract: Contract, settings: EngineSettings) -> GraphPredictor:
    """Convert a model where need be, and load it for each shape of a batch that comes.

    Raises:
        ConfigError: ONNX Runtime is missing, or bfloat16 is asked for.
        ModelError: The graph is broken or of other tiles.
        BudgetError: Converting would take more memory than there is.
    """
    require("onnx")
    if settings.precision == "bfloat16":
        raise ConfigError(
            "engine onnx does not compute in bfloat16",
            hint="use precision float32, or engine openvino",
        )

    def compile_for(shape: Shape) -> Forward:
        path = graph_of(folder, contract, "onnx", side=shape[1:3])
        session = _load(path, settings.cores)
        ports = (*session.get_inputs(), *session.get_outputs())
        sides = [[n if isinstance(n, int) else None for n in port.shape] for port in ports]
        refuse_other_graph(path, contract, shape=shape, sides=sides)
        return _forward(session)

    side = settings.tile_size or contract.tile_size
    graph_of(folder, contract, "onnx", side=(side, side))
    return GraphPredictor(contract, compile_for, batch_size=settings.batch_size)


def _load(path: Path, threads: int) -> "onnxruntime.InferenceSession":
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as errors

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # its errors come as exceptions, too
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except (
        errors.Fail, errors.InvalidArgument, errors.InvalidGraph, errors.InvalidProtobuf,
        errors.NoSuchFile, errors.NotImplemented, errors.RuntimeException,
    ) as exc:  # fmt: skip
        raise broken_graph(path, exc) from exc


def _forward(session: "onnxruntime.InferenceSession") -> Forward:
    name = session.get_inputs()[0].name

    def forward(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(session.run(None, {name: tiles.astype(np.float32)})[0])

    return forward

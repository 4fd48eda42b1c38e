"""Predict with OpenVINO: Intel's runtime, also good on AMD; the extra `openvino`."""

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from cervseg.arrays import Tensor
from cervseg.contract import Contract
from cervseg.engines.graphs import broken_graph, graph_of, refuse_other_graph
from cervseg.engines.settings import EngineSettings, refuse_bfloat16, require
from cervseg.engines.tiles import Forward, GraphPredictor, Shape

if TYPE_CHECKING:
    import openvino

HINTS = {"float32": "f32", "bfloat16": "bf16"}


def import_openvino() -> Tensor:
    """Import OpenVINO, which then tells nobody.

    A bare `import openvino` reports itself to a web service through the package
    `openvino-telemetry` and writes to the home folder. Where that package can't be imported,
    OpenVINO takes a stub of its own.

    Raises:
        ConfigError: It is not installed.
    """
    require("openvino")
    cast("dict[str, ModuleType | None]", sys.modules)["openvino_telemetry"] = None
    import openvino

    return openvino


def open_openvino(folder: Path, contract: Contract, settings: EngineSettings) -> GraphPredictor:
    """Convert a model where need be, and compile it for each shape of a batch that comes.

    Raises:
        ConfigError: OpenVINO is missing, or bfloat16 is asked for and the processor lacks it.
        ModelError: The graph is broken or of other tiles.
        BudgetError: Converting would take more memory than there is.
    """
    ov = import_openvino()
    if settings.precision == "bfloat16":
        refuse_bfloat16()
    core = ov.Core()
    options = {
        # OpenVINO's own default is bfloat16 wherever the processor has it.
        "INFERENCE_PRECISION_HINT": HINTS[settings.precision],
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": str(settings.cores),
        "ENABLE_CPU_PINNING": "NO",  # two processes would sit on the same cores
    }

    def compile_for(shape: Shape) -> Forward:
        path = graph_of(folder, contract, "openvino", side=shape[1:3])
        graph = _read(core, path)
        refuse_other_graph(path, contract, shape=shape, sides=_sides(graph))
        graph.reshape(list(shape))
        steps = ov.preprocess.PrePostProcessor(graph)
        steps.input().tensor().set_element_type(ov.Type.u8)  # the graph converts 8-bit pixels
        return _forward(core.compile_model(steps.build(), "CPU", options))

    side = settings.tile_size or contract.tile_size
    graph_of(folder, contract, "openvino", side=(side, side))
    return GraphPredictor(contract, compile_for, batch_size=settings.batch_size)


def _read(core: "openvino.Core", path: Path) -> "openvino.Model":
    try:
        return core.read_model(path)
    except RuntimeError as exc:
        raise broken_graph(path, exc) from exc


def _sides(graph: "openvino.Model") -> list[list[int | None]]:
    """Shapes of the graph's input and output; None where it is open."""
    return [
        [side.get_length() if side.is_static else None for side in port.partial_shape]
        for port in (*graph.inputs, *graph.outputs)
    ]


def _forward(compiled: "openvino.CompiledModel") -> Forward:
    request = compiled.create_infer_request()

    def forward(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        request.infer({0: tiles}, share_inputs=True)
        return np.asarray(request.get_output_tensor(0).data)  # its own memory, not a copy

    return forward

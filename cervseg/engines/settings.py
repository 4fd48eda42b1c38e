"""How a model is to be computed, and which engines are installed."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from cervseg import machine, runtime
from cervseg.errors import ConfigError

EngineName = Literal["keras", "openvino", "onnx", "auto"]
Precision = Literal["float32", "bfloat16"]

EXTRAS: dict[str, tuple[str, ...]] = {
    "openvino": ("openvino",),
    "onnx": ("onnxruntime", "onnx", "tf2onnx"),
}
"""What `pip install 'cervseg[NAME]'` brings; the first computes, the rest convert.

An engine that is not named needs nothing more.
"""


@dataclass(frozen=True)
class EngineSettings:
    """What an engine is told beside the model.

    Args:
        engine: keras, openvino, onnx, or auto: the fastest one installed.
        precision: Of the activations.
        tile_size: Side of the tiles that come, pixels, so that engines of fixed size are ready
            before the first; None: the model's.
        batch_size: Tiles computed at once, no more and no fewer: calls are cut and filled up, so
            that no answer depends on a call's length. None: as they come.
        threads: Of OpenVINO and ONNX Runtime; None: all allowed cores. Keras has those of
            `runtime.start`.
    """

    engine: EngineName = "keras"
    precision: Precision = "float32"
    tile_size: int | None = None
    batch_size: int | None = None
    threads: int | None = None

    @property
    def cores(self) -> int:
        """Threads in numbers."""
        return self.threads or runtime.allowed_cores()


def is_installed(engine: str) -> bool:
    """Whether an engine can compute here."""
    return engine not in EXTRAS or find_spec(EXTRAS[engine][0]) is not None


def require(engine: str, *, conversion: bool = False) -> None:
    """Check that an engine is installed.

    Args:
        engine: openvino or onnx.
        conversion: Also what makes its graphs.

    Raises:
        ConfigError: It is not; names what to install.
    """
    missing = [name for name in EXTRAS[engine] if find_spec(name) is None]
    if missing and (conversion or missing[0] == EXTRAS[engine][0]):
        raise ConfigError(
            f"engine {engine} needs {' and '.join(missing)}, not installed here",
            hint=f"pip install 'cervseg[{engine}]'",
        )


def refuse_bfloat16() -> None:
    """Check that the processor computes in bfloat16.

    Raises:
        ConfigError: It would emulate it, more slowly than float32.
    """
    if not machine.has_bfloat16():
        raise ConfigError(
            "precision is bfloat16, which this processor does not have",
            hint="use precision float32",
        )

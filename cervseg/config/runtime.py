"""`runtime`: seed, precision, device, threads."""

from typing import Literal

from pydantic import Field

from cervseg.config.base import Section


class RuntimeConfig(Section):
    """What the machine does, not what is computed."""

    seed: int = Field(0, ge=0, lt=2**31, description="of weights, draws and dropout")
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="of the activations in training; weights and logits are float32"
    )
    device: Literal["auto", "cpu", "gpu"] = Field(
        "auto", description="auto: the GPU where there is one"
    )
    threads: int | None = Field(
        None, ge=1, le=1024, description="default: the cores this process may use"
    )
    deterministic: bool = Field(True, description="equal runs give equal bits")

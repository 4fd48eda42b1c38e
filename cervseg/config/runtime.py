"""`runtime`: seed, precision, device, threads."""

from typing import Annotated, Literal

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
    processes: Annotated[int, Field(ge=1, le=4096)] | Literal["slurm"] = Field(
        1,
        description="that train together, each with a share of every batch; below JAX; slurm: "
        "those that `srun` started",
    )
    process: int = Field(0, ge=0, description="which of them this is; 0 writes the run")
    coordinator: str | None = Field(
        None, description="HOST:PORT of process 0, by which they meet; with slurm found by itself"
    )

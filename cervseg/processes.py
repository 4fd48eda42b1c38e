"""Processes that train one network together, on one machine or several: below JAX only."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cervseg import runtime
from cervseg.errors import ConfigError, LostProcess

LOSSES = ("Gloo", "NCCL", "Connection closed by peer", "Connection reset by peer", "coordination")
"""By which the backend's errors tell that another process is gone."""


@dataclass(frozen=True)
class Team:
    """Which of how many processes this one is.

    Args:
        number: From 0; that one writes the run.
        count: All of them.
        coordinator: Host and port of process 0.
    """

    number: int = 0
    count: int = 1
    coordinator: str | None = None

    @property
    def leads(self) -> bool:
        """Whether this one writes."""
        return self.number == 0

    def share(self, size: int) -> slice:
        """The places of a batch that this process makes."""
        part = size // self.count
        return slice(self.number * part, (self.number + 1) * part)


ALONE = Team()


def team_of(count: int | Literal["slurm"], number: int, coordinator: str | None) -> Team:
    """Who this process is, by what the config says or what `srun` told it.

    Args:
        count: Of processes; slurm: `SLURM_NTASKS`, and what is not given is found likewise.
        number: Of this one.
        coordinator: Host and port of process 0.

    Raises:
        ConfigError: The keys contradict each other, SLURM started nothing, or not below JAX.
    """
    if count == "slurm":
        number = _of_slurm("SLURM_PROCID")
        count, coordinator = _of_slurm("SLURM_NTASKS"), coordinator or _slurm_coordinator()
    if count == 1:
        return ALONE
    if os.environ.get("KERAS_BACKEND") != "jax":
        raise ConfigError(
            "'runtime.processes': several train together below JAX only",
            hint="pip install 'cervseg[jax]', then KERAS_BACKEND=jax cervseg train …",
        )
    if number >= count:
        raise ConfigError(f"'runtime.process' is {number}; of {count} the last is {count - 1}")
    if not coordinator or not coordinator.rpartition(":")[2].isdigit():
        raise ConfigError(
            f"'runtime.coordinator' is {coordinator!r}; it must be HOST:PORT of process 0"
        )
    return Team(number, count, coordinator)


def _of_slurm(name: str) -> int:
    value = os.environ.get(name, "")
    if not value.isdigit():
        raise ConfigError(
            f"'runtime.processes' is slurm, but {name} is {value!r}",
            hint="start it with srun, or say runtime.processes, process and coordinator",
        )
    return int(value)


def _slurm_coordinator() -> str:
    """The first host of the step, and a port that other jobs on it are not likely to use."""
    hosts = os.environ.get("SLURM_STEP_NODELIST", "")
    head, bracket, rest = hosts.partition("[")
    first = head.split(",")[0]
    if bracket and "," not in head:
        first += rest.replace("-", ",").replace("]", ",").split(",")[0]
    return f"{first}:{61440 + _of_slurm('SLURM_JOB_ID') % 4096}"


def join(team: Team) -> None:
    """Meet the others; the backend must not have computed anything yet.

    Raises:
        ConfigError: They did not come within five minutes.
    """
    if team.count == 1:
        return
    import jax

    try:
        jax.distributed.initialize(team.coordinator, team.count, team.number)
    except (RuntimeError, ValueError) as exc:
        raise ConfigError(
            f"{team.coordinator}: process {team.number} of {team.count} did not meet the others: "
            f"{str(exc).splitlines()[0]}",
            hint="is process 0 running, and is the port open between the hosts?",
        ) from exc


def devices() -> int:
    """Devices that share a batch: below JAX all of all processes, else one."""
    if not runtime.on_jax():
        return 1
    import jax

    return int(jax.device_count())


def require_shares(batch: int) -> None:
    """Check that a batch can be shared by all devices.

    Raises:
        ConfigError: It can't.
    """
    if batch % devices():
        raise ConfigError(
            f"'train.batch_size' {batch} can't be shared by {devices()} devices alike",
            hint=f"a multiple of {devices()}",
        )


@contextmanager
def together() -> Iterator[None]:
    """Let networks that are built here share each batch between all devices.

    Raises:
        LostProcess: Another process ended.
    """
    if devices() == 1:
        yield
        return
    import keras

    everywhere = keras.distribution.list_devices()
    keras.distribution.set_distribution(
        keras.distribution.DataParallel(devices=everywhere, auto_shard_dataset=False)
    )
    try:
        yield
    except (RuntimeError, ValueError) as exc:  # JAX raises either
        if _tells_loss(exc):
            raise LostProcess("another process of this training ended") from exc
        raise
    finally:
        keras.distribution.set_distribution(None)


def _tells_loss(exc: BaseException) -> bool:
    """Whether an exception of the backend means that another process is gone."""
    return any(sign in str(exc) for sign in LOSSES)


def agreed(team: Team, answer: bool) -> bool:
    """What process 0 says; all must ask at the same place."""
    if team.count == 1:
        return answer
    from jax.experimental import multihost_utils

    return bool(multihost_utils.broadcast_one_to_all(np.array(answer)))


def part(team: Team) -> None:
    """Leave the others, once all have come to this place."""
    if team.count > 1:
        import jax

        jax.distributed.shutdown()


def is_joined() -> bool:
    """Whether this process has joined others and not parted from them."""
    import jax

    return bool(jax.distributed.is_initialized())

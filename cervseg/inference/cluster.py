"""Many processes, one output: images, and bands of large ones, as Dask tasks."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from cervseg.errors import BudgetError, CervsegError, ConfigError

if TYPE_CHECKING:
    from distributed import Client

DEATHS = 3
"""A task that has killed so many workers is given up."""


class Step(NamedTuple):
    """What is to be computed: a function that every worker can import, and its arguments.

    Args:
        item: Number of the image.
        rank: Of what waits, the smallest is computed first.
        function: Picklable.
        arguments: Picklable.
    """

    item: int
    rank: int
    function: Callable[..., object]
    arguments: tuple[object, ...]


@contextmanager
def connect(where: str) -> Iterator["Client"]:
    """Start a local cluster of so many processes, or join one by its address.

    Raises:
        ConfigError: Dask is not installed, or there is no such cluster.
    """
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError as exc:
        raise ConfigError(
            "--cluster needs dask.distributed, not installed here",
            hint="pip install 'cervseg[cluster]'",
        ) from exc
    quiet = {"distributed.logging.distributed": "critical",
             "distributed.scheduler.allowed-failures": DEATHS - 1}  # fmt: skip
    with dask.config.set(quiet):
        if where.isascii() and where.isdigit() and int(where):
            with (
                LocalCluster(
                    n_workers=int(where),
                    threads_per_worker=1,
                    dashboard_address="127.0.0.1:0",  # else 8787 on every interface, taken or not
                    silence_logs=50,
                ) as cluster,
                Client(cluster, set_as_default=False) as client,
            ):
                yield client
            return
        try:
            client = Client(where, timeout=5, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as exc:
            raise ConfigError(
                f"--cluster {where!r}: no scheduler answers there",
                hint="a number of processes, or the address a Dask scheduler prints: tcp://…",
            ) from exc
        with client:
            yield client


def run_steps(
    client: "Client", first: Sequence[Step], after: Callable[[Step, object], Sequence[Step]]
) -> Iterator[tuple[int, CervsegError | None]]:
    """Compute steps on the workers, and those that follow from their results.

    Args:
        client: Of the cluster.
        first: What to begin with.
        after: From a step and its result to the steps that follow, none at the end of an image.

    Yields:
        The number of each image when it is done, and what went wrong with it if something did.
    """
    work, waiting, order = _Work(client), list[tuple[int, int, Step]](), count()
    left: Counter[int] = Counter()
    failed: dict[int, CervsegError] = {}

    def add(steps: Sequence[Step]) -> None:
        for step in steps:
            left[step.item] += 1
            heappush(waiting, (step.rank, next(order), step))

    add(first)
    while waiting or work.running:
        while waiting and work.has_room():
            work.submit(heappop(waiting)[-1])
        step, result, error = work.take()
        left[step.item] -= 1
        if error is not None:
            failed.setdefault(step.item, error)
        elif step.item not in failed:
            add(after(step, result))
        if not left[step.item]:
            yield step.item, failed.get(step.item)


class _Work:
    """Steps on their way."""

    def __init__(self, client: "Client") -> None:
        from distributed import as_completed

        self._client = client
        self._done = as_completed((), loop=client.loop)
        self.running: dict[object, Step] = {}

    def has_room(self) -> bool:
        """Whether more steps should be on their way, so that no worker waits."""
        return len(self.running) < 4 * max(1, len(self._client.nthreads()))

    def submit(self, step: Step) -> None:
        # `pure=False`: equal arguments after a failure are computed anew.
        future = self._client.submit(step.function, *step.arguments, pure=False)
        self.running[future] = step
        self._done.add(future)

    def take(self) -> tuple[Step, object, CervsegError | None]:
        """Wait for a step: its result, or what went wrong with it."""
        from distributed import KilledWorker

        future = next(self._done)
        step = self.running.pop(future)
        error = future.exception()
        try:
            if error is None:
                return step, future.result(), None
            if isinstance(error, CervsegError):
                return step, None, error
            if isinstance(error, KilledWorker):
                dead = BudgetError(
                    f"the worker that computed it died {DEATHS} times",
                    hint="out of memory? give workers more, or set tiled_infer.batch_size=1",
                )
                return step, None, dead
            raise error
        finally:
            future.release()

"""`tiled-infer --cluster`: what the workers do, and who is told what is done."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import cast

from cervseg import runtime
from cervseg.commands.inputs import Input
from cervseg.commands.opening import Opening, open_segmenter
from cervseg.config.inference import TiledInferConfig
from cervseg.config.runtime import RuntimeConfig
from cervseg.contract import is_builtin
from cervseg.errors import CervsegError, ConfigError
from cervseg.images.readers import open_image
from cervseg.inference.cluster import Step, connect, run_steps
from cervseg.inference.outputs import ImageReport, OutputFolder
from cervseg.inference.parts import Bands
from cervseg.inference.segment import Segmenter
from cervseg.reports import SILENT, Bar

BANDS_A_TASK = 8
"""A task predicts one row of tiles more than it has bands, so few bands would waste time."""

_opened: dict[str, Segmenter] = {}


def share_threads(cluster: str, settings: RuntimeConfig) -> RuntimeConfig:
    """Say how many threads each worker computes with: the same everywhere.

    Raises:
        ConfigError: Workers elsewhere, and nobody says how many.
    """
    if settings.threads is not None:
        return settings
    if not cluster.isdigit() or not int(cluster):
        raise ConfigError(
            "--cluster with an address needs 'runtime.threads', the same on every worker",
            hint="--set runtime.threads=4",
        )
    threads = max(1, runtime.allowed_cores() // int(cluster))
    return settings.model_copy(update={"threads": threads})


def segment_on_cluster(
    cluster: str, opening: Opening, inputs: Sequence[Input], *, bar: Bar
) -> Iterator[tuple[int, ImageReport | CervsegError]]:
    """Segment images on the workers of a cluster.

    Args:
        cluster: A number of processes, or an address.
        opening: What each worker opens.
        inputs: The images.
        bar: Has a step for each of them; grows by the bands of large ones when they are known,
            and is moved as bands are finished.

    Yields:
        The number of each image as it is done, and its report or what went wrong.
    """
    work = _Images(for_workers(opening), inputs, bar)
    with connect(cluster) as client:
        first = [work.step(item, begin) for item in range(len(inputs))]
        for item, error in run_steps(client, first, work.after):
            work.advance(item, work.left[item])  # of one that is not large, or has failed
            yield item, work.reports[item] if error is None else error


def for_workers(opening: Opening) -> Opening:
    """The same, wherever a worker was started: each path from the root, built-in models by name."""
    output, section = opening.output, opening.section
    if isinstance(section, TiledInferConfig) and isinstance(section.roi, Path):
        section = section.model_copy(update={"roi": section.roi.resolve()})
    return opening._replace(
        section=section,
        models=tuple(path if is_builtin(path) else path.resolve() for path in opening.models),
        output=OutputFolder(output.folder.resolve(), output.share),
    )


class _Images:
    """What is done of each image."""

    def __init__(self, opening: Opening, inputs: Sequence[Input], bar: Bar) -> None:
        self._opening, self._inputs, self._bar = opening, inputs, bar
        self.reports: dict[int, ImageReport] = {}
        self.left = dict.fromkeys(range(len(inputs)), 1)  # steps of the bar
        self._tasks: dict[int, int] = {}  # left, of bands

    def advance(self, item: int, count: int) -> None:
        """Move the bar by steps of an image."""
        self.left[item] -= count
        self._bar.advance(count)

    def step(self, item: int, function: Callable[..., object], *more: object) -> Step:
        """A task of an image."""
        path, name = self._inputs[item]
        arguments = (self._opening, path.resolve(), name, *more)
        return Step(item, RANKS[function], function, arguments)

    def after(self, done: Step, result: object) -> list[Step]:
        """The tasks that follow from one that is done."""
        item = done.item
        if isinstance(result, ImageReport):
            self.reports[item] = result
            return []
        if isinstance(result, Bands):
            return self._predict(item, result)
        self.advance(item, cast("int", result))
        self._tasks[item] -= 1
        return [] if self._tasks[item] else [self.step(item, finish)]

    def _predict(self, item: int, bands: Bands) -> list[Step]:
        missing = bands.missing
        self.left[item] = len(missing)
        self._bar.grow(bands.total - 1, done=bands.total - len(missing))
        runs = [missing[i : i + BANDS_A_TASK] for i in range(0, len(missing), BANDS_A_TASK)]
        self._tasks[item] = len(runs)
        return [self.step(item, predict, *run) for run in runs] or [self.step(item, finish)]


def begin(opening: Opening, path: Path, name: str) -> ImageReport | Bands:
    """On a worker: segment an image, or, of a large one, say which bands it lacks."""
    tools, image = _tools(opening), open_image(path)
    bands = tools.bands(image, path, name)
    return tools.segment(image, path, name, progress=SILENT) if bands is None else bands


def predict(opening: Opening, path: Path, name: str, *bands: int) -> int:
    """On a worker: predict some bands of a large image, and say how many."""
    _tools(opening).predict_bands(open_image(path), path, name, bands=bands)
    return len(bands)


def finish(opening: Opening, path: Path, name: str) -> ImageReport:
    """On a worker: from finished bands to the files of a large image."""
    return _tools(opening).segment(open_image(path), path, name, progress=SILENT)


RANKS: dict[Callable[..., object], int] = {finish: 0, begin: 1, predict: 2}
"""What is ended first, lest bands of all images lie on disk; begun, so that the bar knows them."""


def _tools(opening: Opening) -> Segmenter:
    """The model, loaded once a worker."""
    key = repr(opening)
    if key not in _opened:
        _opened.clear()
        _opened[key] = open_segmenter(opening)
    return _opened[key]

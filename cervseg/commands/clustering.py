"""`tiled-infer --cluster`: what the workers do, and who is told what is done."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import cast

from cervseg import runtime
from cervseg.commands.inputs import Input
from cervseg.commands.opening import Opening, open_segmenter
from cervseg.config.runtime import RuntimeConfig
from cervseg.errors import CervsegError, ConfigError
from cervseg.images.readers import open_image
from cervseg.inference.cluster import Step, connect, run_steps
from cervseg.inference.outputs import ImageReport, OutputFolder
from cervseg.inference.segment import Segmenter
from cervseg.reports import SILENT

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
    cluster: str, opening: Opening, inputs: Sequence[Input]
) -> Iterator[tuple[int, ImageReport | CervsegError]]:
    """Segment images on the workers of a cluster.

    Yields:
        The number of each image as it is done, and its report or what went wrong.
    """
    output = opening.output
    opening = opening._replace(
        models=tuple(path.resolve() for path in opening.models),
        output=OutputFolder(output.folder.resolve(), output.share),
    )
    reports: dict[int, ImageReport] = {}
    left: dict[int, int] = {}

    def step(item: int, function: Callable[..., object], *more: object) -> Step:
        path, name = inputs[item]
        return Step(item, function, (opening, path.resolve(), name, *more))

    def after(done: Step, result: object) -> list[Step]:
        item = done.item
        if isinstance(result, ImageReport):
            reports[item] = result
            return []
        if done.function is begin:
            bands = cast("list[int]", result)
            runs = [bands[i : i + BANDS_A_TASK] for i in range(0, len(bands), BANDS_A_TASK)]
            left[item] = len(runs)
            if runs:
                return [step(item, predict, run[0], run[-1] + 1) for run in runs]
        else:
            left[item] -= 1
        return [] if left[item] else [step(item, finish)]

    with connect(cluster) as client:
        first = [step(item, begin) for item in range(len(inputs))]
        for item, error in run_steps(client, first, after):
            yield item, reports[item] if error is None else error


def begin(opening: Opening, path: Path, name: str) -> ImageReport | list[int]:
    """On a worker: segment an image, or, of a large one, say which bands it lacks."""
    tools, image = _tools(opening), open_image(path)
    missing = tools.missing_bands(image, path, name)
    return tools.segment(image, path, name, progress=SILENT) if missing is None else missing


def predict(opening: Opening, path: Path, name: str, *bands: int) -> None:
    """On a worker: predict the bands from the first number to before the second."""
    _tools(opening).predict_bands(open_image(path), path, name, bands=range(*bands))


def finish(opening: Opening, path: Path, name: str) -> ImageReport:
    """On a worker: from finished bands to the files of a large image."""
    return _tools(opening).segment(open_image(path), path, name, progress=SILENT)


def _tools(opening: Opening) -> Segmenter:
    """The model, loaded once a worker."""
    key = repr(opening)
    if key not in _opened:
        _opened.clear()
        _opened[key] = open_segmenter(opening)[0]
    return _opened[key]

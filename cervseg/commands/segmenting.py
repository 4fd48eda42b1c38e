"""Images through a model, one after another: what `infer` and `tiled-infer` share."""

import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from cervseg.annotations.geojson import read_geojson
from cervseg.commands.clustering import segment_on_cluster, share_threads
from cervseg.commands.forecasting import dry_run, fit_memory
from cervseg.commands.inputs import Input, find_inputs
from cervseg.commands.opening import Opening, open_segmenter
from cervseg.commands.outcome import Outcome
from cervseg.commands.record import RESOLVED, check_record, make_record, recorded_batch
from cervseg.config.inference import InferConfig, TiledInferConfig
from cervseg.config.runtime import RuntimeConfig
from cervseg.contract import Contract, find_model
from cervseg.digests import sample_digest
from cervseg.errors import (
    CervsegError,
    CheckError,
    ConfigError,
    DataError,
    Interrupted,
    OutputError,
)
from cervseg.files import claim, claim_share, refuse_occupied, write_json
from cervseg.images.image import Image
from cervseg.images.readers import open_image
from cervseg.inference.budget import Memory, within
from cervseg.inference.outputs import ImageReport, OutputFolder
from cervseg.inference.segment import Segmenter
from cervseg.reports import JSON, Progress, Report, track


class Asked(NamedTuple):
    """A section of the config with what the command line says in place of its keys."""

    section: InferConfig
    images: list[Path]
    model: list[Path]
    output: Path


@dataclass(frozen=True)
class Shard:
    """Every `total`-th image, from the `number`-th on, counted from 1."""

    number: int
    total: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read `2/8`.

        Raises:
            ConfigError: It is nothing like it.
        """
        words = text.split("/")
        if len(words) == 2 and all(word.isascii() and word.isdigit() for word in words):
            shard = cls(int(words[0]), int(words[1]))
            if 1 <= shard.number <= shard.total:
                return shard
        raise ConfigError(f"--shard {text!r} is no share", hint="--shard 2/8: the second of eight")

    @property
    def name(self) -> str:
        """As it stands in the names of files."""
        return f"{self.number}_of_{self.total}"


def run_inference(
    command: str,
    asked: Asked,
    settings: RuntimeConfig,
    *,
    overwrite: bool,
    resume: bool,
    shard: Shard | None = None,
    cluster: str | None = None,
    dry: bool = False,
    progress: Progress,
) -> Report:
    """Segment all images that are asked for; broken ones become failures of the report."""
    inputs = find_inputs(asked.images)
    if shard is not None:
        inputs = inputs[shard.number - 1 :: shard.total]
    for path in asked.model:
        Contract.load(find_model(path))  # missing or broken: before Keras is imported
    if isinstance(roi := getattr(asked.section, "roi", None), Path):
        read_geojson(roi)  # broken or missing: once, not for each image
    output = OutputFolder(asked.output, shard.name if shard else "")
    record = make_record(command, asked.section, asked.model)
    if cluster is not None:
        settings = share_threads(cluster, settings)
    engine = None
    if not dry:
        needed = [*(item.path for item in inputs), *asked.model]
        engine = _check_output(output, record, overwrite=overwrite, resume=resume, needed=needed)
    opening = Opening(command, asked.section, tuple(asked.model), output, settings, engine)
    batch = recorded_batch(output.record) if resume else None
    opening, tools, notices = _open(opening, inputs, batch=batch)
    if dry:
        return dry_run(command, inputs, tools)
    between = tools.plan.notices if tools.plan else ()
    outcome = Outcome(output, list(notices), between, asked.section.overlays)
    with _claim(output, overwrite=overwrite, resume=resume):
        resolved = {k: v for k, v in tools.model.fingerprint.items() if k in RESOLVED}
        write_json(output.record, {**record, **resolved})
        try:
            if cluster is None:
                _each(inputs, tools, outcome, resume=resume, progress=progress)
            else:
                opening = opening._replace(engine=str(tools.model.fingerprint["engine"]))
                _together(
                    cluster, opening, inputs, outcome=outcome, resume=resume, progress=progress
                )
        except KeyboardInterrupt as exc:
            message = f"interrupted; {len(outcome.rows)} of {len(inputs)} images are done"
            raise Interrupted(message, hint="call it again with resume=True") from exc
        outcome.write(tools.assembly.classes)
    return outcome.report(command)


def _open(
    opening: Opening, inputs: Sequence[Input], *, batch: int | None
) -> tuple[Opening, Segmenter, tuple[str, ...]]:
    """Open the model, to work in the memory allowed; `batch` is that of a run to be resumed."""
    tools = open_segmenter(opening)
    notices: tuple[str, ...] = ()
    plan, section = tools.plan, opening.section
    if plan is None or not isinstance(section, TiledInferConfig):
        return opening, tools, notices
    memory = Memory(batch or plan.batch_size)
    if section.max_ram is not None:
        memory = fit_memory(tools, inputs, section.max_ram, batch=batch)
        if memory != Memory(plan.batch_size):
            said = f"max_ram: batches of {memory.batch}, pieces of {memory.piece} pixels"
            notices = (said if memory.spare else f"{said}, no spare cache",)
    return opening._replace(memory=memory), within(tools, memory), notices


def _check_output(
    output: OutputFolder,
    record: dict[str, JSON],
    *,
    overwrite: bool,
    resume: bool,
    needed: Sequence[Path],
) -> str | None:
    """Refuse a folder that holds something else; the engine that began, where one goes on."""
    if not output.share:
        if resume:
            return check_record(output.record, record)
        refuse_occupied(output.folder, overwrite=overwrite, needed=needed)
        return None
    if overwrite:
        raise ConfigError(
            "--overwrite would put aside what the other shards write",
            hint="choose another --output, or --resume",
        )
    others = sorted(output.folder.glob("inference*.json"))
    count = output.share.rpartition("_")[2]
    for path in others:
        if not path.stem.endswith(f"_of_{count}"):
            raise OutputError(
                f"{output.folder}: holds {path.name}, not shards of {count}",
                hint="choose another --output",
            )
        if path == output.record and not resume:
            raise OutputError(
                f"{output.folder}: shard {output.share.replace('_', ' ')} has been here",
                hint="go on with --resume, or choose another --output",
            )
    engines = [check_record(path, record) for path in others]
    return engines[0] if engines else None


def _claim(output: OutputFolder, *, overwrite: bool, resume: bool) -> AbstractContextManager[Path]:
    if output.share:
        return claim_share(output.folder, output.share)
    return claim(output.folder, overwrite=overwrite, resume=resume)


def _each(
    inputs: Sequence[Input],
    tools: Segmenter,
    outcome: Outcome,
    *,
    resume: bool,
    progress: Progress,
) -> None:
    """Segment image after image; the next one is decoded meanwhile."""
    output = tools.assembly.output
    left = _unfinished(inputs, output, resume=resume)
    opened, names = _open_ahead(left), {item.name for item in left}
    for item in track(inputs, "images", total=len(inputs), progress=progress):
        begun = time.perf_counter()
        try:
            if item.name in names:
                image = next(opened).result()
                report = tools.segment(image, item.path, item.name, progress=progress)
            else:
                report = ImageReport.load(output.report(item.name))
            outcome.add(item, report, time.perf_counter() - begun)
        except (DataError, CheckError) as exc:  # what else goes wrong is the same for every image
            outcome.fail(item, exc)


def _unfinished(inputs: Sequence[Input], output: OutputFolder, *, resume: bool) -> list[Input]:
    """Images without a mask; those with one need no bands, which a kill may have left.

    Raises:
        ConfigError: A mask is of another image of that name.
    """
    if not resume:
        return list(inputs)
    left = []
    for item in inputs:
        report = output.report(item.name)
        if not output.finished(item.name) or not report.is_file():
            left.append(item)
            continue
        with suppress(DataError):  # told when its turn comes
            if item.path.exists() and ImageReport.load(report).image != sample_digest(item.path):
                raise ConfigError(
                    f"{item.path}: not the image that its mask in {output.folder} was made of",
                    hint="choose another --output, or start anew with --overwrite",
                )
        shutil.rmtree(output.bands(item.name), ignore_errors=True)
    return left


def _together(
    cluster: str,
    opening: Opening,
    inputs: Sequence[Input],
    *,
    outcome: Outcome,
    resume: bool,
    progress: Progress,
) -> None:
    """Segment images on a cluster; they are told of in their order at the end."""
    output = opening.output
    left = _unfinished(inputs, output, resume=resume)
    found: dict[str, ImageReport | CervsegError] = {}
    before = len(inputs) - len(left)
    with progress.bar("bands", len(left)) as bar:  # an image that is not large counts as one
        bar.advance(0, note=f"{before} of {len(inputs)} images")
        for number, result in segment_on_cluster(cluster, opening, left, bar=bar):
            if isinstance(result, CervsegError) and not isinstance(result, DataError | CheckError):
                raise result
            found[left[number].name] = result
            bar.advance(0, note=f"{before + len(found)} of {len(inputs)} images")
    for item in inputs:
        report = found.get(item.name)
        if isinstance(report, CervsegError):
            outcome.fail(item, report)
            continue
        try:
            outcome.add(item, report or ImageReport.load(output.report(item.name)), 0.0)
        except DataError as exc:
            outcome.fail(item, exc)


def _open_ahead(inputs: Sequence[Input]) -> Iterator[Future[Image]]:
    with ThreadPoolExecutor(1) as reader:
        following = [reader.submit(open_image, item.path) for item in inputs[:1]]
        for item in [*inputs[1:], None]:
            ready = following.pop()
            if item is not None:
                following.append(reader.submit(open_image, item.path))
            yield ready

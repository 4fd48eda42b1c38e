"""`cervseg infer` and `cervseg tiled-infer`: images to masks and overlays."""

import shlex
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from cervseg import runtime
from cervseg.arrays import RGB
from cervseg.classes import Classes
from cervseg.commands.inputs import Input, find_inputs
from cervseg.commands.record import check_record, make_record
from cervseg.config import Config
from cervseg.config.inference import InferConfig, TiledInferConfig
from cervseg.config.loader import as_config
from cervseg.config.runtime import RuntimeConfig
from cervseg.contract import Contract, find_model
from cervseg.errors import DataError, Interrupted
from cervseg.files import claim, refuse_occupied, write_json
from cervseg.images.image import Image, whole
from cervseg.images.legend import add_legend
from cervseg.images.masks import read_mask
from cervseg.images.overlays import draw_overlay, write_picture
from cervseg.images.readers import open_image
from cervseg.images.sheets import contact_sheet, thumbnail
from cervseg.inference.answers import Answer, tiled_answers, whole_answers
from cervseg.inference.assembly import OutputFolder, coloured_classes, write_results, write_summary
from cervseg.inference.decision import ClassCount, Decision, count_objects, decision_for
from cervseg.inference.prediction import FULL_SIZE
from cervseg.reports import JSON, SILENT, Failure, Progress, Report, Table, track

OVERVIEW_IMAGES = 12


@dataclass(frozen=True)
class _Tools:
    """What every image of one inference needs."""

    output: OutputFolder
    answer: Answer
    decision: Decision
    classes: Classes
    palette: list[int]
    probabilities: bool


@dataclass
class _Done:
    """What became of the images so far, in input order."""

    rows: list[tuple[str, float, list[ClassCount]]] = field(default_factory=list)
    results: list[dict[str, JSON]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    pictures: list[list[RGB | None]] = field(default_factory=list)


def infer(
    config: Config | Path | str | None = None,
    *,
    images: Sequence[Path | str] = (),
    model: Sequence[Path | str] = (),
    output: Path | str | None = None,
    overwrite: bool = False,
    resume: bool = False,
    progress: Progress = SILENT,
) -> Report:
    """Segment whole images, each fitted to one tile of the network.

    Args:
        config: Of the experiment; None: all defaults.
        images: Files and folders; default: the key `images`.
        model: Run or model folders, several for their mean; default: the key `model`, else
            `train.output`.
        output: Folder to write; default: the key `output`.
        overwrite: Move an occupied output aside.
        resume: Leave images out that are done.
        progress: Draws the bars.

    Raises:
        ConfigError: A key does not fit the model, or two images have one name.
        OutputError: The output folder is occupied.
        DataError: An input is missing; a broken image is a failure in the report instead.
        ModelError: The model is missing or broken.
        Interrupted: Ctrl-C or SIGTERM; finished images stay.
    """
    config = as_config(config)
    section = _merged(config.infer, config, images=images, model=model, output=output)
    return _run("infer", section, config.runtime, overwrite=overwrite, resume=resume,
                progress=progress)  # fmt: skip


def tiled_infer(
    config: Config | Path | str | None = None,
    *,
    images: Sequence[Path | str] = (),
    model: Sequence[Path | str] = (),
    output: Path | str | None = None,
    overwrite: bool = False,
    resume: bool = False,
    progress: Progress = SILENT,
) -> Report:
    """Segment images of any size at the model's scale, tile by tile.

    Arguments and errors are those of `infer`; also:

    Raises:
        ConfigError: Tile or overlap do not fit the model's stride.
    """
    config = as_config(config)
    section = _merged(config.tiled_infer, config, images=images, model=model, output=output)
    return _run("tiled-infer", section, config.runtime, overwrite=overwrite, resume=resume,
                progress=progress)  # fmt: skip


class _Asked(NamedTuple):
    """A section of the config with what the command line says in place of its keys."""

    section: InferConfig
    images: list[Path]
    model: list[Path]
    output: Path


def _merged(
    section: InferConfig,
    config: Config,
    *,
    images: Sequence[Path | str],
    model: Sequence[Path | str],
    output: Path | str | None,
) -> _Asked:
    return _Asked(
        section,
        _paths(images) or ([section.images] if section.images else []),
        _paths(model) or list(section.model) or [config.train.output],
        section.output if output is None else Path(output),
    )


def _paths(given: Sequence[Path | str] | Path | str) -> list[Path]:
    """A path or several; a lone text is one path, not its letters."""
    return [Path(given)] if isinstance(given, Path | str) else list(map(Path, given))


def _run(
    command: str,
    asked: _Asked,
    settings: RuntimeConfig,
    *,
    overwrite: bool,
    resume: bool,
    progress: Progress,
) -> Report:
    inputs = find_inputs(asked.images)
    for path in asked.model:
        Contract.load(find_model(path))  # missing or broken: before Keras is imported
    output = OutputFolder(asked.output)
    record = make_record(command, asked.section, asked.model)
    if resume:
        check_record(output.record, record)
    else:
        refuse_occupied(output.folder, overwrite=overwrite)
    tools, notices = _prepare(asked, output, settings, progress=progress)
    done = _Done()
    with claim(output.folder, overwrite=overwrite, resume=resume):
        write_json(output.record, record)
        try:
            _each(inputs, tools, done, resume=resume, progress=progress)
        except KeyboardInterrupt as exc:
            message = f"interrupted; {len(done.rows)} of {len(inputs)} images are done"
            raise Interrupted(message, hint="call it again with resume=True") from exc
        write_summary(output.summary, done.rows)
        if done.pictures:
            sheet = contact_sheet(done.pictures, captions=("image", "mask"), side=320)
            write_picture(output.overview, add_legend(sheet, tools.classes))
    written = [output.mask(name) for name, _, _ in done.rows]
    return Report(
        command,
        output.folder,
        results=tuple(done.results),
        paths=tuple(written),
        failures=tuple(done.failures),
        notices=notices,
        tables=(_table(done.rows),),
        next_command="cervseg evaluate --images DIR --masks DIR --predictions "
        + shlex.quote(str(output.folder / "masks")),
    )


def _prepare(
    asked: _Asked, output: OutputFolder, settings: RuntimeConfig, *, progress: Progress
) -> tuple[_Tools, tuple[str, ...]]:
    runtime.start(
        device=settings.device, threads=settings.threads, deterministic=settings.deterministic
    )
    from cervseg.engines import open_model

    section = asked.section
    contract, predict = open_model(asked.model)
    notices: tuple[str, ...] = ()
    if isinstance(section, TiledInferConfig):
        answer, plan = tiled_answers(contract, predict, section, progress=progress)
        notices = plan.notices
    else:
        answer = whole_answers(contract, predict)
    if contract.scale != 1.0:
        notices += (
            f"the images are taken to be at the scale of the training photographs; "
            f"the model sees them at {contract.scale:g} of it",
        )
    classes, palette = coloured_classes(contract.classes, section.colorize)
    decision = decision_for(section, contract)
    return _Tools(output, answer, decision, classes, palette, section.probabilities), notices


def _each(
    inputs: Sequence[Input], tools: _Tools, done: _Done, *, resume: bool, progress: Progress
) -> None:
    """Infer image after image; the next one is decoded meanwhile."""
    left = [item for item in inputs if not (resume and tools.output.mask(item.name).is_file())]
    opened, names = _open_ahead(left), {item.name for item in left}
    for item in track(inputs, "images", total=len(inputs), progress=progress):
        begun = time.perf_counter()
        try:
            image = next(opened).result() if item.name in names else open_image(item.path)
        except DataError as exc:
            done.failures.append(Failure.of(str(item.path), exc))
            continue
        if item.name in names:
            _one(item, image, tools)
        _record(item, image, tools=tools, done=done, seconds=time.perf_counter() - begun)


def _open_ahead(inputs: Sequence[Input]) -> Iterator[Future[Image]]:
    with ThreadPoolExecutor(1) as reader:
        following = [reader.submit(open_image, item.path) for item in inputs[:1]]
        for item in [*inputs[1:], None]:
            ready = following.pop()
            if item is not None:
                following.append(reader.submit(open_image, item.path))
            yield ready


def _one(item: Input, image: Image, tools: _Tools) -> None:
    probabilities = tools.answer(image, FULL_SIZE, item.name)
    write_results(
        tools.output,
        item.name,
        image=image,
        mask=tools.decision.apply(probabilities),
        probabilities=probabilities if tools.probabilities else None,
        classes=tools.classes,
        palette=tools.palette,
    )


def _record(item: Input, image: Image, *, tools: _Tools, done: _Done, seconds: float) -> None:
    """Count what is in the mask as written, so that a resumed run tells the same."""
    path = tools.output.mask(item.name)
    mask, _ = read_mask(path, tools.classes, "index")
    counts = count_objects(mask, tools.classes)
    done.rows.append((item.name, seconds, counts))
    done.results.append(
        {
            "image": str(item.path),
            "mask": str(path),
            "overlay": str(tools.output.overlay(item.name)),
            "classes": {c.name: {"objects": c.objects, "pixels": c.pixels} for c in counts},
            "seconds": round(seconds, 3),
        }
    )
    if len(done.pictures) < OVERVIEW_IMAGES:
        pixels = image.read(whole(image))
        overlay = draw_overlay(pixels, mask, tools.classes)
        done.pictures.append([thumbnail(pixels, 320), thumbnail(overlay, 320)])


def _table(rows: Sequence[tuple[str, float, list[ClassCount]]]) -> Table:
    return Table(
        "masks",
        ("image", "class", "objects", "pixels", "seconds"),
        tuple(
            (name, count.name, str(count.objects), str(count.pixels), f"{seconds:.2f}")
            for name, seconds, counts in rows
            for count in counts
        ),
    )

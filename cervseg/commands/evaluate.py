"""`cervseg evaluate`: a model and labelled images to scores."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from cervseg.bounds import refuse_way_out
from cervseg.commands.answering import Mode, open_assessor, open_guess
from cervseg.commands.fold import of_fold
from cervseg.commands.record import check_scored, model_digest, score_settings
from cervseg.commands.report import NAME, write_page
from cervseg.commands.scored import Scored
from cervseg.commands.task import Task, find_task, read_predictions
from cervseg.config import Config
from cervseg.config.data import Split
from cervseg.config.loader import as_config
from cervseg.contract import Contract, find_model
from cervseg.data.folds import none_chosen
from cervseg.data.labelled import Labelled, Read, read_labelled
from cervseg.data.leaks import Tolerance
from cervseg.digests import content_digest, text_digest
from cervseg.errors import ConfigError, DataError, Interrupted
from cervseg.files import claim
from cervseg.inference.decision import decision_for
from cervseg.inference.prediction import plan_tiles
from cervseg.reporting.scores import (
    FITTED,
    LEAKED,
    Evaluation,
    score_tables,
    write_evaluation,
)
from cervseg.reports import JSON, SILENT, Failure, Progress, Report, track
from cervseg.runs import Run
from cervseg.scoring.summary import summarize, summarize_apart


def evaluate(
    config: Config | Path | str | None = None,
    *,
    model: Sequence[Path | str] = (),
    output: Path | str | None = None,
    split: Split = "test",
    fold: int | None = None,
    images: Path | str | None = None,
    masks: Path | str | None = None,
    predictions: Path | str | None = None,
    whole: bool = False,
    stretch: bool = False,
    allow_leak: str | None = None,
    config_words: str | None = None,
    overwrite: bool = False,
    resume: bool = False,
    progress: Progress = SILENT,
) -> Report:
    """Score a model, or masks that exist, on labelled images at full size.

    Tiles, threshold and cleaning are those of `tiled_infer`, with `whole` those of `infer`.

    Args:
        config: Of the experiment; None: all defaults.
        model: Run or model folders, `builtin:NAME`; default: the key, else `train.output`.
        output: Folder to write; default: the key `output`, else `evaluation/SPLIT` of the run.
        split: Of the dataset.
        fold: Of a dataset in folds; it names the run in `train.output`, too.
        images: Labelled images outside any dataset, with `masks`.
        masks: Their masks, paired by stem.
        predictions: Folder of masks to score instead of a model.
        whole: Each image fitted to one tile.
        stretch: With `whole`: squeezed to the square tile, as published figures did.
        allow_leak: Why a leak may stand; it becomes a notice, kept with the scores.
        config_words: How a command line names the config, for the next command.
        overwrite: Move an occupied output aside.
        resume: Keep a finished evaluation.
        progress: Draws the bars.

    Raises:
        ConfigError: Arguments or keys that do not go together.
        OutputError: The output folder is occupied.
        DataError: Images, masks or the dataset are missing.
        ModelError: The model is missing, broken, or of other classes.
        LeakError: The model, or its training data, has seen the images.
        Interrupted: Ctrl-C or SIGTERM; at most scores are written, no report.
    """
    config, tolerance = of_fold(as_config(config), fold), Tolerance(allow_leak)
    mode = _mode(predictions=predictions, whole=whole, stretch=stretch)
    if predictions and model:
        raise ConfigError("--predictions are scored as they are, without --model")
    if (images is None) != (masks is None):
        raise ConfigError("--images and --masks go together")
    folders = (Path(images), Path(masks)) if images is not None and masks is not None else None
    if folders and fold is not None:
        raise ConfigError("--fold is of a dataset, --images and --masks are outside any")
    if config.data.folds and fold is None and not folders:  # before its model is missed
        raise none_chosen(config.data.output, config.data.folds)
    paths = [] if predictions else _model_paths(config, model)
    contracts = [Contract.load(find_model(path)) for path in paths]
    section = config.infer if whole else config.tiled_infer
    task = find_task(
        config, contracts, split=split, folders=folders, fold=fold, section=section,
        tolerance=tolerance,
    )  # fmt: skip
    folder = Path(output) if output else _output(config, paths, name=task.name, mode=mode)
    what = _subject(task, paths, predictions)
    if resume and (folder / NAME).is_file():  # what is written last
        check_scored(folder, {"scored": what, "settings": score_settings(config, mode)})
        return Report("evaluate", folder, notices=(f"{folder} is complete, nothing to do",))
    for contract in contracts:  # what does not fit is refused before anything is moved aside
        decision_for(section, contract)
        if mode == "tiled":
            plan_tiles(contract, config.tiled_infer)
    needed = [*paths, *(folders or ()), Path(predictions) if predictions else None]
    with claim(folder, overwrite=overwrite, resume=resume, needed=needed):
        try:
            scored, heading, losses = _score(
                config, task, mode=mode, paths=paths, predictions=predictions, progress=progress
            )
        except KeyboardInterrupt as exc:
            raise Interrupted("interrupted; no score is written") from exc
        notes = {"scored": what, "settings": score_settings(config, mode), **tolerance.record()}
        try:
            report = _write(config, task, folder, scored=scored, heading=heading, losses=losses,
                            notes=notes, leaks=bool(tolerance.found))  # fmt: skip
        except KeyboardInterrupt as exc:
            raise Interrupted("interrupted; pictures and report are not complete") from exc
    following = _following(config, paths, config_words=config_words, fold=fold)
    return replace(report, next_command=following)


def _following(
    config: Config, paths: Sequence[Path], *, config_words: str | None, fold: int | None
) -> str | None:
    """The command that puts the model to use."""
    if not paths:
        return None
    words = [config_words] if config_words else []
    described = config_words and config.model_fields_set & {"data", "model", "train"}
    if not described or paths != [config.train.output] or fold is not None:  # it names no fold
        words.append(shlex.join(w for path in paths for w in ("--model", str(path))))
    unnamed = [] if config.tiled_infer.images else ["IMAGES"]
    return " ".join(["cervseg tiled-infer", *words, *unnamed])


def _subject(task: Task, paths: Sequence[Path], predictions: Path | str | None) -> JSON:
    """Digests of what is scored, to know it again."""
    files = [
        (item.name, item.scale, content_digest(item.image), item.mask and content_digest(item.mask))
        for item in task.items
    ]
    return {
        "images": text_digest(repr(files)),
        "models": [model_digest(find_model(path)) for path in paths],
        "predictions": content_digest(Path(predictions)) if predictions else None,
    }


def _mode(*, predictions: Path | str | None, whole: bool, stretch: bool) -> Mode:
    if stretch and not whole:
        raise ConfigError("--stretch goes with --whole")
    if predictions is not None:
        if whole:
            raise ConfigError("--predictions are scored as they are, without --whole")
        return "predictions"
    if stretch:
        return "stretch"
    return "whole" if whole else "tiled"


def _model_paths(config: Config, model: Sequence[Path | str]) -> list[Path]:
    given = [model] if isinstance(model, Path | str) else model
    return list(map(Path, given)) or list(config.evaluate.model) or [config.train.output]


def _output(config: Config, paths: Sequence[Path], *, name: str, mode: Mode) -> Path:
    if config.evaluate.output is not None:
        return config.evaluate.output
    name = name if mode in ("tiled", "predictions") else f"{name}-{mode}"
    if paths and find_model(paths[0]) == Run(paths[0]).model:
        folder = Run(paths[0]).evaluation(name)
        refuse_way_out(folder, paths[0])  # a stranger's run does not say where we write
        return folder
    return Path("cervseg-evaluation") / name


def _score(
    config: Config,
    task: Task,
    *,
    mode: Mode,
    paths: Sequence[Path],
    predictions: Path | str | None,
    progress: Progress,
) -> tuple[Scored, str, dict[str, float]]:
    """Score every image; tell what was scored how, and the losses of a single model."""
    settings = config.evaluate
    scored = Scored(
        task.classes,
        settings.overlays,
        tolerance=settings.surface_tolerance,
        min_cell_area=settings.min_cell_area,
        mpp=settings.mpp,
    )
    assess: Callable[[Labelled, Read], None] | None = None
    losses: dict[str, float] = {}
    if predictions is not None:
        guess, what = read_predictions(Path(predictions), task), f"masks of {predictions}"
    else:
        guess = open_guess(config, mode=mode, paths=paths, progress=progress)
        what = f"{mode}, {' and '.join(map(str, paths))}"
        if len(paths) == 1:
            assess, losses = open_assessor(config, paths[0])
    for item in track(task.items, "images", total=len(task.items), progress=progress):
        try:
            read = read_labelled(item, task.classes)
            predicted = guess(item, read)
        except DataError as exc:
            scored.failures.append(Failure.of(str(item.image), exc))
            continue
        scored.add(item, read, predicted)
        if assess is not None:
            assess(item, read)
    if not scored.rows:
        raise DataError(f"{task.name}: no image could be scored: {scored.failures[0].message}")
    return scored, f"{task.name}: {len(scored.rows)} images, {what}", losses


def _write(
    config: Config,
    task: Task,
    folder: Path,
    *,
    scored: Scored,
    heading: str,
    losses: dict[str, float],
    notes: dict[str, JSON],
    leaks: bool,
) -> Report:
    warning = FITTED if task.fitted else LEAKED if leaks else None
    evaluation = Evaluation(
        heading=f"{warning}: {heading}" if warning else heading,
        split=task.name,
        seed=config.runtime.seed,
        names=tuple(scored.names),
        rows=scored.rows,
        summaries=scored.summed_up(summarize, config),
        losses=losses,
        confusion=scored.confusion.tolist(),
        surface_tolerance=scored.tolerance,
        apart=scored.summed_up(summarize_apart, config),
        notes={
            "failed": [failure.item for failure in scored.failures],
            "compared": task.compared,
            **notes,
        },
        counts=scored.counts,
        objects=scored.objects,
    )
    paths, drawn, page = write_evaluation(folder, evaluation), scored.draw(folder), folder / NAME
    write_page([folder], page)
    return Report(
        "evaluate",
        folder,
        results=evaluation.results(),
        paths=(*paths, *drawn, page),
        failures=tuple(scored.failures),
        notices=(
            *task.notices,
            *scored.specks(),
            *([f"these scores are on {warning}"] if warning else []),
        ),
        tables=score_tables(evaluation),
    )

"""`cervseg train`: a dataset folder to a run folder with a model in it."""

import logging
import shlex
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cervseg import machine, processes, runtime
from cervseg.commands.draft import decided, preprocessing
from cervseg.commands.fold import of_fold
from cervseg.commands.run_log import logged
from cervseg.commands.run_record import close_record, open_record, tally
from cervseg.config import Config
from cervseg.config.loader import as_config, config_differences, dump_config, load_config
from cervseg.contract import Contract, find_model
from cervseg.data.folds import open_fold
from cervseg.data.labelled import labelled_sources, require_unchanged
from cervseg.data.leaks import (
    Tolerance,
    near_pairs,
    refuse_leaks,
    refuse_seen,
    tell_near_leaks,
)
from cervseg.data.manifest import Dataset
from cervseg.data.pool import field_options
from cervseg.errors import CervsegError, ConfigError, DataError, Interrupted
from cervseg.files import claim, read_json, set_aside, write_text
from cervseg.images.image import whole
from cervseg.images.readers import open_image
from cervseg.reports import JSON, SILENT, Progress, Report
from cervseg.runs import Run

if TYPE_CHECKING:
    from cervseg.training.checkpoints import State
    from cervseg.training.trainer import Setup

log = logging.getLogger("cervseg")

RESUME = "call it again with resume=True"

FREE_ON_RESUME = (
    "evaluate",
    "infer",
    "tiled_infer",
    "data.cache",
    "data.output",
    "train.output",
    "train.plot_metrics",
    "train.previews",
    "train.temperature",
    "train.tensorboard",
    "train.workers",
    "runtime.coordinator",
    "runtime.process",
    "runtime.processes",
)
"""Keys that a resumed run may change: they leave the weights' course as it was."""


def train(
    config: Config | Path | str,
    *,
    fold: int | None = None,
    allow_leak: str | None = None,
    config_words: str | None = None,
    overwrite: bool = False,
    resume: bool = False,
    progress: Progress = SILENT,
) -> Report:
    """Fit the network of `model` to the dataset of `data.output`.

    With `resume` an interrupted run goes on after its last finished epoch, and a run that is not
    there yet is started.

    Args:
        config: Of the experiment.
        fold: Of a dataset in folds, the one that will be scored; its run is `fold0`, `fold1`, …
            in `train.output`.
        allow_leak: Why a leak may stand; it becomes a notice, kept in `run.json`.
        config_words: How a command line names the config, for the next command.
        overwrite: Move an occupied output aside.
        resume: Go on where the run was interrupted.
        progress: Draws the bars.

    Raises:
        ConfigError: A key does not fit the dataset, or differs from that of the run resumed.
        OutputError: The run folder is occupied.
        DataError: The dataset is missing or broken, or changed since the run began.
        LeakError: A group or a picture stands in two splits, or the weights to start from have
            seen a held-out image.
        ModelError: Weights to start from are missing or do not fit.
        BudgetError: Memory ran out.
        Interrupted: Ctrl-C or SIGTERM, or another process ended; finished epochs are saved.
    """
    config = of_fold(as_config(config), fold)
    team = _team(config)
    if not team.leads:
        return _follow(config, team, fold=fold)
    tolerance = Tolerance(allow_leak)
    dataset = _open_dataset(config, fold, tolerance)
    run = Run(config.train.output)
    # A run that came to no epoch's end, refused for a wrong key say, is in nobody's way.
    afresh = run.has_only_begun()
    resumed = resume and run.record.is_file() and not afresh
    needed = (config.train.start_from, dataset.folder)
    with (
        claim(run.folder, overwrite=overwrite, resume=resumed or afresh, needed=needed),
        logged(run),
    ):
        if resumed:
            check_resumed(run, config, dataset)
        else:
            _write_config(run, config)
        alike = tell_near_leaks(dataset.sources, near_pairs(dataset))
        for notice in alike:
            log.warning(notice)
        found: dict[str, JSON] = {**tolerance.record(), **({} if fold is None else {"fold": fold})}
        found["data"] = {"splits": tally(dataset), "alike": [*alike]}
        _start(config, team)
        record = open_record(run, config, dataset, resumed=resumed, found=found)
        if resumed:  # only now: a run that is not open holds the model that its config says
            _write_config(run, config)
        try:
            setup = _setup(run, config, dataset, team=team)
            contract, state = _fit(setup, config, resume=resumed, progress=progress)
        except KeyboardInterrupt as exc:
            with suppress(CervsegError):  # on a full disk, say
                close_record(run, record, ended="interrupted")
            raise Interrupted("interrupted; finished epochs are saved", hint=RESUME) from exc
        except CervsegError as exc:
            log.debug("ended: %s", exc)  # into log.txt; the command line tells it anyway
            with suppress(CervsegError):
                close_record(run, record, ended=f"{type(exc).__name__}: {exc}")
            raise
        close_record(run, record, ended=state.ended or "epochs")
    if config_words and fold is not None:
        config_words += f" --fold {fold}"
    return _report(run, contract, state, config_words=config_words)


def _open_dataset(config: Config, fold: int | None, tolerance: Tolerance) -> Dataset:
    """The dataset, as it was cut, without leaks in it or from what the training starts from."""
    dataset = open_fold(config.data.output, fold, hint="add --fold K or --all-folds")
    dataset.require_options(config.data)
    dataset.require_sources("valid")
    with tolerance.tolerating():
        refuse_leaks(dataset.sources)
    for item in labelled_sources(dataset, dataset.sources_of("valid")):
        image = open_image(item.image)
        require_unchanged(item, image.read(whole(image)))
    if start := config.train.start_from:
        with tolerance.tolerating():
            refuse_seen(dataset, Contract.load(find_model(start)))
    return dataset


def _write_config(run: Run, config: Config) -> None:
    """Write the config as resolved; one that somebody wrote here by hand is kept beside it."""
    text = dump_config(config)
    by_hand = run.config.is_file() and not run.record.is_file()
    if by_hand and run.config.read_text(encoding="utf-8", errors="replace") != text:
        kept = set_aside(run.config)
        log.info("%s is the config with all values from now on; yours is %s", run.config, kept)
    write_text(run.config, text)


def _team(config: Config) -> processes.Team:
    keys = config.runtime
    if config.train.soup and keys.processes != 1:
        raise ConfigError(
            f"'train.soup' is the work of one process, but 'runtime.processes' is {keys.processes}",
            hint="train the seeds one by one, or without a soup",
        )
    return processes.team_of(keys.processes, keys.process, keys.coordinator)


def _follow(config: Config, team: processes.Team, *, fold: int | None) -> Report:
    """Train beside process 0, which checks everything and writes all that is written."""
    run, dataset = Run(config.train.output), open_fold(config.data.output, fold)
    _start(config, team)
    setup = _setup(run, config, dataset, team=team)
    from cervseg.training.trainer import fit

    fit(setup, resume=processes.agreed(team, False))
    processes.part(team)
    return Report("train", run.folder, notices=(f"process {team.number} is done",))


def _start(config: Config, team: processes.Team) -> None:
    keys = config.runtime
    machine.require_memory_to_train(config.train.batch_size * config.data.tile_size**2 * 3 * 4)
    machine.keep_all_blocks()
    runtime.start(
        device=keys.device,
        threads=keys.threads,
        deterministic=keys.deterministic,
        meet=lambda: processes.join(team),
    )


def check_resumed(run: Run, config: Config, dataset: Dataset) -> None:
    """Check that a run was begun with this config and this data.

    Raises:
        ConfigError: A key that steers the training differs.
        DataError: The dataset differs.
    """
    old = load_config(run.config).config
    differences = config_differences(old, config, FREE_ON_RESUME)
    if differences:
        raise ConfigError(
            f"{run.folder}: can't resume with another config: {', '.join(differences)} differ",
            hint="undo the change, or start anew with --overwrite",
        )
    record = read_json(run.record, what="run")
    if record.get("dataset") != dataset.fingerprint:
        raise DataError(
            f"{dataset.folder}: changed since the run in {run.folder} began",
            hint="start anew with --overwrite",
        )


def _fit(
    setup: "Setup", config: Config, *, resume: bool, progress: Progress
) -> tuple[Contract, "State"]:
    from cervseg.training.averaging import fit_soup
    from cervseg.training.finishing import finish
    from cervseg.training.trainer import fit

    if config.train.soup:
        contract, state = fit_soup(setup, config.train.soup, resume=resume, progress=progress)
    else:
        contract, state = fit(setup, resume=processes.agreed(setup.team, resume), progress=progress)
    processes.part(setup.team)
    contract = decided(contract, config)
    contract = finish(
        setup.run,
        contract,
        dataset=setup.dataset,
        temperature=config.train.temperature,
        progress=progress,
    )
    return contract, state


def _setup(run: Run, config: Config, dataset: Dataset, *, team: processes.Team) -> "Setup":
    from cervseg.training.trainer import Setup

    return Setup(
        run=run,
        dataset=dataset,
        model=config.model,
        train=config.train,
        preprocessing=preprocessing(config.data.preprocess),
        precision=config.runtime.precision,
        seed=config.runtime.seed,
        workers=config.train.workers or runtime.allowed_cores(),
        fields=field_options(config.data),
        inference_tile=config.tiled_infer.tile_size,
        team=team,
    )


def _report(run: Run, contract: Contract, state: "State", *, config_words: str | None) -> Report:
    best = state.rows[state.best_epoch - 1]
    margin = contract.margin
    result: dict[str, JSON] = {
        "run": str(run.folder),
        "model": str(run.model),
        "epochs": state.epoch,
        "best_epoch": state.best_epoch,
        "ended": state.ended,
        "best": dict(best),
        "threshold": list(contract.threshold),
        "margin": margin,
        "receptive_field": contract.receptive_field,
    }
    notices = [f"stopped after epoch {state.epoch} ({state.ended}); best epoch {state.best_epoch}"]
    if parts := [member.folder.name for member in run.members()]:
        notices = [f"one model of {' and '.join(parts)}, of which the last {notices[0]}"]
    if margin is None:
        notices.append("the network sees the whole tile, so tiled and whole answers differ")
    where = config_words or shlex.join(["--model", str(run.folder)])
    return Report(
        "train",
        run.folder,
        results=(result,),
        paths=(run.folder,),
        notices=tuple(notices),
        next_command=f"cervseg evaluate {where}",
    )

"""Fit a network to a dataset, from nothing or from where it was interrupted."""

import logging
from contextlib import ExitStack
from dataclasses import dataclass, replace

from cervseg import runtime
from cervseg.arrays import Tensor
from cervseg.config.model import ModelConfig, network_options
from cervseg.config.training import TrainConfig
from cervseg.contract import Activation, Contract, Preprocessing, TrainingImage
from cervseg.data.labelled import labelled_tiles
from cervseg.data.manifest import Dataset
from cervseg.data.sampling import TileSampler
from cervseg.errors import BudgetError, ConfigError, DataError
from cervseg.losses import SegmentationLoss
from cervseg.metrics import make_metrics
from cervseg.models.folder import build_network
from cervseg.models.inspection import geometry, training_bytes
from cervseg.reports import SILENT, Progress
from cervseg.runs import Run
from cervseg.training.batches import TileBatches, TrainingBatches
from cervseg.training.callbacks import EpochKeeper, ProgressBars
from cervseg.training.checkpoints import State, load_state
from cervseg.training.optimization import make_optimizer
from cervseg.training.previews import PreviewPainter, preview_images

log = logging.getLogger("cervseg")


@dataclass(frozen=True)
class Setup:
    """What a training is made of.

    Args:
        run: Where to write.
        dataset: What to learn.
        model: Section `model`.
        train: Section `train`.
        preprocessing: From section `data`.
        seed: Of weights, draws and dropout.
        workers: Threads that make batches.
    """

    run: Run
    dataset: Dataset
    model: ModelConfig
    train: TrainConfig
    preprocessing: Preprocessing
    seed: int
    workers: int


def draft_contract(setup: Setup) -> Contract:
    """The contract as far as it is known before training.

    Raises:
        ConfigError: The activation does not suit the classes or the loss.
    """
    classes, options = setup.dataset.classes, network_options(setup.model)
    if setup.model.dropout_seed is None:
        options["dropout_seed"] = setup.seed
    activation = _activation(setup)
    return Contract(
        architecture=setup.model.architecture,
        options=options,
        classes=classes,
        activation=activation,
        tile_size=setup.dataset.tile_size,
        input_channels=setup.model.input_channels,
        channels=len(classes) + (activation == "softmax"),
        preprocess=setup.preprocessing,
        scale=setup.dataset.scale,
        threshold=(0.5,) * len(classes),
        trained_on=tuple(
            TrainingImage(row.sha256, row.phash or None, row.split)
            for row in setup.dataset.sources
            if row.split != "test" and row.sha256
        ),
        seed=setup.seed,
        versions=runtime.versions(),
    )


def _activation(setup: Setup) -> Activation:
    wanted, binary = setup.model.final_activation, setup.dataset.classes.is_binary
    activation: Activation = "sigmoid" if binary else "softmax"
    if wanted != "auto":
        activation = wanted
    categorical = setup.train.loss == "categorical_crossentropy"
    if categorical and activation == "sigmoid":
        raise ConfigError(
            "'train.loss' categorical_crossentropy needs 'model.final_activation' softmax"
        )
    if activation == "softmax" and setup.train.loss in (
        "binary_crossentropy", "bce_dice", "bce_iou"
    ):  # fmt: skip
        log.info("binary cross-entropy treats the softmax channels one by one")
    return activation


def fit(
    setup: Setup, *, resume: bool = False, progress: Progress = SILENT
) -> tuple[Tensor, Contract, State]:
    """Train until the epochs are done, the loss stops falling, or a file STOP appears.

    Returns:
        The network with the weights of its last epoch, the contract so far, and the history.

    Raises:
        ConfigError: Tile and stride do not go together.
        DataError: There is no training tile, or the checkpoint is broken.
        BudgetError: Memory ran out.
    """
    runtime.seed_everything(setup.seed)
    contract = draft_contract(setup)
    model = build_network(contract, where="the config")
    contract = _with_geometry(contract, model)
    batches, validation = _batches(setup)
    model.compile(
        optimizer=make_optimizer(setup.train, len(batches)),
        loss=SegmentationLoss(setup.train.loss, contract.activation),
        metrics=make_metrics(setup.train.metrics, contract.classes.names, contract.activation),
    )
    _check_memory(model, setup)
    state = (load_state(setup.run.state, model) if resume else None) or State()
    if state.ended == "stop" and not setup.run.stop.exists():
        state.ended = None
    if state.ended is None:
        _run_epochs(setup, model, contract, state=state, data=(batches, validation),
                    progress=progress)  # fmt: skip
    return model, contract, state


def _with_geometry(contract: Contract, model: Tensor) -> Contract:
    align, radius = geometry(model)
    if contract.tile_size % align:
        nearest = max(align, round(contract.tile_size / align) * align)
        raise ConfigError(
            f"'data.tile_size' {contract.tile_size} is no multiple of the network's stride {align}",
            hint=f"{nearest} would do, or fewer 'model.num_layers'",
        )
    if radius is not None and contract.preprocess.sharpen:
        radius += 1
    return replace(contract, align=align, receptive_field=radius, margin=radius)


def _batches(setup: Setup) -> tuple[TrainingBatches, TileBatches | None]:
    dataset, config = setup.dataset, setup.train
    rows = dataset.tiles_of("train")
    if not rows:
        raise DataError(f"{dataset.folder}: no training tiles in it")
    batches = TrainingBatches(
        labelled_tiles(dataset, rows),
        dataset.classes,
        setup.preprocessing,
        channels=setup.model.input_channels,
        workers=setup.workers,
        sampler=TileSampler(
            tuple(row.foreground > 0 for row in rows),
            config.batch_size,
            config.steps_per_epoch,
            config.foreground_fraction,
            setup.seed,
        ),
        augmentation=config.augmentation,
    )
    held_out = dataset.tiles_of("valid")
    if not held_out:
        log.warning("no validation tiles: stopping and best weights follow the training loss")
        return batches, None
    validation = TileBatches(
        labelled_tiles(dataset, held_out),
        dataset.classes,
        setup.preprocessing,
        channels=setup.model.input_channels,
        batch_size=config.batch_size,
        workers=setup.workers,
    )
    return batches, validation


def _run_epochs(
    setup: Setup,
    model: Tensor,
    contract: Contract,
    *,
    state: State,
    data: tuple[TrainingBatches, TileBatches | None],
    progress: Progress,
) -> None:
    batches, validation = data
    shown = preview_images(setup.train.previews, setup.dataset)
    painter = PreviewPainter(setup.run, model, contract, images=shown) if shown else None
    runtime.settle_queue(model, batches[0])
    with ExitStack() as stack:
        bars = ProgressBars(
            batches, epochs=setup.train.epochs, first=state.epoch, stack=stack, progress=progress
        )
        keeper = EpochKeeper(setup.run, setup.train, state, preview=painter)
        try:
            model.fit(
                batches,
                validation_data=validation,
                epochs=setup.train.epochs,
                initial_epoch=state.epoch,
                callbacks=[bars, keeper],
                shuffle=False,
                verbose=0,
            )
        except runtime.out_of_memory_errors() as exc:
            if not runtime.is_out_of_memory(exc):
                raise
            raise _out_of_memory(model, setup) from exc
        finally:
            for side in (batches, validation):
                if side is not None and side.failure is not None:
                    raise side.failure


def _check_memory(model: Tensor, setup: Setup) -> None:
    """Refuse what the kernel would kill without a word: a step over twice what is free."""
    size, batch = setup.dataset.tile_size, setup.train.batch_size
    if runtime.on_cpu() and training_bytes(model, batch, size) > 2 * runtime.available_memory():
        raise _out_of_memory(model, setup)


def _out_of_memory(model: Tensor, setup: Setup) -> BudgetError:
    """Tell which batch would fit into what is free."""
    size, batch = setup.dataset.tile_size, setup.train.batch_size
    free = runtime.available_memory()
    fits = max((n for n in range(1, batch) if training_bytes(model, n, size) < free), default=0)
    message = f"out of memory at 'train.batch_size' {batch} with tiles of {size}"
    if fits:
        return BudgetError(message, hint=f"about {fits} would fit: --set train.batch_size={fits}")
    return BudgetError(message, hint="smaller 'data.tile_size' or 'model.base_filters' would help")

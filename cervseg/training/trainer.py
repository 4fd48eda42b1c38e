"""Fit a network to a dataset, from nothing or from where it was interrupted."""

import logging
from contextlib import ExitStack
from dataclasses import dataclass, replace

import keras

from cervseg import machine, processes, runtime
from cervseg.arrays import Tensor
from cervseg.config.losses import loss_arguments
from cervseg.config.model import Network, network_options, output_activation
from cervseg.config.training import TrainConfig
from cervseg.contract import Activation, Contract, Preprocessing, TrainingImage, find_model
from cervseg.data.labelled import labelled_tiles
from cervseg.data.manifest import Dataset
from cervseg.data.pool import FieldOptions
from cervseg.data.samples import Samples, field_samples, tile_samples
from cervseg.errors import BudgetError, ConfigError, tells_full_disk
from cervseg.files import full_disk
from cervseg.losses import SegmentationLoss, Term, needs_softmax, treats_channels_alone
from cervseg.metrics import make_metrics
from cervseg.models.costs import training_bytes
from cervseg.models.folder import build_network, final_network, training_network, with_geometry
from cervseg.models.inspection import refuse_misfit
from cervseg.processes import ALONE, Team
from cervseg.reports import SILENT, Progress
from cervseg.runs import Run
from cervseg.training.batches import TileBatches, TrainingBatches
from cervseg.training.beginning import freeze, take_ready_made
from cervseg.training.callbacks import EpochKeeper, ProgressBars, open_tensorboard
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
        precision: Of the activations: float32, bfloat16, float16.
        seed: Of weights, draws and dropout.
        workers: Threads that make batches.
        fields: How whole fields are read; None: training samples are tiles.
        inference_tile: Side of the tiles that the model will be given; None: as in training.
        first_weights: Seed of the weights that it begins with; None: `seed`.
        team: With which processes it trains; the first one writes.
    """

    run: Run
    dataset: Dataset
    model: Network
    train: TrainConfig
    preprocessing: Preprocessing
    seed: int
    workers: int
    precision: str = "float32"
    fields: FieldOptions | None = None
    inference_tile: int | None = None
    first_weights: int | None = None
    team: Team = ALONE


def untrained_contract(setup: Setup) -> Contract:
    """The contract as far as it is known before training.

    Raises:
        ConfigError: The activation does not suit the classes or the loss.
    """
    classes, options = setup.dataset.classes, network_options(setup.model)
    if "dropout_seed" in options and options["dropout_seed"] is None:
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
        trained_on=_trained_on(setup),
        seed=setup.seed,
        versions=runtime.versions(),
    )


def _trained_on(setup: Setup) -> tuple[TrainingImage, ...]:
    """The images of this training, and those the weights it starts from have seen."""
    start = setup.train.start_from
    before = Contract.load(find_model(start)).trained_on if start else ()
    here = tuple(
        TrainingImage(row.sha256, row.phash or None, row.split)
        for row in setup.dataset.sources
        if row.split != "test" and row.sha256
    )
    return tuple(dict.fromkeys((*here, *before)))


def loss_terms(config: TrainConfig) -> list[Term]:
    """The terms of the loss that section `train` asks for."""
    return [Term(**arguments) for arguments in loss_arguments(config.loss)]


def _activation(setup: Setup) -> Activation:
    activation = output_activation(setup.model, len(setup.dataset.classes))
    for term in setup.train.loss:
        if activation == "sigmoid" and needs_softmax(term.name):
            raise ConfigError(f"'train.loss' {term.name} needs 'model.final_activation' softmax")
        if activation == "softmax" and treats_channels_alone(term.name):
            log.info("binary cross-entropy treats the softmax channels one by one")
    return activation


def fit(
    setup: Setup, *, resume: bool = False, progress: Progress = SILENT
) -> tuple[Contract, State]:
    """Train until the epochs are done, the loss stops falling, or a file STOP appears.

    Returns:
        The contract so far, and the history.

    Raises:
        ConfigError: Tile and stride, or batch and devices, do not go together.
        DataError: There is no training tile, or the checkpoint is broken.
        BudgetError: Memory ran out.
        LostProcess: Another process of the team ended.
    """
    processes.require_shares(setup.train.batch_size)
    with processes.together():
        return _fit(setup, resume=resume, progress=progress)


def _fit(setup: Setup, *, resume: bool, progress: Progress) -> tuple[Contract, State]:
    runtime.seed_everything(setup.seed if setup.first_weights is None else setup.first_weights)
    contract = untrained_contract(setup)
    with runtime.precision(setup.precision):
        network = build_network(contract, where="the config")
        model = training_network(network)
    contract = with_geometry(contract, network)
    if setup.inference_tile:
        key = "tiled_infer.tile_size"
        refuse_misfit(setup.inference_tile, contract.align, key=key)
        contract = replace(contract, tile_size=setup.inference_tile)
    freeze(network, setup.train.freeze)
    batches, validation = make_batches(setup, progress)
    compile_model(model, setup.train, contract, steps_per_epoch=len(batches))
    _check_memory(model, setup)
    state = load_state(setup.run.state, model) if resume else None
    if state is None:
        take_ready_made(setup.model, setup.train.start_from, network, into=contract)
        state = State()
    else:
        log.info("going on after epoch %d of %d", state.epoch, setup.train.epochs)
    if state.ended == "stop" and not processes.agreed(setup.team, setup.run.stop.exists()):
        state.ended = None
    if state.ended is None:
        _run_epochs(setup, (model, final_network(network)), contract, state=state,
                    data=(batches, validation), progress=progress)  # fmt: skip
    return contract, state


def compile_model(
    model: Tensor, config: TrainConfig, contract: Contract, *, steps_per_epoch: int
) -> None:
    """Give a network the optimiser, loss and metrics of a training."""
    model.compile(
        optimizer=make_optimizer(config, steps_per_epoch),
        loss=SegmentationLoss(
            loss_terms(config),
            contract.activation,
            channels=contract.channels,
            side_weight=config.side_weight,
        ),
        metrics=make_metrics(config.metrics, contract.classes.names, contract.activation),
    )


def make_batches(
    setup: Setup, progress: Progress = SILENT
) -> tuple[TrainingBatches, TileBatches | None]:
    """What is trained on and what is validated on.

    Raises:
        ConfigError: A key does not fit the dataset.
        DataError: There is nothing to train on, or a field is broken.
    """
    dataset, config, seed = setup.dataset, setup.train, setup.seed
    samples: Samples = (
        tile_samples(dataset, config, seed=seed)
        if setup.fields is None
        else field_samples(
            dataset, config, setup.fields, seed=seed, workers=setup.workers, progress=progress
        )
    )
    batches = TrainingBatches(
        samples,
        setup.preprocessing,
        channels=setup.model.input_channels,
        workers=setup.workers,
        team=setup.team,
    )
    held_out = dataset.tiles_of("valid")
    if not held_out:
        log.warning("no validation tiles: the last epoch's weights are kept")
        return batches, None
    validation = TileBatches(
        labelled_tiles(dataset, held_out),
        dataset.classes,
        setup.preprocessing,
        channels=setup.model.input_channels,
        batch_size=config.batch_size,
        workers=setup.workers,
        team=setup.team,
        devices=processes.devices(),
    )
    return batches, validation


def _run_epochs(
    setup: Setup,
    networks: tuple[Tensor, Tensor],
    contract: Contract,
    *,
    state: State,
    data: tuple[TrainingBatches, TileBatches | None],
    progress: Progress,
) -> None:
    batches, validation = data
    model, final = networks
    alone = setup.team.count == 1  # previews would need all processes
    shown = preview_images(setup.train.previews, setup.dataset) if alone else []
    painter = PreviewPainter(setup.run, final, contract, images=shown) if shown else None
    runtime.settle_queue(model, lambda: batches[0])
    with ExitStack() as stack:
        bars = ProgressBars(
            batches, epochs=setup.train.epochs, first=state.epoch, stack=stack, progress=progress
        )
        keeper = EpochKeeper(
            setup.run, setup.train, state, network=final, preview=painter, team=setup.team
        )
        averaging = [keras.callbacks.SwapEMAWeights()] if setup.train.ema else []
        boards = (
            [open_tensorboard(setup.run)] if setup.train.tensorboard and setup.team.leads else []
        )
        try:
            model.fit(
                batches,
                validation_data=validation,
                epochs=setup.train.epochs,
                initial_epoch=state.epoch,
                callbacks=[bars, *averaging, *boards, keeper],
                shuffle=False,
                verbose=0,
            )
        except runtime.out_of_memory_errors() as exc:
            if tells_full_disk(exc):  # TensorBoard's writer
                raise full_disk(setup.run.tensorboard) from exc
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
    if runtime.on_cpu() and training_bytes(model, batch, size) > 2 * machine.available_memory():
        raise _out_of_memory(model, setup)


def _out_of_memory(model: Tensor, setup: Setup) -> BudgetError:
    """Tell which batch would fit into what is free."""
    size, batch = setup.dataset.tile_size, setup.train.batch_size
    free = machine.available_memory()
    fits = max((n for n in range(1, batch) if training_bytes(model, n, size) < free), default=0)
    message = f"out of memory at 'train.batch_size' {batch} with tiles of {size}"
    if fits:
        return BudgetError(message, hint=f"about {fits} would fit: --set train.batch_size={fits}")
    return BudgetError(message, hint="smaller 'data.tile_size' or 'model.base_filters' would help")

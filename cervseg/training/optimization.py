"""The optimiser and its learning rate."""

import keras
from keras import ops

from cervseg.arrays import Tensor
from cervseg.config.training import TrainConfig


def make_optimizer(config: TrainConfig, steps_per_epoch: int) -> Tensor:
    """Build the optimiser that the config asks for.

    Adam: Kingma & Ba, 2015; AdamW: Loshchilov & Hutter, 2019; Lion: Chen et al., 2023; SGD with
    Nesterov's momentum. Weight decay is decoupled and spares biases and norms.

    Args:
        config: Section `train`.
        steps_per_epoch: Batches an epoch, for schedules that follow steps; Keras asks a schedule
            by batches, however many of them make one update.
    """
    common = {
        "learning_rate": _schedule(config, steps_per_epoch),
        "clipvalue": config.clip_value,
        "clipnorm": config.clip_norm,
        "gradient_accumulation_steps": config.accumulate if config.accumulate > 1 else None,
        "use_ema": config.ema is not None,
        "ema_momentum": config.ema or 0.99,
    }
    if config.optimizer == "adam":
        return Adam(**common)
    common["weight_decay"] = config.weight_decay
    if config.optimizer == "adamw":
        optimizer = AdamW(**common)
    elif config.optimizer == "lion":
        optimizer = Lion(**common)
    else:
        optimizer = SGD(momentum=config.momentum, nesterov=config.momentum > 0, **common)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


class _Averaging:
    """Lets the average of the weights forget its beginning.

    In update t its momentum is `min(momentum, (1 + t) / (4 + t))`: an average over the last third
    of a short training, which would else end with a share of the weights that it began with.
    Keras averages after every batch: where several make one update, only after the last of them.
    """

    iterations: Tensor
    _iterations: Tensor
    gradient_accumulation_steps: int | None

    @property
    def ema_momentum(self) -> Tensor:
        """Share of the old average that a batch keeps."""
        done = ops.cast(self.iterations, "float32")
        of_update = ops.minimum(self._ema_momentum, (1 + done) / (4 + done))
        if (batches := self.gradient_accumulation_steps) is None:
            return of_update
        return ops.where((self._iterations + 1) % batches == 0, of_update, 1.0)

    @ema_momentum.setter
    def ema_momentum(self, momentum: float) -> None:
        self._ema_momentum = momentum

    def get_config(self) -> dict[str, Tensor]:
        """What makes it again."""
        return {**super().get_config(), "ema_momentum": self._ema_momentum}  # type: ignore[misc]


class Adam(_Averaging, keras.optimizers.Adam):
    """Keras's, with an average that warms up."""


class AdamW(_Averaging, keras.optimizers.AdamW):
    """Keras's, with an average that warms up."""


class Lion(_Averaging, keras.optimizers.Lion):
    """Keras's, with an average that warms up."""


class SGD(_Averaging, keras.optimizers.SGD):
    """Keras's, with an average that warms up."""


@keras.saving.register_keras_serializable("cervseg")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly from 0, then follows another schedule from its beginning.

    Args:
        after: The other schedule.
        steps: How long it rises.
    """

    def __init__(self, after: Tensor, steps: float) -> None:
        super().__init__()
        self.after = after
        self.steps = steps

    def __call__(self, step: Tensor) -> Tensor:
        """The rate at a step, from 0."""
        step = ops.cast(step, "float32")
        rising = self.after(0.0) * step / self.steps
        return ops.where(step < self.steps, rising, self.after(ops.maximum(step - self.steps, 0.0)))

    def get_config(self) -> dict[str, Tensor]:
        """What makes it again."""
        return {"after": self.after, "steps": self.steps}


def _schedule(config: TrainConfig, steps_per_epoch: int) -> Tensor:
    """A number, or a function of the batches so far."""
    rate, warmup = config.learning_rate, config.warmup_epochs * steps_per_epoch
    if config.schedule == "plateau" or (config.schedule == "flat" and not warmup):
        return rate
    rest = max(1, round(config.epochs * steps_per_epoch - warmup))
    schedules = keras.optimizers.schedules
    if config.schedule == "cosine":  # Loshchilov & Hutter, 2017
        after = schedules.CosineDecay(rate, rest)
    elif config.schedule == "polynomial":
        after = schedules.PolynomialDecay(rate, rest, end_learning_rate=0.0, power=config.power)
    else:
        every = 1 if config.schedule == "flat" else config.step.every * steps_per_epoch
        factor = 1.0 if config.schedule == "flat" else config.step.factor
        after = schedules.ExponentialDecay(rate, every, factor, staircase=True)
    return WarmUp(after, warmup) if warmup else after

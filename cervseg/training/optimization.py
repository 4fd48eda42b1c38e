"""The optimiser and its learning rate."""

import keras

from cervseg.arrays import Tensor
from cervseg.config.training import TrainConfig


def make_optimizer(config: TrainConfig, steps_per_epoch: int) -> Tensor:
    """Build the optimiser that the config asks for.

    Adam: Kingma & Ba, 2015; AdamW: Loshchilov & Hutter, 2019, biases and norms not decayed.

    Args:
        config: Section `train`.
        steps_per_epoch: For schedules that follow steps.
    """
    common = {
        "learning_rate": _schedule(config, steps_per_epoch),
        "clipvalue": config.clip_value,
        "clipnorm": config.clip_norm,
    }
    if config.optimizer == "adam":
        return keras.optimizers.Adam(**common)
    optimizer = keras.optimizers.AdamW(weight_decay=config.weight_decay, **common)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def _schedule(config: TrainConfig, steps_per_epoch: int) -> Tensor:
    """A number, or a cosine from warm-up to zero (Loshchilov & Hutter, 2017)."""
    if config.schedule != "cosine":
        return config.learning_rate
    warmup = config.warmup_epochs * steps_per_epoch
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else config.learning_rate,
        warmup_target=config.learning_rate if warmup else None,
        warmup_steps=warmup,
        decay_steps=max(1, config.epochs * steps_per_epoch - warmup),
    )

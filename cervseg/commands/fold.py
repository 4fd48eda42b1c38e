"""The config of an experiment as one fold of its cross-validation sees it."""

from cervseg.config import Config
from cervseg.runs import Run


def of_fold(config: Config, fold: int | None) -> Config:
    """The config of one fold: its outputs are folders in those of the whole."""
    if fold is None:
        return config
    train, evaluate = config.train, config.evaluate
    train = train.model_copy(update={"output": Run(train.output).fold(fold)})
    if evaluate.output is not None:
        evaluate = evaluate.model_copy(update={"output": evaluate.output / f"fold{fold}"})
    return config.model_copy(update={"train": train, "evaluate": evaluate})

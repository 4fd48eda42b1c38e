"""`train`: how the network is fitted."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from cervseg.config.augmentation import AugmentationConfig
from cervseg.config.base import ConfigPath, Section
from cervseg.config.losses import Losses, OverlapLoss

MetricName = Literal["binary_accuracy", "dice", "iou", "sensitivity", "specificity"]


class Reducer(Section):
    """Schedule `plateau`: reduce the learning rate when the loss stops falling."""

    factor: float = Field(0.2, gt=0, lt=1, description="new rate over old")
    patience: int = Field(4, ge=1, description="epochs without a better validation loss")
    minimum: float = Field(1e-6, ge=0, description="the rate is never below")


class Steps(Section):
    """Schedule `step`: reduce the learning rate at even distances."""

    every: int = Field(30, ge=1, description="epochs between two reductions")
    factor: float = Field(0.1, gt=0, lt=1, description="new rate over old")


class Previews(Section):
    """A picture after every epoch: image, truth, whole, tiled."""

    num_infer_images: int = Field(1, ge=0, le=20, description="images on it; 0: no previews")
    images: ConfigPath | None = Field(
        None, description="folder of images to show; default: validation images"
    )


class TrainConfig(Section):
    """Output, loss, optimiser, schedule, stopping, sampling."""

    output: ConfigPath = Field(Path("runs/cervseg"), description="the run folder")
    loss: Losses = Field((OverlapLoss(name="bce_dice"),), description="what is minimised")
    metrics: Annotated[tuple[MetricName, ...], Field(min_length=1)] = Field(
        ("dice", "iou"), description="also reported, thresholded, per class"
    )
    plot_metrics: tuple[MetricName, ...] | None = Field(
        None, description="which of them `curves.png` shows; default: all"
    )
    epochs: int = Field(100, ge=1, le=10**6, description="at most")
    batch_size: int = Field(4, ge=1, le=1024, description="tiles a step")
    steps_per_epoch: int | None = Field(
        None,
        ge=1,
        le=10**6,
        description="batches an epoch; default: one pass over the tiles, or as many windows as "
        "cover the fields once",
    )
    patience: int = Field(
        10, ge=0, description="stop after so many epochs without a better loss; 0: off"
    )
    temperature: float | None = Field(
        None,
        ge=0.1,
        le=10,
        description="of the model: divides its logits, so that probabilities tell how often it is "
        "right; default: fitted on validation images, 1 without any",
    )
    accumulate: int = Field(
        1, ge=1, le=1024, description="batches whose mean gradient makes one step of the optimiser"
    )
    optimizer: Literal["adam", "adamw", "lion", "sgd"] = Field(
        "adam", description="which optimiser"
    )
    learning_rate: float = Field(1e-3, gt=0, le=1, description="at the start, after warm-up")
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd, after Nesterov")
    weight_decay: float = Field(
        0.004, ge=0, le=1, description="of adamw, lion and sgd; biases and norms are spared"
    )
    clip_value: float | None = Field(None, gt=0, description="largest entry of a gradient")
    clip_norm: float | None = Field(None, gt=0, description="largest norm of each gradient")
    schedule: Literal["flat", "plateau", "cosine", "polynomial", "step"] = Field(
        "plateau", description="of the learning rate"
    )
    reducer: Reducer = Field(Reducer(), description="of schedule `plateau`")
    power: float = Field(
        0.9, gt=0, le=10, description="of schedule `polynomial`: (share of steps left) ^ power"
    )
    step: Steps = Field(Steps(), description="of schedule `step`")
    warmup_epochs: int = Field(
        0, ge=0, description="the rate rises linearly first; not with schedule `plateau`"
    )
    ema: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="momentum of an average of the weights over the steps, which "
        "validation and the model take; in step t at most (1 + t) / (4 + t); default: off",
    )
    start_from: ConfigPath | None = Field(
        None,
        description="run or model folder, or `builtin:NAME`; its weights are taken where they fit",
    )
    soup: int | None = Field(
        None,
        ge=2,
        le=100,
        description="trainings with a seed each, whose weights are averaged to one model; with "
        "`start_from`, so that they have one beginning; default: one training",
    )
    freeze: tuple[str, ...] = Field(
        (), description="patterns like `encoder_*`: layers of these names are not trained"
    )
    side_weight: float = Field(
        1.0, ge=0, le=100, description="of the loss of each side output; the final one has 1"
    )
    foreground_fraction: float = Field(
        0.5,
        ge=0,
        le=1,
        description="share of the samples from tiles that hold foreground; with `data.sampling` "
        "fields, centred on foreground",
    )
    class_sampling: dict[str, Annotated[float, Field(ge=0, le=100)]] = Field(
        {},
        description="with `data.sampling` fields: how often samples are centred on each class, "
        "relative to others; default: 1 each",
    )
    workers: int | None = Field(
        None, ge=1, le=64, description="threads that make batches; default: the cores allowed"
    )
    augmentation: AugmentationConfig = Field(
        AugmentationConfig(), description="how far samples are varied"
    )
    previews: Previews = Field(Previews(), description="a picture after every epoch")
    tensorboard: bool = Field(False, description="also write the history for TensorBoard")

    @model_validator(mode="after")
    def _check_together(self) -> "TrainConfig":
        unknown = set(self.plot_metrics or ()) - set(self.metrics)
        if unknown:
            raise ValueError(f"`plot_metrics` names {min(unknown)!r}, which `metrics` does not")
        if self.clip_value is not None and self.clip_norm is not None:
            raise ValueError("`clip_value` and `clip_norm` exclude each other")
        if self.soup and self.start_from is None:
            raise ValueError(
                "`soup` needs `start_from`: the mean of trainings that began apart is no network"
            )
        if self.warmup_epochs >= self.epochs:
            raise ValueError("`warmup_epochs` must be below `epochs`")
        if self.warmup_epochs and self.schedule == "plateau":
            raise ValueError("`warmup_epochs` does not go with `schedule` plateau")
        return self

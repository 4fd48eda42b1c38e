"""`train`: how the network is fitted."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from cervseg.config.augmentation import AugmentationConfig
from cervseg.config.base import ConfigPath, Section

LossName = Literal[
    "binary_crossentropy", "categorical_crossentropy", "dice", "bce_dice", "iou", "bce_iou"
]
MetricName = Literal["binary_accuracy", "dice", "iou", "sensitivity", "specificity"]


class Reducer(Section):
    """Schedule `plateau`: reduce the learning rate when the loss stops falling."""

    factor: float = Field(0.2, gt=0, lt=1, description="new rate over old")
    patience: int = Field(4, ge=1, description="epochs without a better validation loss")
    minimum: float = Field(1e-6, ge=0, description="the rate is never below")


class Previews(Section):
    """A picture after every epoch: image, truth, whole, tiled."""

    num_infer_images: int = Field(1, ge=0, le=20, description="images on it; 0: no previews")
    images: ConfigPath | None = Field(
        None, description="folder of images to show; default: validation images"
    )


class TrainConfig(Section):
    """Output, loss, optimiser, schedule, stopping, sampling."""

    output: ConfigPath = Field(Path("runs/cervseg"), description="the run folder")
    loss: LossName = Field("bce_dice", description="what is minimised")
    metrics: Annotated[tuple[MetricName, ...], Field(min_length=1)] = Field(
        ("dice", "iou"), description="also reported, thresholded, per class"
    )
    plot_metrics: tuple[MetricName, ...] | None = Field(
        None, description="which of them `curves.png` shows; default: all"
    )
    epochs: int = Field(100, ge=1, description="at most")
    batch_size: int = Field(4, ge=1, le=1024, description="tiles a step")
    steps_per_epoch: int | None = Field(None, ge=1, description="default: one pass over the tiles")
    patience: int = Field(
        10, ge=0, description="stop after so many epochs without a better loss; 0: off"
    )
    optimizer: Literal["adam", "adamw"] = Field("adam", description="which optimiser")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="at the start, after warm-up")
    weight_decay: float = Field(0.004, ge=0, le=1, description="adamw only")
    clip_value: float | None = Field(None, gt=0, description="largest entry of a gradient")
    clip_norm: float | None = Field(None, gt=0, description="largest norm of each gradient")
    schedule: Literal["flat", "plateau", "cosine"] = Field(
        "plateau", description="of the learning rate"
    )
    reducer: Reducer = Field(Reducer(), description="of schedule `plateau`")
    warmup_epochs: int = Field(0, ge=0, description="of schedule `cosine`: rising linearly")
    foreground_fraction: float = Field(
        0.5, ge=0, le=1, description="share of each batch drawn from tiles that hold foreground"
    )
    workers: int | None = Field(
        None, ge=1, le=64, description="threads that make batches; default: the cores allowed"
    )
    augmentation: AugmentationConfig = Field(
        AugmentationConfig(), description="how far samples are varied"
    )
    previews: Previews = Field(Previews(), description="a picture after every epoch")

    @model_validator(mode="after")
    def _check_together(self) -> "TrainConfig":
        unknown = set(self.plot_metrics or ()) - set(self.metrics)
        if unknown:
            raise ValueError(f"`plot_metrics` names {min(unknown)!r}, which `metrics` does not")
        if self.clip_value is not None and self.clip_norm is not None:
            raise ValueError("`clip_value` and `clip_norm` exclude each other")
        if self.warmup_epochs >= self.epochs:
            raise ValueError("`warmup_epochs` must be below `epochs`")
        return self

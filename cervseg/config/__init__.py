"""The config: one frozen section a file, each key with type, default, bounds and meaning."""

from pydantic import Field

from cervseg.config.base import Section
from cervseg.config.data import DataConfig
from cervseg.config.evaluation import EvaluateConfig
from cervseg.config.inference import InferConfig, TiledInferConfig
from cervseg.config.model import ModelConfig
from cervseg.config.networks import UNetConfig
from cervseg.config.runtime import RuntimeConfig
from cervseg.config.training import TrainConfig


class Config(Section):
    """Everything one experiment says."""

    data: DataConfig = Field(DataConfig(), description="images, masks, classes, splits, tiles")
    model: ModelConfig = Field(UNetConfig(), description="the network")
    train: TrainConfig = Field(TrainConfig(), description="how it is fitted")
    evaluate: EvaluateConfig = Field(EvaluateConfig(), description="how it is scored")
    infer: InferConfig = Field(InferConfig(), description="whole images")
    tiled_infer: TiledInferConfig = Field(TiledInferConfig(), description="images of any size")
    runtime: RuntimeConfig = Field(RuntimeConfig(), description="seed, device, threads")

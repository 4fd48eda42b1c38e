"""`model`: one network of several, told by `architecture`."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from cervseg.config.encoders import DeepLabV3PlusConfig, EfficientUNetConfig, LiteUNetConfig
from cervseg.config.networks import (
    AttentionUNetConfig,
    BASNetConfig,
    MultiResUNetConfig,
    SharpUNetConfig,
    U2NetConfig,
    UNet3PlusConfig,
    UNetConfig,
    UNetPlusPlusConfig,
    XceptionUNetConfig,
)
from cervseg.config.transformers import SegFormerConfig, SwinUNetConfig, TransUNetConfig

Network = (
    UNetConfig
    | AttentionUNetConfig
    | MultiResUNetConfig
    | SharpUNetConfig
    | UNetPlusPlusConfig
    | UNet3PlusConfig
    | U2NetConfig
    | BASNetConfig
    | DeepLabV3PlusConfig
    | EfficientUNetConfig
    | XceptionUNetConfig
    | SwinUNetConfig
    | TransUNetConfig
    | SegFormerConfig
    | LiteUNetConfig
)


def _with_architecture(value: object) -> object:
    return {"architecture": "unet", **value} if isinstance(value, dict) else value


ModelConfig = Annotated[
    Annotated[Network, Field(discriminator="architecture")], BeforeValidator(_with_architecture)
]
"""The section; without `architecture` it is a U-Net."""

NOT_OPTIONS = ("architecture", "input_channels", "final_activation", "encoder_weights")
"""Keys that the network's `build` does not take: the contract or the training has them."""


def network_options(config: Network) -> dict[str, int | float | str | list[int] | None]:
    """The keyword arguments of the network's `build`, as the contract keeps them."""
    given = config.model_dump(mode="json")
    return {key: value for key, value in given.items() if key not in NOT_OPTIONS}


def output_activation(config: Network, classes: int) -> Literal["sigmoid", "softmax"]:
    """What follows the logits for so many foreground classes."""
    if config.final_activation != "auto":
        return config.final_activation
    return "sigmoid" if classes == 1 else "softmax"

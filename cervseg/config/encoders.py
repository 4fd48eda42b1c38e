"""The keys of networks with a ready-made encoder, named as in their papers."""

from typing import Annotated, Literal

from pydantic import Field

from cervseg.config.base import ConfigPath
from cervseg.config.networks import (
    DROPOUT_SEED,
    Activation,
    Filters,
    NetworkConfig,
    Normalization,
)

EfficientNet = Literal[
    "efficientnet_b0",
    "efficientnet_b1",
    "efficientnet_b2",
    "efficientnet_b3",
    "efficientnet_b4",
    "efficientnet_b5",
    "efficientnet_b6",
    "efficientnet_b7",
    "efficientnet_v2_b0",
    "efficientnet_v2_b1",
    "efficientnet_v2_b2",
    "efficientnet_v2_b3",
]
EncoderName = (
    EfficientNet
    | Literal[
        "vgg16",
        "vgg19",
        "resnet50",
        "resnet101",
        "resnet152",
        "resnet50_v2",
        "resnet101_v2",
        "resnet152_v2",
        "densenet121",
        "densenet169",
        "densenet201",
        "mobilenet_v3_small",
        "mobilenet_v3_large",
    ]
)
Freeze = bool | Annotated[int, Field(ge=1, le=10_000)]
EncoderWeights = Annotated[
    Literal["none", "imagenet"] | ConfigPath, Field(union_mode="left_to_right")
]
_ENCODER_WEIGHTS = "none, imagenet (by download), or a file of them; a training starts from them"
_FREEZE = "true: the encoder is not trained; a number: all of its layers but the last so many"
_FREEZE_NORMS = "false: normalisations of frozen layers are trained all the same"


class EncoderConfig(NetworkConfig):
    """What networks with a ready-made encoder have."""

    encoder_weights: EncoderWeights = Field("none", description=_ENCODER_WEIGHTS)
    freeze_encoder: Freeze = Field(False, description=_FREEZE)
    freeze_norms: bool = Field(True, description=_FREEZE_NORMS)


class NamedEncoderConfig(EncoderConfig):
    """What networks with an encoder of choice have."""

    encoder: str = Field(description="which encoder of keras.applications")


class DeepLabV3PlusConfig(NamedEncoderConfig):
    """DeepLabV3+ of Chen 2018: atrous pyramid, low-level skip, output stride 16."""

    architecture: Literal["deeplabv3plus"] = Field(description="which network")
    encoder: Literal["resnet50", "mobilenet_v3_large", "mobilenet_v3_small"] = Field(
        "resnet50", description="which encoder of keras.applications"
    )
    atrous_rates: Annotated[
        tuple[Annotated[int, Field(ge=1, le=64)], ...], Field(min_length=1, max_length=6)
    ] = Field((6, 12, 18), description="dilations of the pyramid")
    decoder_filters: Filters = Field(256, description="of the pyramid's branches and the decoder")
    activation: Activation = Field("relu", description="outside the encoder")
    normalization: Normalization = Field("batch", description="outside the encoder")


class EfficientUNetConfig(NamedEncoderConfig):
    """An EfficientNet (Tan 2019, 2021) with the U-Net's way up."""

    architecture: Literal["efficient_unet"] = Field(description="which network")
    encoder: EfficientNet = Field("efficientnet_b0", description="which EfficientNet")
    decoder_filters: tuple[Filters, Filters, Filters, Filters, Filters] = Field(
        (256, 128, 64, 32, 16), description="of the way up, from stride 16 to 1"
    )
    dropout_seed: int | None = Field(None, ge=0, description=DROPOUT_SEED)
    activation: Activation = Field("relu", description="of the decoder")
    normalization: Normalization = Field("batch", description="of the decoder")


class LiteUNetConfig(EncoderConfig):
    """Ours for the CPU: EfficientNet-Lite0 and a slim decoder, both local."""

    architecture: Literal["lite_unet"] = Field(description="which network")
    encoder_weights: EncoderWeights = Field(
        "none", description="none, imagenet (in the package), or a file of them"
    )
    decoder_filters: tuple[Filters, Filters, Filters, Filters] = Field(
        (128, 64, 48, 32), description="of the way up, from stride 16 to 2"
    )
    dropout_rate: float = Field(0.0, ge=0, lt=1, description="share dropped before the logits")
    dropout_seed: int | None = Field(None, ge=0, description=DROPOUT_SEED)
    activation: Activation = Field("relu", description="of the decoder")

"""The keys of each network under `model`, named as in its paper; defaults are those of `build`."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from cervseg.config.base import Section

Activation = Literal[
    "celu",
    "elu",
    "exponential",
    "gelu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softplus",
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "squareplus",
    "swish",
    "tanh",
    "tanh_shrink",
]


Normalization = Literal["none", "batch", "layer", "group"]

MOST_FILTERS = 8192
"""Of a bottleneck; a convolution of that many has 600 million weights already."""

Filters = Annotated[int, Field(ge=1, le=1024)]
Levels = Annotated[int, Field(ge=1, le=10)]
BASE_FILTERS = "filters of level 0, doubled per level"
NUM_LAYERS = "levels, the bottleneck included"
DEEP_SUPERVISION = "whether other levels get heads too, which training sums"
DROPOUT_SEED = "default: from `runtime.seed`"


class NetworkConfig(Section):
    """What every network has."""

    architecture: str = Field(description="which network")
    input_channels: Literal[1, 3] = Field(3, description="3: colour, 1: the image in grey")
    final_activation: Literal["auto", "sigmoid", "softmax"] = Field(
        "auto", description="auto: sigmoid for one class, softmax for several"
    )


class RescalingConfig(NetworkConfig):
    """What networks without a ready-made encoder have."""

    rescaling: Literal["unit", "none"] = Field(
        "unit", description="first layer: [0, 255] to [0, 1], or nothing"
    )


class PlainConfig(RescalingConfig):
    """What networks of convolutions from scratch have."""

    activation: Activation = Field("relu", description="of hidden layers: any of Keras")
    normalization: Normalization = Field(
        "batch", description="after each convolution; `layer`: over channels at each pixel"
    )


class LevelsConfig(PlainConfig):
    """What networks of levels that halve the image have."""

    base_filters: int = Field(16, ge=1, le=512, description=BASE_FILTERS)
    num_layers: Levels = Field(5, description=NUM_LAYERS)

    @model_validator(mode="after")
    def _check_size(self) -> Self:
        widest = self.base_filters * 2 ** (self.num_layers - 1)
        if widest > MOST_FILTERS:
            raise ValueError(
                f"the bottleneck would have {widest} filters, at most {MOST_FILTERS} are allowed"
            )
        return self


class UNetConfig(LevelsConfig):
    """The U-Net of Ronneberger 2015 with ladders of kernels, dilations and dropout."""

    architecture: Literal["unet"] = Field("unet", description="which network")
    base_kernels: tuple[int, int] = Field(
        (3, 3), description="kernel of level 0; 2 smaller at each level down to 3"
    )
    dilation: tuple[int, int] = Field(
        (1, 1), description="dilation of level 0; 1 smaller at each level down to 1"
    )
    dropout_rate: float = Field(0.0, ge=0, lt=1, description="level i drops i times this share")
    dropout_seed: int | None = Field(None, ge=0, description=DROPOUT_SEED)
    normalize_after: Literal["convolution", "activation"] = Field(
        "convolution", description="before or after the activation, as old experiments have it"
    )

    @field_validator("base_kernels", "dilation")
    @classmethod
    def _check_square(cls, value: tuple[int, int]) -> tuple[int, int]:
        if value[0] != value[1] or not 1 <= value[0] <= 31:
            raise ValueError("two equal numbers from 1 to 31")
        return value

    @field_validator("base_kernels")
    @classmethod
    def _check_odd(cls, value: tuple[int, int]) -> tuple[int, int]:
        if value[0] % 2 == 0:
            raise ValueError("an odd kernel, so that it has a centre")
        return value


class AttentionUNetConfig(LevelsConfig):
    """The U-Net of Oktay 2018 with a gate on every skip."""

    architecture: Literal["attention_unet"] = Field(description="which network")
    dropout_rate: float = Field(0.0, ge=0, lt=1, description="level i drops i times this share")
    dropout_seed: int | None = Field(None, ge=0, description=DROPOUT_SEED)


class MultiResUNetConfig(LevelsConfig):
    """The U-Net of Ibtehaz 2019: three kernels in one block, residual paths as skips."""

    architecture: Literal["multires_unet"] = Field(description="which network")
    base_filters: int = Field(
        32, ge=1, le=512, description="filters of level 0 of the U-Net that it replaces"
    )
    alpha: float = Field(1.67, gt=0, le=8, description="width of a block over that of the U-Net")

    @model_validator(mode="after")
    def _check_width(self) -> Self:
        least = 12 if self.normalization == "layer" else 6
        if self.alpha * self.base_filters < least:
            raise ValueError(f"`alpha` times `base_filters` is under {least}, too narrow to split")
        return self


class SharpUNetConfig(LevelsConfig):
    """The U-Net of Zunair 2021, whose skips are sharpened."""

    architecture: Literal["sharp_unet"] = Field(description="which network")
    base_filters: int = Field(32, ge=1, le=512, description=BASE_FILTERS)
    dropout_rate: float = Field(0.0, ge=0, lt=1, description="level i drops i times this share")
    dropout_seed: int | None = Field(None, ge=0, description=DROPOUT_SEED)


class UNetPlusPlusConfig(LevelsConfig):
    """The nested U-Net of Zhou 2018."""

    architecture: Literal["unetplusplus"] = Field(description="which network")
    num_layers: int = Field(5, ge=2, le=10, description=NUM_LAYERS)
    deep_supervision: bool = Field(False, description=DEEP_SUPERVISION)


class UNet3PlusConfig(LevelsConfig):
    """The U-Net of Huang 2020 with skips from all scales."""

    architecture: Literal["unet3plus"] = Field(description="which network")
    num_layers: int = Field(5, ge=2, le=10, description=NUM_LAYERS)
    cat_channels: Filters | None = Field(
        None, description="filters that each scale gives to each level; default: `base_filters`"
    )
    deep_supervision: bool = Field(False, description=DEEP_SUPERVISION)


class U2NetConfig(PlainConfig):
    """The U-Net of U-Nets of Qin 2020; all its heads are trained and fused."""

    architecture: Literal["u2net"] = Field(description="which network")
    size: Literal["full", "small"] = Field("full", description="small: all blocks alike, narrow")
    base_filters: int = Field(
        64, ge=4, le=1024, multiple_of=4, description="filters of level 0, which scale all others"
    )
    num_layers: int = Field(6, ge=2, le=10, description=NUM_LAYERS)


class BASNetConfig(PlainConfig):
    """Predict and refine, Qin 2019; made for loss `basnet_hybrid`, all side outputs trained."""

    architecture: Literal["basnet"] = Field(description="which network")
    base_filters: int = Field(64, ge=1, le=512, description=BASE_FILTERS + ", up to 8 times")
    num_layers: int = Field(6, ge=2, le=6, description="stages of the encoder")


class XceptionUNetConfig(PlainConfig):
    """The network of Keras's Oxford pets: separable convolutions with residuals."""

    architecture: Literal["xception_unet"] = Field(description="which network")
    base_filters: Filters = Field(32, description="of the first convolution and the last block")
    filters: Annotated[tuple[Filters, ...], Field(min_length=1, max_length=8)] = Field(
        (64, 128, 256), description="of each block on the way down"
    )
    dilation: tuple[int, int] = Field((1, 1), description="of all 3 x 3 convolutions between")

    @field_validator("dilation")
    @classmethod
    def _check_square(cls, value: tuple[int, int]) -> tuple[int, int]:
        if value[0] != value[1] or not 1 <= value[0] <= 31:
            raise ValueError("two equal numbers from 1 to 31")
        return value

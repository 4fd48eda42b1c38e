"""`model`: the network and its options, under their papers' names."""

from typing import Literal

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


class UNetConfig(Section):
    """The U-Net of Ronneberger 2015 with ladders of kernels, dilations and dropout."""

    architecture: Literal["unet"] = Field("unet", description="which network")
    input_channels: Literal[1, 3] = Field(3, description="3: colour, 1: the image in grey")
    base_filters: int = Field(16, ge=1, le=512, description="filters of level 0, doubled per level")
    num_layers: int = Field(5, ge=1, le=10, description="levels, the bottleneck included")
    base_kernels: tuple[int, int] = Field(
        (3, 3), description="kernel of level 0; 2 smaller at each level down to 3"
    )
    dilation: tuple[int, int] = Field(
        (1, 1), description="dilation of level 0; 1 smaller at each level down to 1"
    )
    dropout_rate: float = Field(0.0, ge=0, lt=1, description="level i drops i times this share")
    dropout_seed: int | None = Field(None, ge=0, description="default: from `runtime.seed`")
    activation: Activation = Field("relu", description="of hidden layers: any of Keras")
    normalization: Literal["none", "batch", "layer", "group"] = Field(
        "batch", description="after each convolution; `layer`: over channels at each pixel"
    )
    rescaling: Literal["unit", "none"] = Field(
        "unit", description="first layer: [0, 255] to [0, 1], or nothing"
    )
    final_activation: Literal["auto", "sigmoid", "softmax"] = Field(
        "auto", description="auto: sigmoid for one class, softmax for several"
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

    @model_validator(mode="after")
    def _check_size(self) -> "UNetConfig":
        widest = self.base_filters * 2 ** (self.num_layers - 1)
        if widest > 8192:
            raise ValueError(
                f"the bottleneck would have {widest} filters, at most 8192 are allowed"
            )
        return self


ModelConfig = UNetConfig
"""Becomes a union over `architecture` with the second network."""


def network_options(config: ModelConfig) -> dict[str, int | float | str | list[int] | None]:
    """The keyword arguments of the network's `build`, as the contract keeps them."""
    given = config.model_dump(mode="json")
    elsewhere = ("architecture", "input_channels", "final_activation")
    return {key: value for key, value in given.items() if key not in elsewhere}

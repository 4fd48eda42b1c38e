"""The keys of networks that attend, named as in their papers."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from cervseg.config.encoders import EncoderName, NamedEncoderConfig
from cervseg.config.networks import (
    DROPOUT_SEED,
    Activation,
    Filters,
    Normalization,
    RescalingConfig,
)

Window = Annotated[int, Field(ge=1, le=64)]
_DROP_PATH = "share of images that skip a branch of the deepest block in training"


class SegFormerConfig(RescalingConfig):
    """SegFormer of Xie 2021: a Mix Transformer and a decoder of 1 x 1 convolutions."""

    architecture: Literal["segformer"] = Field(description="which network")
    size: Literal["b0", "b1", "b2"] = Field("b0", description="3.7, 13.7 or 27.5 M parameters")
    drop_path_rate: float = Field(0.1, ge=0, lt=1, description=_DROP_PATH)
    dropout_rate: float = Field(
        0.1, ge=0, lt=1, description="share of channels dropped before the logits"
    )
    dropout_seed: int | None = Field(None, ge=0, description=DROPOUT_SEED)
    normalization: Normalization = Field("batch", description="of the decoder")


class SwinUNetConfig(RescalingConfig):
    """Swin-Unet of Cao 2021: attention in shifted windows."""

    architecture: Literal["swin_unet"] = Field(description="which network")
    filter_num_begin: Filters = Field(96, description="channels of level 0, doubled per level")
    depth: int = Field(4, ge=1, le=8, description="levels, the bottleneck included")
    stack_num_down: int = Field(2, ge=1, le=16, description="blocks of a level on the way down")
    stack_num_up: int = Field(2, ge=1, le=16, description="blocks of a level on the way up")
    patch_size: tuple[int, int] = Field((4, 4), description="pixels of a token, height and width")
    num_heads: tuple[Filters, ...] = Field((3, 6, 12, 24), description="of each level")
    window_size: Window | Annotated[tuple[Window, ...], Field(min_length=1)] = Field(
        7, description="side in tokens, of all levels or of each"
    )
    num_mlp: Annotated[int, Field(ge=1, le=16384)] | None = Field(
        None, description="hidden channels of every MLP; default: 4 times those of its level"
    )
    shift_window: bool = Field(True, description="every second block shifts its windows by half")
    drop_path_rate: float = Field(0.2, ge=0, lt=1, description=_DROP_PATH)
    dropout_seed: int | None = Field(None, ge=0, description=DROPOUT_SEED)

    @model_validator(mode="after")
    def _check_levels(self) -> Self:
        sizes = self.window_size
        if len(self.num_heads) != self.depth:
            raise ValueError(
                f"`num_heads` has {len(self.num_heads)} numbers for {self.depth} levels"
            )
        if isinstance(sizes, tuple) and len(sizes) != self.depth:
            raise ValueError(f"`window_size` has {len(sizes)} numbers for {self.depth} levels")
        for level, heads in enumerate(self.num_heads):
            if self.filter_num_begin * 2**level % heads:
                raise ValueError(
                    f"`num_heads` {heads} does not divide the channels of level {level}"
                )
        if self.patch_size[0] != self.patch_size[1] or not 1 <= self.patch_size[0] <= 32:
            raise ValueError("`patch_size` is two equal numbers from 1 to 32")
        return self


class TransUNetConfig(NamedEncoderConfig):
    """TransUNet of Chen 2021: convolutions, a transformer on the coarsest level, the way up."""

    architecture: Literal["trans_unet"] = Field(description="which network")
    encoder: Literal["plain"] | EncoderName = Field(
        "plain", description="plain: two convolutions a level; or one of keras.applications"
    )
    filter_num: Annotated[tuple[Filters, ...], Field(min_length=2, max_length=8)] = Field(
        (64, 128, 256, 512), description="of the levels, fine to coarse"
    )
    embed_dim: int = Field(768, ge=1, le=4096, description="channels of a token")
    num_mlp: int = Field(3072, ge=1, le=16384, description="hidden channels of the MLP")
    num_heads: int = Field(12, ge=1, le=64, description="of the attention; divides `embed_dim`")
    num_transformer: int = Field(12, ge=1, le=48, description="blocks of the transformer")
    dropout_rate: float = Field(0.1, ge=0, lt=1, description="in the transformer")
    dropout_seed: int | None = Field(None, ge=0, description=DROPOUT_SEED)
    activation: Activation = Field("relu", description="of convolutions")
    mlp_activation: Activation = Field("gelu", description="of the transformer's MLP")
    normalization: Normalization = Field("batch", description="outside the encoder")
    rescaling: Literal["unit", "none"] = Field(
        "unit", description="of `plain`: [0, 255] to [0, 1] first, or nothing"
    )

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.embed_dim % self.num_heads:
            raise ValueError(f"`num_heads` {self.num_heads} does not divide `embed_dim`")
        if self.encoder != "plain" and len(self.filter_num) > 5:
            raise ValueError("`filter_num` has at most 5 numbers with an encoder")
        if self.encoder == "plain" and (self.freeze_encoder or self.encoder_weights != "none"):
            raise ValueError("`encoder` plain has no weights to load or to freeze")
        return self

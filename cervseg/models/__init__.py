"""Networks: one file each, one line each in `ARCHITECTURES`."""

from collections.abc import Callable

from cervseg.arrays import Tensor
from cervseg.models import (
    attention_unet,
    basnet,
    deeplabv3plus,
    efficient_unet,
    lite_unet,
    multires_unet,
    segformer,
    sharp_unet,
    swin_unet,
    trans_unet,
    u2net,
    unet,
    unet3plus,
    unetplusplus,
    xception_unet,
)

ARCHITECTURES: dict[str, Callable[..., Tensor]] = {
    "unet": unet.build,
    "attention_unet": attention_unet.build,
    "multires_unet": multires_unet.build,
    "sharp_unet": sharp_unet.build,
    "unetplusplus": unetplusplus.build,
    "unet3plus": unet3plus.build,
    "u2net": u2net.build,
    "basnet": basnet.build,
    "segformer": segformer.build,
    "swin_unet": swin_unet.build,
    "trans_unet": trans_unet.build,
    "efficient_unet": efficient_unet.build,
    "deeplabv3plus": deeplabv3plus.build,
    "xception_unet": xception_unet.build,
    "lite_unet": lite_unet.build,
}
"""Name to `build(input_shape, channels, *, …) -> keras.Model` ending in float32 logits."""

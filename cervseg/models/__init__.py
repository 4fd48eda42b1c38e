"""Networks: one file each, one line each in `ARCHITECTURES`."""

from collections.abc import Callable

from cervseg.arrays import Tensor
from cervseg.models import unet

ARCHITECTURES: dict[str, Callable[..., Tensor]] = {
    "unet": unet.build,
}
"""Name to `build(input_shape, channels, *, …) -> keras.Model` ending in float32 logits."""

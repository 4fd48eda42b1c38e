"""How large the pixels of an image are, by the config or by the file."""

from cervseg.config.inference import InferConfig, TiledInferConfig
from cervseg.contract import Contract
from cervseg.errors import ConfigError
from cervseg.images.image import Image


def known_scale(image: Image, config: InferConfig, contract: Contract) -> float | None:
    """Full-size pixels per pixel of an image, where the config or the file says so.

    Raises:
        ConfigError: `mpp` is asked of a model that knows none.
    """
    if not isinstance(config, TiledInferConfig):
        return None
    if config.scale is not None:
        return config.scale
    if contract.mpp is None:
        if config.mpp is not None:
            raise ConfigError(
                "'tiled_infer.mpp' is given, but the model does not know its micrometres a pixel",
                hint="give tiled_infer.scale instead",
            )
        return None
    mpp = config.mpp or image.mpp
    return None if mpp is None else mpp / contract.mpp / contract.scale


def known_mpp(image: Image, config: InferConfig) -> float | None:
    """Micrometres per pixel of an image, where the config or the file says so."""
    asked = config.mpp if isinstance(config, TiledInferConfig) else None
    return asked or image.mpp

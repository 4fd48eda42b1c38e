"""How large the pixels of an image are, by the config or by the file."""

from cervseg.config.inference import InferConfig, TiledInferConfig
from cervseg.contract import Contract
from cervseg.errors import ConfigError
from cervseg.images.image import Image


def known_scale(image: Image, config: InferConfig, contract: Contract) -> float | None:
    """Full-size pixels per pixel of an image, where the config or the file says so.

    Raises:
        ConfigError: As `require_scale`.
    """
    require_scale(config, contract)
    if not isinstance(config, TiledInferConfig):
        return None
    if config.scale is not None:
        return config.scale
    mpp = config.mpp or image.mpp
    return None if mpp is None or contract.mpp is None else mpp / contract.mpp / contract.scale


def require_scale(config: InferConfig, contract: Contract) -> None:
    """Check that micrometres, where the config gives them, tell this model how large to look.

    Raises:
        ConfigError: The model knows no micrometres, and the config no `scale`.
    """
    if not isinstance(config, TiledInferConfig) or config.mpp is None:
        return
    if config.scale is None and contract.mpp is None:
        raise ConfigError(
            "'tiled_infer.mpp' is given, but the model does not know its micrometres a pixel",
            hint="give tiled_infer.scale too: 1 where images are as those it was trained on",
        )


def known_mpp(image: Image, config: InferConfig) -> float | None:
    """Micrometres per pixel of an image, where the config or the file says so."""
    asked = config.mpp if isinstance(config, TiledInferConfig) else None
    return asked or image.mpp

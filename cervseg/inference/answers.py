"""One function from an image to its probabilities, as the config asks for them."""

from collections.abc import Callable, Sequence

from cervseg.arrays import Probabilities
from cervseg.config.inference import TiledInferConfig
from cervseg.contract import Contract, Predictor
from cervseg.images.image import Image
from cervseg.inference.prediction import plan_tiles, predict_tiled, predict_whole
from cervseg.inference.probability import combine
from cervseg.reports import Progress

Answer = Callable[[Image, Sequence[float], str], Probabilities]
"""From an image, its full-size pixels per file pixel and its name, to (height, width, channels)."""


def tiled_answers(
    contract: Contract,
    predict: Predictor,
    config: TiledInferConfig,
    *,
    square: bool = False,
    progress: Progress,
) -> Answer:
    """Answer tile by tile, joined with the whole-image answer where `combine` says so."""
    plan = plan_tiles(contract, config, square=square)
    whole = whole_answers(contract, predict)

    def answer(image: Image, scale: Sequence[float], name: str) -> Probabilities:
        tiles = len(plan.grid(plan.view(image, scale)))
        with progress.bar(name, tiles) as bar:
            tiled = predict_tiled(image, predict, plan, file_scale=scale, bar=bar)
        if config.combine == "tiled":
            return tiled
        return combine(tiled, whole(image, scale, name), config.combine)

    return answer


def whole_answers(contract: Contract, predict: Predictor, *, stretch: bool = False) -> Answer:
    """Answer each image fitted to one tile."""

    def answer(image: Image, scale: Sequence[float], name: str) -> Probabilities:
        return predict_whole(image, predict, contract, file_scale=scale, stretch=stretch)

    return answer

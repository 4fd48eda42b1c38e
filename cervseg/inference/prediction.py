"""Probabilities of an image in its own grid: tile by tile, or as a whole."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby

from cervseg.arrays import Probabilities
from cervseg.config.inference import TiledInferConfig
from cervseg.contract import Contract, Predictor
from cervseg.errors import ConfigError
from cervseg.grid import TileGrid, Window, round_up
from cervseg.images.image import Image
from cervseg.images.segments import KEPT, keep_less
from cervseg.images.views import Padded, Scaled, fit_image, keep_small, scale_image
from cervseg.inference.bands import Band, Skip, predict_bands
from cervseg.inference.parts import BandList, Parts
from cervseg.inference.probability import Steps
from cervseg.reports import Bar

FULL_SIZE = (1.0, 1.0)

BATCH_PIXELS = 256 * 256
"""Of the tiles that `batch_size: auto` predicts at once."""

LENGTHS = 4
"""Lengths that a tile may have, where an image is shorter than it."""


@dataclass(frozen=True)
class TilePlan:
    """How images are tiled for one model.

    Args:
        size: Side of a tile, a multiple of `align`, model pixels.
        overlap: Pixels that neighbours share.
        margin: Pixels at a cut edge that get no weight.
        batch_size: Tiles a call.
        align: The model's total stride.
        scale: Model pixels per full-size pixel.
        channels: Of the model's output.
        notices: What the user should know of it.
        step: Tiles shorter than `size`, of images shorter than it, have a multiple of this, a
            multiple of `align`: few shapes, as each is compiled. None: there are none.
        spare: Bytes of decoded pixels that a reader may keep in any case.
    """

    size: int
    overlap: int
    margin: int
    batch_size: int
    align: int
    scale: float
    channels: int
    notices: tuple[str, ...] = ()
    step: int | None = None
    spare: int = KEPT

    def view(self, image: Image, file_scale: Sequence[float] = FULL_SIZE) -> Scaled:
        """The image at the model's scale."""
        image = keep_less(image, self.spare)
        return scale_image(image, file_scale[0] * self.scale, file_scale[1] * self.scale)

    def grid(self, view: Image) -> TileGrid:
        """The tiles of a view, which is padded to fit."""
        height, width = self._padded(view.height), self._padded(view.width)
        return TileGrid(height, width, self.size, self.overlap, self.align)

    def _padded(self, length: int) -> int:
        if self.step is None or length >= self.size:
            return TileGrid.padded(length, self.size, self.align)
        return min(self.size, round_up(length, self.step))


def plan_tiles(
    contract: Contract,
    config: TiledInferConfig | None = None,
    *,
    batch_size: int | None = None,
    channels: int | None = None,
    square: bool = False,
) -> TilePlan:
    """Choose tile and overlap for a model.

    `auto` shares twice the margin, so that tiled equals whole, but at most half a tile; a quarter
    of a tile where the model sees all of it.

    Args:
        contract: Of the model.
        config: Section `tiled_infer`; None: its defaults.
        batch_size: Instead of the section's.
        channels: Instead of the contract's.
        square: All tiles must be, as an exported model asks for.

    Raises:
        ConfigError: The tile is off the model's stride, or the overlap leaves no step.
    """
    config = config or TiledInferConfig()
    size, align = config.tile_size or contract.tile_size, contract.align
    if size % align:
        nearest = max(align, round(size / align) * align)
        raise ConfigError(
            f"'tiled_infer.tile_size' {size} is no multiple of the model's stride {align}",
            hint=f"{nearest} would do",
        )
    overlap = _overlap(config, contract, size)
    margin = min(contract.margin or 0, overlap // 2)
    notices = []
    if contract.margin is None:
        notices.append("the model sees the whole tile: tiled and whole answers differ")
    elif margin < contract.margin:
        notices.append(
            f"overlap {overlap} is under twice the margin {contract.margin}: "
            f"a margin of {margin} is used, and tiles may differ a little from the whole"
        )
    return TilePlan(
        size=size,
        overlap=overlap,
        margin=margin,
        batch_size=batch_size or batch_size_for(config, size),
        align=align,
        scale=contract.scale,
        channels=channels or contract.channels,
        notices=tuple(notices),
        step=None if square or contract.margin is None else round_up(-(-size // LENGTHS), align),
    )


def batch_size_for(config: TiledInferConfig, size: int) -> int:
    """Tiles of a side that are predicted at once.

    By default few: on a CPU more only push the activations of large tiles out of its caches.
    """
    if isinstance(config.batch_size, int):
        return config.batch_size
    return max(1, BATCH_PIXELS // size**2)


def _overlap(config: TiledInferConfig, contract: Contract, size: int) -> int:
    if isinstance(config.overlap, int):
        if config.overlap > size - contract.align:
            raise ConfigError(
                f"'tiled_infer.overlap' {config.overlap} leaves no step for tiles of {size}",
                hint=f"at most {size // 2} is useful",
            )
        return config.overlap
    wanted = size // 4 if contract.margin is None else min(2 * contract.margin, size // 2)
    return min(wanted, size - contract.align)  # a tile of a single stride has no room to share


def predict_tiled(
    image: Image,
    predict: Predictor,
    plan: TilePlan,
    *,
    file_scale: Sequence[float] = FULL_SIZE,
    bar: Bar | None = None,
) -> Probabilities:
    """Predict at the model's scale, tile by tile, and come back to the image's own grid.

    Args:
        image: Any that fits into memory.
        predict: The model.
        plan: From `plan_tiles`.
        file_scale: Full-size pixels per file pixel, vertical and horizontal.
        bar: Moved by one a tile.

    Returns:
        Shape (image.height, image.width, channels).
    """
    view = keep_small(plan.view(image, file_scale))
    parts = BandList(plan.grid(view), plan.channels)
    fill_parts(parts, view, predict, plan=plan, bar=bar)
    return Steps(parts, view.height, view.width, target=(image.height, image.width)).read(
        0, image.height
    )


def fill_parts(
    parts: Parts,
    view: Image,
    predict: Predictor,
    *,
    plan: TilePlan,
    bands: Collection[int] | None = None,
    skip: Skip | None = None,
    bar: Bar | None = None,
) -> None:
    """Predict the bands that are missing.

    Args:
        parts: On the plan's grid over `view`.
        view: The image at the model's scale.
        predict: The model.
        plan: From `plan_tiles`.
        bands: Only these; default: all.
        skip: Which tiles are left out.
        bar: Moved by one a tile, also for those that are there already.
    """
    grid, missing = parts.grid, [n for n in parts.missing() if bands is None or n in bands]
    if bar is not None:
        tiles_a_band = len(grid.starts(grid.width))
        bar.advance(len(grid) - len(missing) * tiles_a_band)
    for numbers in _runs(missing):
        finished = predict_bands(
            Padded(view, grid.height, grid.width),
            predict,
            grid,
            channels=plan.channels,
            margin=plan.margin,
            batch_size=plan.batch_size,
            first=numbers.start,
            stop=numbers.stop,
            skip=skip,
            bar=bar,
        )
        with closing(finished):  # see `ahead`
            for number, band in zip(numbers, finished, strict=True):
                parts.add(number, band)


def _runs(numbers: Sequence[int]) -> Iterator[range]:
    """Divide ascending numbers into runs without a gap."""
    for _, group in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        members = [number for _, number in group]
        yield range(members[0], members[-1] + 1)


def predict_whole(
    image: Image,
    predict: Predictor,
    contract: Contract,
    *,
    file_scale: Sequence[float] = FULL_SIZE,
    stretch: bool = False,
) -> Probabilities:
    """Predict an image fitted to one tile, and come back to its own grid.

    Args:
        image: Any that fits into memory.
        predict: The model.
        contract: For its tile size.
        file_scale: Full-size pixels per file pixel, vertical and horizontal.
        stretch: Squeeze the image to the square tile instead of keeping its shape.

    Returns:
        Shape (image.height, image.width, channels).
    """
    rows = whole_rows(image, predict, contract, file_scale=file_scale, stretch=stretch,
                      target=(image.height, image.width))  # fmt: skip
    return rows.read(0, image.height)


def whole_rows(
    image: Image,
    predict: Predictor,
    contract: Contract,
    *,
    target: tuple[int, int],
    file_scale: Sequence[float] = FULL_SIZE,
    stretch: bool = False,
) -> Steps:
    """Like `predict_whole`, as rows of another size: `target`, height and width."""
    size = contract.tile_size
    if stretch:
        view = Scaled(image, size, size)
    else:
        view = fit_image(image, size, file_scale=(file_scale[0], file_scale[1]))
    tile = Padded(view, size, size).read(Window(0, 0, size, size))
    answer = predict(tile[None])[0]
    parts = BandList(TileGrid(size, size, size), answer.shape[-1])
    parts.add(0, Band(0, answer))
    return Steps(parts, view.height, view.width, target=target)

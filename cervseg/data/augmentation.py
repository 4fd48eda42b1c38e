"""One draw of an augmentation: geometry for image and mask, then colour for the image."""

import numpy as np

from cervseg.arrays import RGB, Mask
from cervseg.config.augmentation import AugmentationConfig
from cervseg.data import colour, optics
from cervseg.data.draws import Draws
from cervseg.data.geometry import draw_geometry
from cervseg.data.pasting import Donor, cut_out, paste_cells
from cervseg.data.warp import build_warp, warp_pair

Sample = tuple[RGB, Mask]
"""Pixels (height, width, 3) and class indices (height, width)."""


def augment(
    image: RGB,
    mask: Mask,
    config: AugmentationConfig,
    *,
    rng: np.random.Generator,
    size: tuple[int, int] | None = None,
    donor: Donor | None = None,
) -> tuple[RGB, Mask]:
    """Vary a sample and its mask alike.

    What is drawn is a function of `rng` alone, and takes the same numbers from it whatever the
    config says, so one setting changed leaves the draws of all others as they were.

    Args:
        image: Shape (height, width, 3).
        mask: Shape (height, width).
        config: The ranges.
        rng: Where all draws come from.
        size: Height and width of what is wanted, taken about the middle of a larger image
            (`geometry.margins` says how much larger); default: those of the image.
        donor: Gives another sample, whose cells are pasted; without it none are.
    """
    return vary(image, mask, Draws(config, rng), size=size, donor=donor)


def vary(
    image: RGB,
    mask: Mask,
    draws: Draws,
    *,
    size: tuple[int, int] | None = None,
    donor: Donor | None = None,
) -> tuple[RGB, Mask]:
    """Do what is drawn; see `augment`."""
    target = (size[0], size[1]) if size else (mask.shape[0], mask.shape[1])
    sample = _paste((image, mask), draws, _middle(mask, target), donor=donor)
    image, mask = _move(sample, draws, target)
    image = _spoil(_recolour(image, draws), draws)
    if cutting := draws.of("cut_out"):
        config = draws.config.cut_out
        count = int(cutting.up_to(config.count - 1e-6)) + 1
        image, mask = cut_out(image, mask, count=count, size=config.size, rng=cutting.rng)
    return image, mask


def _middle(mask: Mask, size: tuple[int, int]) -> tuple[slice, slice]:
    """The window of this size in the middle of a mask, or all of a smaller one."""
    top, left = (max(0, n - m) // 2 for n, m in zip(mask.shape, size, strict=True))
    return slice(top, top + size[0]), slice(left, left + size[1])


def _paste(
    sample: Sample, draws: Draws, window: tuple[slice, slice], *, donor: Donor | None
) -> Sample:
    """Paste where it will be seen: within the window."""
    pasting, config = draws.of("paste"), draws.config.paste
    if pasting is None or donor is None:
        return sample
    count = int(pasting.up_to(config.count - 1e-6)) + 1
    image, mask = sample[0].copy(), sample[1].copy()
    image[window], mask[window] = paste_cells(
        (image[window], mask[window]),
        donor(),
        count=count,
        feather=config.feather,
        rng=pasting.rng,
    )
    return image, mask


def _move(sample: Sample, draws: Draws, target: tuple[int, int]) -> Sample:
    """All geometry in one map."""
    image, mask = sample
    source = (mask.shape[0], mask.shape[1])
    geometry = draw_geometry(draws.config, draws, target)
    if geometry.is_still() and all(n >= m for n, m in zip(source, target, strict=True)):
        window = _middle(mask, target)
        return image[window], mask[window]
    warp = build_warp(source, target, geometry)
    return warp_pair(image, mask, warp, ignore=draws.config.border == "ignore")


def _recolour(image: RGB, draws: Draws) -> RGB:
    """Dyes, then hue and saturation, then levels."""
    config = draws.config
    if stain := draws.of("stain"):
        gain, shift = config.stain.gain, config.stain.shift
        image = colour.vary_dyes(
            image,
            gains=(1 + stain.either_way(gain), 1 + stain.either_way(gain), 1.0),
            shifts=(stain.either_way(shift), stain.either_way(shift), 0.0),
        )
    hue, saturation = draws.of("hue"), draws.of("saturation")
    image = colour.turn_colours(
        image,
        degrees=hue.either_way(config.hue.range) if hue else 0.0,
        saturation=1 + saturation.either_way(config.saturation.range) if saturation else 1.0,
    )
    curve = colour.LEVELS
    if brightness := draws.of("brightness"):
        alpha, beta = config.brightness.alpha, config.brightness.beta
        curve = colour.brighten(
            curve, factor=brightness.factor(1 / alpha, alpha), shift=brightness.either_way(beta)
        )
    if contrast := draws.of("contrast"):
        curve = colour.spread(curve, contrast.either_way(config.contrast.range))
    if gamma := draws.of("gamma"):
        curve = colour.bend(curve, gamma.factor(*config.gamma.range))
    return colour.apply_curve(image, curve)


def _spoil(image: RGB, draws: Draws) -> RGB:
    """Lamp, lens, sensor, file."""
    config = draws.config
    if light := draws.of("illumination"):
        place = light.rng.random(2).tolist()
        bright = (0.0, 0.0) if light.strongest else (place[0], place[1])
        image = optics.fall_off(image, light.up_to(config.illumination.range), bright)
    if blur := draws.of("blur"):
        image = optics.blur(image, blur.up_to(config.blur.sigma))
    if sharpen := draws.of("sharpen"):
        image = optics.sharpen(image, sharpen.up_to(config.sharpen.k))
    if noise := draws.of("noise"):
        image = optics.add_noise(image, noise.up_to(config.noise.sigma), noise.rng)
    if jpeg := draws.of("jpeg"):
        low, high = config.jpeg.quality
        image = optics.compress(image, high - round(jpeg.up_to(high - low)))
    return image

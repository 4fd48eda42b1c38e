"""Draw Pap-smear-like fields with masks, for the demo and the tests.

    python scripts/synthetic_fields.py OUT [--fields 24] [--seed 0] [--nuclei]

Annotated are *metaplastic* cells: compact, grainy cytoplasm around a large dark nucleus. Big
angular cells with a dot of a nucleus or none, scraps of cytoplasm, bare nuclei, neutrophils,
clumps, mucus and debris wear the same stains and are not annotated: no threshold on colour finds
the cells, their structure does.

Everything is light absorbed, as under a microscope: a pixel is `ground · exp(-absorbance)`, and
what lies on top adds to what lies below and hides part of it.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter1d

from cervseg.arrays import RGB, Mask
from cervseg.classes import Classes
from cervseg.images.masks import write_mask

Floats: TypeAlias = NDArray[np.float32]
Window: TypeAlias = tuple[slice, slice]

HEIGHT, WIDTH = 768, 1024
CLASSES = Classes.of({"cytoplasm": "#00c853", "nucleus": "#ff6d00"})
CYTOPLASM, NUCLEUS = 1, 2
ANGLES = np.linspace(0, 2 * np.pi, 720, endpoint=False)
"""Directions in which an outline stores its radius."""


class Spot(NamedTuple):
    """Where an object lies: centre and radius, pixels."""

    y: float
    x: float
    radius: float

    def apart(self, other: "Spot") -> float:
        """Distance of the centres as a share of the sum of the radii."""
        return float(np.hypot(self.y - other.y, self.x - other.x) / (self.radius + other.radius))


class Stain(NamedTuple):
    """The colours of one field: absorbance of red, green, blue, each shape (3,)."""

    cyan: Floats
    pink: Floats
    nucleus: Floats


@dataclass
class Scene:
    """A field being drawn.

    Args:
        rng: Source of every draw.
        stain: Its colours.
        absorbance: Shape (height, width, 3), from 0 on.
        mask: Shape (height, width): in an annotated cell 1 for cytoplasm, 2 for nucleus.
    """

    rng: np.random.Generator
    stain: Stain
    absorbance: Floats
    mask: Mask

    def window(self, spot: Spot, reach: float) -> Window:
        """The part within `reach` pixels of a spot along each axis."""
        height, width = self.mask.shape
        top, bottom = np.clip([spot.y - reach, spot.y + reach], 0, height).astype(int)
        left, right = np.clip([spot.x - reach, spot.x + reach], 0, width).astype(int)
        return slice(top, bottom), slice(left, right)

    def noise(self, shape: tuple[int, ...], grain: float) -> Floats:
        """Draw smooth noise, mean 0, deviation near 1, with grains of `grain` pixels."""
        rows, columns = (ceil(length / grain) + 2 for length in shape)
        coarse = self.rng.standard_normal((rows, columns), np.float32)
        size = ceil(columns * grain), ceil(rows * grain)
        fine = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
        return np.asarray(1.2 * fine[: shape[0], : shape[1]], np.float32)

    def cytoplasm(self) -> Floats:
        """Draw a colour near cyan, near pink, seldom between; for all kinds of cells alike."""
        pinkness = self.rng.beta(0.35, 0.35)
        return np.asarray((1 - pinkness) * self.stain.cyan + pinkness * self.stain.pink, np.float32)

    def lay(
        self, window: Window, cover: Floats, *, shade: ArrayLike, colour: Floats, hides: float = 0
    ) -> None:
        """Lay an object on the field.

        Args:
            window: Where it lies.
            cover: Shape (height, width), 0 to 1.
            shade: Factor on the colour, a number or shape (height, width).
            colour: Absorbance, shape (3,).
            hides: Share of what lies below that is no longer seen, 0 to 1.
        """
        below = self.absorbance[window] * (1 - hides * cover[..., None])
        self.absorbance[window] = below + (cover * np.asarray(shade))[..., None] * colour


def draw_stain(rng: np.random.Generator) -> Stain:
    """Draw the stain of a field: slides differ in strength and hue."""
    base = np.array([(0.72, 0.28, 0.20), (0.13, 0.55, 0.27), (1.05, 1.00, 0.48)])
    stains = base * rng.normal(1, 0.06, (3, 3)) * rng.uniform(0.85, 1.2)
    return Stain(*stains.astype(np.float32))


def smooth_outline(rng: np.random.Generator, radius: float, *, wobble: float) -> Floats:
    """Draw an ellipse with smooth bumps: radius by direction, shape (720,), pixels."""
    squeeze, tilt = rng.uniform(0.72, 1.0), rng.uniform(0, np.pi)
    outline = 1 / np.hypot(np.cos(ANGLES - tilt), np.sin(ANGLES - tilt) / squeeze)
    for waves in range(2, 6):
        height, phase = rng.normal(0, wobble / waves), rng.uniform(0, 2 * np.pi)
        outline += height * np.cos(waves * ANGLES + phase)
    return np.asarray(radius * outline, np.float32)


def angular_outline(rng: np.random.Generator, radius: float) -> Floats:
    """Draw a polygon of four to seven sides with blunt corners, as `smooth_outline`."""
    sides = int(rng.integers(4, 8))
    normals = (np.arange(sides) + rng.uniform(-0.3, 0.3, sides)) * 2 * np.pi / sides
    facing = np.cos(ANGLES[:, None] + rng.uniform(0, 2 * np.pi) - normals)
    distances = radius * rng.uniform(0.62, 0.9, sides)
    reach = np.where(facing > 0.2, distances / np.maximum(facing, 0.2), np.inf).min(axis=1)
    blunt = gaussian_filter1d(np.minimum(reach, 1.25 * radius), 9, mode="wrap")
    return np.asarray(blunt, np.float32)


def inside(outline: Floats, spot: Spot, window: Window) -> Floats:
    """How far each pixel of a window lies inside an outline around a spot, pixels."""
    rows, columns = np.ogrid[window]
    y, x = (rows - spot.y).astype(np.float32), (columns - spot.x).astype(np.float32)
    direction = (np.arctan2(y, x) * (ANGLES.size / (2 * np.pi))).astype(np.int32) % ANGLES.size
    return np.asarray(outline[direction] - np.hypot(y, x), np.float32)


def edge(depth: Floats, softness: float = 2.0) -> Floats:
    """Turn depth into cover: 0 outside, 1 inside, a ramp of `softness` pixels between."""
    return np.asarray(np.clip(depth / softness + 0.5, 0, 1), np.float32)


def ridge(depth: Floats, width: float, *, at: float = 0.0) -> Floats:
    """A line of 1 where depth equals `at`, fading over `width` pixels to both sides."""
    return np.asarray(np.exp(-np.square((depth - at) / width)), np.float32)


def crease(scene: Scene, spot: Spot, window: Window, *, width: float, length: float) -> Floats:
    """Draw a bent line near a spot: 1 on it, fading over `width` across and `length` along."""
    angle, bend = scene.rng.uniform(0, np.pi), scene.rng.normal(0, 0.3) / spot.radius
    away, shift = scene.rng.uniform(-0.5, 0.5, 2) * spot.radius
    rows, columns = np.ogrid[window]
    y, x = rows - spot.y, columns - spot.x
    along = x * np.cos(angle) - y * np.sin(angle) - shift
    across = y * np.cos(angle) + x * np.sin(angle) - away + bend * np.square(along)
    distance = across / np.hypot(1, 2 * bend * along)
    return ridge(distance, width) * ridge(along, length)


def draw_nucleus(
    scene: Scene, spot: Spot, *, density: float = 1.0, wobble: float = 0.1, annotated: bool = False
) -> None:
    """Draw a nucleus: grainy chromatin, a dark membrane, a pale seam around it."""
    window = scene.window(spot, 1.3 * spot.radius + 6)
    depth = inside(smooth_outline(scene.rng, spot.radius, wobble=wobble), spot, window)
    grain = 0.85 + 0.16 * scene.noise(depth.shape, 4) + 0.1 * scene.noise(depth.shape, 9)
    shade = density * (np.clip(grain, 0.4, 1.5) + 0.3 * ridge(depth, 1.8, at=2))
    colour = scene.stain.nucleus
    scene.lay(window, 0.25 * ridge(depth, 2.5, at=-4), shade=0, colour=colour, hides=1)
    scene.lay(window, edge(depth), shade=shade, colour=colour, hides=0.7)
    if annotated:  # within the cells alone, so that both classes together are the cells
        part = scene.mask[window]
        part[(depth > 0) & (part == CYTOPLASM)] = NUCLEUS


def draw_metaplastic(scene: Scene, spot: Spot) -> None:
    """Draw an annotated cell: compact, grainy, a third to half of its diameter is nucleus."""
    rng, window = scene.rng, scene.window(spot, 1.4 * spot.radius)
    depth = inside(smooth_outline(rng, spot.radius, wobble=0.12), spot, window)
    grain = 0.9 + 0.1 * scene.noise(depth.shape, 3) + 0.12 * scene.noise(depth.shape, 12)
    shade = rng.uniform(0.8, 1.2) * (np.clip(grain, 0.4, 1.6) + 0.45 * ridge(depth, 3, at=2))
    colour = scene.cytoplasm()
    scene.lay(window, 0.5 * ridge(depth, 3, at=-4), shade=0, colour=colour, hides=1)
    scene.lay(window, edge(depth), shade=shade, colour=colour, hides=0.85)
    scene.mask[window][depth > 0] = CYTOPLASM
    y, x = rng.uniform(-0.14, 0.14, 2) * spot.radius
    nucleus = Spot(spot.y + y, spot.x + x, spot.radius * rng.uniform(0.38, 0.5))
    draw_nucleus(scene, nucleus, annotated=True)


def draw_superficial(scene: Scene, spot: Spot) -> None:
    """Draw a big flat angular cell with creases and a dot of a nucleus, or none."""
    rng, window = scene.rng, scene.window(spot, 1.4 * spot.radius)
    depth = inside(angular_outline(rng, spot.radius), spot, window)
    depth += 4 * scene.noise(depth.shape, 45) + 1.3 * scene.noise(depth.shape, 16)
    texture = 0.8 + 0.08 * scene.noise(depth.shape, 40) + 0.06 * scene.noise(depth.shape, 3)
    curl = np.clip(scene.noise(depth.shape, 60), 0, 1)  # parts of the border are rolled in
    texture += 0.2 * ridge(depth, 2.5, at=1.5) + 0.45 * curl * ridge(depth, 7, at=4)
    for _ in range(rng.integers(2, 6)):
        line = crease(scene, spot, window, width=rng.uniform(1.5, 4), length=rng.uniform(25, 70))
        texture += rng.uniform(0.2, 0.6) * line
    shade = rng.uniform(0.8, 1.3) * texture
    scene.lay(window, edge(depth), shade=shade, colour=scene.cytoplasm(), hides=0.3)
    if rng.random() < 0.7:
        y, x = rng.normal((spot.y, spot.x), 0.12 * spot.radius)
        draw_nucleus(scene, Spot(y, x, rng.uniform(5, 8)), density=1.2)


def draw_scrap(scene: Scene, spot: Spot) -> None:
    """Draw torn cytoplasm of a cell's size and colour, without a nucleus."""
    rng, window = scene.rng, scene.window(spot, 1.7 * spot.radius)
    depth = inside(smooth_outline(rng, spot.radius, wobble=0.45), spot, window)
    depth += 5 * scene.noise(depth.shape, 14) + 2 * scene.noise(depth.shape, 5)
    texture = 0.85 + 0.12 * scene.noise(depth.shape, 18) + 0.06 * scene.noise(depth.shape, 3)
    shade = rng.uniform(0.75, 1.2) * np.clip(texture, 0.3, 1.6)
    cover = edge(depth, rng.uniform(3, 12))
    scene.lay(window, cover, shade=shade, colour=scene.cytoplasm(), hides=0.2)


def draw_neutrophil(scene: Scene, spot: Spot) -> None:
    """Draw two to four dark lobes, or one bare nucleus, without cytoplasm."""
    rng = scene.rng
    bare = [spot._replace(radius=rng.uniform(9, 15))]
    centres = rng.normal((spot.y, spot.x), 5, (rng.integers(2, 5), 2))
    lobes = [Spot(y, x, rng.uniform(4, 7)) for y, x in centres]
    for part in bare if rng.random() < 0.3 else lobes:
        draw_nucleus(scene, part, density=rng.uniform(0.7, 1.05), wobble=0.15)


def draw_clump(scene: Scene, spot: Spot) -> None:
    """Draw a heap of neutrophils in a smear of cytoplasm."""
    draw_scrap(scene, spot)
    for _ in range(scene.rng.integers(6, 14)):
        y, x = scene.rng.normal((spot.y, spot.x), 0.5 * spot.radius)
        draw_neutrophil(scene, Spot(y, x, spot.radius))


def draw_debris(scene: Scene, spot: Spot) -> None:
    """Draw a dark brown speck."""
    window = scene.window(spot, 2 * spot.radius + 4)
    depth = inside(smooth_outline(scene.rng, spot.radius, wobble=0.6), spot, window)
    depth += 0.25 * spot.radius * scene.noise(depth.shape, 4)
    brown = np.array([1.1, 1.3, 1.5], np.float32)
    scene.lay(window, edge(depth, 3), shade=scene.rng.uniform(0.5, 1.1), colour=brown)


def draw_strand(scene: Scene, spot: Spot) -> None:
    """Draw a long bent strand of mucus."""
    rng, window = scene.rng, scene.window(spot, 4 * spot.radius)
    line = crease(scene, spot, window, width=rng.uniform(2, 5), length=2 * spot.radius)
    scene.lay(window, line, shade=rng.uniform(0.3, 0.8), colour=scene.cytoplasm())


def place_cells(scene: Scene, count: int) -> list[Spot]:
    """Place annotated cells, at most `count`; about every third touches the one before it."""
    rng, (height, width) = scene.rng, scene.mask.shape
    cells: list[Spot] = []
    for _ in range(30 * count):
        spot = Spot(rng.uniform(0, height), rng.uniform(0, width), rng.uniform(48, 72))
        if cells and rng.random() < 0.35:
            angle, distance = rng.uniform(0, 2 * np.pi), 0.93 * (cells[-1].radius + spot.radius)
            y, x = cells[-1].y + distance * np.sin(angle), cells[-1].x + distance * np.cos(angle)
            spot = Spot(y, x, spot.radius)
        within = 0 <= spot.y < height and 0 <= spot.x < width
        if len(cells) < count and within and all(spot.apart(cell) > 0.92 for cell in cells):
            cells.append(spot)
    return cells


def number(scene: Scene, fewest: int, most: int) -> int:
    """Draw a number of objects for 768 x 1024 pixels; other sizes get their share, rounded up."""
    share = scene.mask.size / (HEIGHT * WIDTH)
    return ceil(scene.rng.integers(fewest, most + 1) * share)


def scatter(
    scene: Scene,
    draw: Callable[[Scene, Spot], None],
    counts: tuple[int, int],
    *,
    radii: tuple[float, float] = (14, 14),
    gap: float = 0.0,
    avoid: list[Spot],
) -> None:
    """Draw some objects where `apart` is at least `gap` from everything to avoid."""
    rng, (height, width) = scene.rng, scene.mask.shape
    for _ in range(number(scene, *counts)):
        radius = rng.uniform(*radii)
        places = (Spot(rng.uniform(0, height), rng.uniform(0, width), radius) for _ in range(30))
        free = (spot for spot in places if all(spot.apart(other) >= gap for other in avoid))
        if (spot := next(free, None)) is not None:
            draw(scene, spot)


def draw_objects(scene: Scene, cells: list[Spot]) -> None:
    """Draw everything: what is out of focus first, the annotated cells nearly last."""
    around = partial(scatter, scene, avoid=cells)
    around(draw_strand, (1, 3), radii=(150, 400))
    around(draw_superficial, (1, 3), radii=(90, 140), gap=0.8)
    around(draw_neutrophil, (2, 6))
    sigma = scene.rng.uniform(3, 7)
    scene.absorbance = np.asarray(cv2.GaussianBlur(0.8 * scene.absorbance, (0, 0), sigma))
    around(draw_superficial, (4, 7), radii=(85, 140), gap=0.8)
    around(draw_scrap, (3, 6), radii=(30, 65), gap=0.95)
    around(draw_clump, (1, 3), radii=(30, 55), gap=1.1)
    around(draw_neutrophil, (12, 30))
    for cell in cells:
        draw_metaplastic(scene, cell)
    around(draw_neutrophil, (3, 8), gap=0.8)
    around(draw_debris, (4, 12), radii=(1.5, 7), gap=0.8)


def photograph(scene: Scene) -> RGB:
    """Shine light through the scene: tinted ground, haze, uneven light, blur, sensor noise."""
    rng, shape = scene.rng, scene.mask.shape
    y, x = np.meshgrid(*(np.linspace(-1, 1, length) for length in shape), indexing="ij")
    slope, vignette = rng.normal(0, 0.04, 2), rng.uniform(0.08, 0.18)
    light = 1 + slope[0] * y + slope[1] * x - vignette * (y**2 + x**2) / 2
    ground = np.array([222, 229, 233]) + rng.uniform(-1, 1) * np.array([9, -3, -4])
    tint = np.array([0.04, 0.025, 0.012]) * rng.normal(1, 0.4, 3)
    haze = scene.noise(shape, 170)[..., None] * tint + 0.012 * scene.noise(shape, 3)[..., None]
    pixels = ground * light[..., None] * np.exp(-scene.absorbance - haze)
    pixels = cv2.GaussianBlur(pixels.astype(np.float32), (0, 0), rng.uniform(0.7, 1.1))
    pixels += 2 * rng.standard_normal(pixels.shape, np.float32)
    return np.asarray(np.clip(np.rint(pixels), 0, 255), np.uint8)


def draw_field(
    rng: np.random.Generator, *, height: int = HEIGHT, width: int = WIDTH, nuclei: bool = False
) -> tuple[RGB, Mask]:
    """Draw a field.

    Args:
        rng: Source of every draw; the same state gives the same pixels.
        height: Rows, pixels. Objects keep their size; their number follows the area.
        width: Columns, pixels.
        nuclei: Tell them from the rest of their cells in the mask; the photograph is the same.

    Returns:
        The photograph, shape (height, width, 3), and its mask: 1 where an annotated cell lies, or
        with `nuclei` 1 for its cytoplasm and 2 for its nucleus.
    """
    crowd = rng.random()  # of 100 fields 4 have no annotated cell and 6 have one
    fewest, most = (0, 0) if crowd < 0.04 else (1, 1) if crowd < 0.1 else (3, 9)
    absorbance = np.zeros((height, width, 3), np.float32)
    scene = Scene(rng, draw_stain(rng), absorbance, np.zeros((height, width), np.uint8))
    draw_objects(scene, place_cells(scene, number(scene, fewest, most)))
    return photograph(scene), scene.mask if nuclei else np.minimum(scene.mask, 1)


def write_fields(output: Path, *, count: int, seed: int, nuclei: bool = False) -> None:
    """Write `images/field_001.jpg`, `masks/field_001.png` and so on.

    A field depends on the seed and its own number alone. Masks hold 0 and 255, with `nuclei` class
    indices and a palette.
    """
    images, masks = output / "images", output / "masks"
    images.mkdir(parents=True, exist_ok=True)
    masks.mkdir(parents=True, exist_ok=True)
    for i in range(1, count + 1):
        pixels, mask = draw_field(np.random.default_rng([seed, i]), nuclei=nuclei)
        Image.fromarray(pixels).save(images / f"field_{i:03d}.jpg", quality=88)
        if nuclei:
            write_mask(masks / f"field_{i:03d}.png", mask, CLASSES.palette())
        else:
            Image.fromarray(mask * np.uint8(255)).save(masks / f"field_{i:03d}.png")


def main() -> None:
    """Read the command line and write the fields."""
    parser = argparse.ArgumentParser(description="Draw Pap-smear-like fields with masks.")
    parser.add_argument("output", type=Path, metavar="OUT", help="folder for images/ and masks/")
    parser.add_argument("--fields", type=int, default=24, help="how many (default 24)")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same pixels (default 0)")
    parser.add_argument("--nuclei", action="store_true", help="masks tell nuclei from cytoplasm")
    arguments = parser.parse_args()
    write_fields(
        arguments.output, count=arguments.fields, seed=arguments.seed, nuclei=arguments.nuclei
    )


if __name__ == "__main__":
    main()

import numpy as np
import pytest

from cervseg.images.photo import Photo
from cervseg.inference.background import background_judge, glass_colour

GLASS = np.array([204, 236, 254])


def slide(height=521, width=707, *, noise=3.0, glass=GLASS, seed=0):
    """Noisy glass, with one dark cell in the lower right so that it is no empty slide."""
    rng = np.random.default_rng(seed)
    pixels = glass + rng.normal(0, noise, (height, width, 3))
    pixels[-90:-20, -80:-30] -= 100
    return np.clip(pixels, 0, 255).astype(np.uint8)


def absorb(pixels, window, density):
    """Lay something of an optical density over a window."""
    part = pixels[window].astype(float) + 1
    pixels[window] = np.clip(part * 10 ** -np.asarray(density, float) - 1, 0, 255).astype(np.uint8)


def test_empty_glass_is_background_and_the_cell_is_not():
    pixels = slide()
    is_background = background_judge(Photo(pixels))

    assert is_background(pixels[:256, :256])
    assert is_background(pixels[100:201, 3:300])
    assert not is_background(pixels[-256:, -256:])


def test_the_colour_of_the_glass_is_found_beside_much_tissue():
    pixels = slide(noise=0.0)
    absorb(pixels, np.s_[60:], [0.2, 0.4, 0.1])  # nine tenths

    np.testing.assert_allclose(glass_colour(Photo(pixels)), GLASS, atol=1)


@pytest.mark.parametrize(
    "density", [(0.3, 0.3, 0.2), (0.0, 0.25, 0.0)], ids=["nucleus", "one colour"]
)
def test_a_small_dark_thing_is_kept(density):
    pixels = slide()
    absorb(pixels, np.s_[100:106, 117:122], density)

    assert not background_judge(Photo(pixels))(pixels[:256, :256])


def test_a_pale_cell_without_a_nucleus_is_kept():
    pixels = slide()
    absorb(pixels, np.s_[80:140, 90:161], (0.02, 0.08, 0.01))

    assert not background_judge(Photo(pixels))(pixels[:256, :256])


@pytest.mark.parametrize("side", [np.s_[:3, 40:90], np.s_[-3:, 40:90], np.s_[40:90, :3]])
def test_a_pale_cell_that_only_just_reaches_into_the_tile_is_kept(side):
    pixels = slide()
    tile = pixels[:256, :256]
    absorb(tile, side, (0.03, 0.12, 0.02))

    assert not background_judge(Photo(pixels))(tile)


def test_a_tile_inside_a_pale_cell_is_kept():
    pixels = slide()
    tile = pixels[:256, :256].copy()
    absorb(tile, np.s_[:], (0.05, 0.13, 0.03))

    assert not background_judge(Photo(pixels))(tile)


def test_uneven_light_does_not_make_glass_into_tissue():
    pixels = slide()
    tile = pixels[:256, :256].copy()
    absorb(tile, np.s_[:], np.linspace(0, 0.04, 256)[:, None, None])

    assert background_judge(Photo(pixels))(tile)


def test_tinted_glass_is_glass():
    pixels = slide(glass=np.array([220, 200, 170]))

    assert background_judge(Photo(pixels))(pixels[:256, :256])


@pytest.mark.parametrize(
    "pixels",
    [slide(255, 700), slide(glass=np.array([120, 125, 130]))],
    ids=["a picture of one cell", "no glass anywhere"],
)
def test_where_glass_cannot_be_known_nothing_is_skipped(pixels):
    assert not background_judge(Photo(pixels))(pixels[:100, :100])


def test_the_judgement_depends_on_image_and_tile_alone():
    pixels = slide()
    tiles = [pixels[t : t + 97, f : f + 131] for t in (0, 97, 400) for f in (0, 131, 570)]
    first = background_judge(Photo(pixels))
    forth = [first(tile) for tile in tiles]

    again = background_judge(Photo(pixels))
    back = [again(tile) for tile in reversed(tiles)]

    assert forth == back[::-1]
    assert any(forth) and not all(forth)


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (300, 2)])
def test_any_tile_can_be_judged(size):
    pixels = slide()

    assert background_judge(Photo(pixels))(np.full((*size, 3), GLASS, np.uint8))

import io
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from cervseg.data.duplicates import (
    CONFIRMED,
    aligned_correlation,
    find_near_duplicates,
    perceptual_hash,
    propose,
)


def cells(seed):
    """A field of dark round things on bright ground, each drawing another one."""
    rng, height, width = np.random.default_rng(seed), 231, 317
    picture = np.full((height, width, 3), (225, 215, 235), np.uint8)
    for _ in range(25):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        axes = (int(rng.integers(6, 40)), int(rng.integers(6, 40)))
        colour = [int(v) for v in rng.integers(40, 200, 3)]
        cv2.ellipse(picture, centre, axes, float(rng.integers(180)), 0, 360, colour, -1)
    noise = rng.normal(0, 4, picture.shape)
    return np.clip(cv2.GaussianBlur(picture, (0, 0), 1) + noise, 0, 255).astype(np.uint8)


def single_cell(seed, side=127):
    """One nucleus in a framed crop on plain ground of the same colour, as Herlev has them."""
    rng = np.random.default_rng(seed)
    picture = np.full((side, side, 3), (180, 160, 200), np.uint8)
    axes = [int(v) for v in rng.integers(18, 40, 2)]
    cv2.ellipse(picture, (63, 60), axes, float(rng.integers(180)), 0, 360, (90, 60, 120), -1)
    inner = picture[20:105, 15:110].astype(float)
    texture = cv2.GaussianBlur(rng.normal(0, 1, inner.shape[:2]), (0, 0), 4) * 90
    picture[20:105, 15:110] = np.clip(inner + texture[..., None], 0, 255)
    return picture


def scaled(image, vertical, horizontal=None):
    size = (round(image.shape[1] * (horizontal or vertical)), round(image.shape[0] * vertical))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if vertical < 1 else 1)


def jpeg(image):
    file = io.BytesIO()
    Pillow.fromarray(np.ascontiguousarray(image)).save(file, "JPEG", quality=60)
    return np.asarray(Pillow.open(file))


def brighter(image, factor):
    return np.clip(image * factor, 0, 255).astype(np.uint8)


def cropped(image):
    height, width = image.shape[:2]
    return np.ascontiguousarray(image[height // 120 : -height // 90, width // 100 : -width // 110])


def eight(image):
    mirrored = (image, image[:, ::-1])
    return [np.ascontiguousarray(np.rot90(m, k)) for m in mirrored for k in range(4)]


CHANGES = {
    "half": lambda image: scaled(image, 0.5),
    "enlarged": lambda image: scaled(image, 1.5),
    "squeezed": lambda image: scaled(image, 1 / 2, 1 / 3),
    "jpeg": jpeg,
    "brighter": lambda image: brighter(image, 1.1),
    "darker": lambda image: brighter(image, 0.9),
    "cropped": cropped,
    "all": lambda image: jpeg(brighter(scaled(eight(cropped(image))[5], 0.5), 1.1)),
}
CHANGES |= {f"turned {i}": lambda image, i=i: eight(image)[i] for i in range(1, 8)}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("draw", [cells, single_cell])
def test_a_changed_copy_is_proposed_and_confirmed_and_another_picture_is_not(draw, change):
    images = [draw(0), draw(1), CHANGES[change](draw(0)), draw(2)]

    found = find_near_duplicates(images.__getitem__, [perceptual_hash(i) for i in images])

    assert [(pair.first, pair.second) for pair in found] == [(0, 2)]
    assert found[0].correlation == pytest.approx(aligned_correlation(images[0], images[2]))


def test_a_copy_whose_bright_ground_is_burnt_out_is_confirmed():
    clouds = cv2.GaussianBlur(np.random.default_rng(7).normal(0, 1, (131, 177)), (0, 0), 7)
    image = np.clip(205 + 25 * clouds / clouds.std(), 0, 255).astype(np.uint8)
    image = np.repeat(image[..., None], 3, axis=-1)

    burnt = brighter(image, 1.15)

    assert 0.15 < (burnt == 255).mean() < 0.5
    assert aligned_correlation(image, burnt) > 0.99
    assert aligned_correlation(burnt, image) > 0.99


def test_no_picture_is_like_its_negative():
    assert abs(aligned_correlation(cells(5), 255 - cells(5))) < 0.5


def test_no_two_of_many_cells_on_plain_ground_are_confirmed():
    images = [single_cell(seed) for seed in range(12)]
    pairs = [(a, b) for a in range(12) for b in range(a)]

    correlations = [aligned_correlation(images[a], images[b]) for a, b in pairs]

    assert max(correlations) < CONFIRMED


def test_the_hash_of_a_turned_picture_has_the_same_bits_elsewhere():
    image = np.kron(
        np.random.default_rng(4).integers(0, 256, (9, 9, 3), np.uint8), np.ones((9, 9, 1))
    )

    hashes = [perceptual_hash(turned) for turned in eight(image.astype(np.uint8))]

    assert len(set(hashes)) == 8 and {len(text) for text in hashes} == {16}
    assert propose(hashes, distance=0) == [(a, b) for a in range(8) for b in range(a + 1, 8)]


def test_a_picture_of_one_colour_has_no_hash_and_pairs_with_nothing():
    plain = np.full((5, 7, 3), (200, 10, 30), np.uint8)

    assert perceptual_hash(plain) == ""
    assert propose(["", ""], distance=63) == []
    assert propose(["0" * 16, "", "0" * 16]) == [(0, 2)]
    assert propose([], distance=63) == [] and propose(["0" * 16]) == []
    assert aligned_correlation(plain, plain) == 0


def test_proposals_are_those_of_a_plain_search_whatever_the_block(monkeypatch):
    rng = np.random.default_rng(1)
    grids = [rng.random((8, 8)) < 0.5 for _ in range(13)]
    grids += [grid ^ (rng.random((8, 8)) < 0.15) for grid in grids]
    odd = np.arange(8) % 2 == 1

    def distance(a, b):
        turned = [a, a ^ odd, a ^ odd[:, None], a ^ odd ^ odd[:, None]]
        return min(int((other ^ b).sum()) for t in turned for other in (t, t.T))

    monkeypatch.setattr("cervseg.data.duplicates.BLOCK", 7)
    found = propose([np.packbits(grid).tobytes().hex() for grid in grids], distance=9)

    everywhere = [(a, b) for a in range(26) for b in range(a + 1, 26)]
    assert found == [(a, b) for a, b in everywhere if distance(grids[a], grids[b]) <= 9]
    assert 3 < len(found) < 50


def test_only_proposed_pictures_are_read():
    images = [cells(0), cells(1), eight(cells(0))[6], cells(2)]
    read = []

    def image(place):
        read.append(place)
        return images[place]

    find_near_duplicates(image, [perceptual_hash(i) for i in images])

    assert sorted(read) == [0, 2]


@pytest.mark.slow
def test_among_the_shared_images_every_copy_is_found_and_only_the_one_true_pair():
    files = shared_images()
    images = [np.asarray(Pillow.open(file).convert("RGB")) for file in files]
    hashes = [perceptual_hash(image) for image in images]

    found = find_near_duplicates(images.__getitem__, hashes)

    # One field photographed twice, seen with our own eyes: the stage moved by 3 % of the width.
    assert [(files[a].stem, files[b].stem) for a, b, _ in found] == [
        ("Metaplastic_258", "Metaplastic_233")
    ]
    for name, change in CHANGES.items():
        some = range(0, len(images), 1 if name == "all" else 4)  # each, in the hardest case
        copies = {i: change(images[i]) for i in some}
        assert all(propose([hashes[i], perceptual_hash(copies[i])]) for i in some), name
        correlations = [aligned_correlation(images[i], copies[i]) for i in some]
        assert min(correlations) >= CONFIRMED, name


def shared_images():
    repository = Path(__file__).parents[2]
    data = Path(os.environ.get("CERVSEG_SHARED", repository.parent / "shared")) / "data"
    folders = ("sipakmed-metaplastic", "sipakmed-metaplastic-small", "herlev-severe/*")
    files = [path for name in folders for path in sorted(data.glob(f"{name}/images/*"))]
    if len(files) != 18 + 54 + 190:
        pytest.skip(f"{data} is not complete; CERVSEG_SHARED names the folder that holds data/")
    return files

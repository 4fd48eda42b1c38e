"""Whole images: what the network sees of a file, however it is stored."""

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from cervseg import infer
from cervseg.config.loader import load_config
from cervseg.images import tiff, views
from cervseg.images.segments import Segmented
from cervseg.inference import assembly

HEIGHT, WIDTH = 403, 211


@pytest.fixture(scope="module")
def blobs():
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (HEIGHT // 19 + 1, WIDTH // 19 + 1, 3), "uint8")
    large = Pillow.fromarray(small).resize((WIDTH, HEIGHT), Pillow.Resampling.BICUBIC)
    noise = rng.integers(-20, 21, (HEIGHT, WIDTH, 3))
    return np.clip(np.asarray(large) + noise, 0, 255).astype(np.uint8)


def halved(pixels):
    """The mean of four pixels each, as scanners make levels; the last ones repeated."""
    even = np.pad(pixels, [(0, n % 2) for n in pixels.shape[:2]] + [(0, 0)], mode="edge")
    return np.rint(even.reshape(len(even) // 2, 2, -1, 2, 3).mean((1, 3))).astype(np.uint8)


def write_png(path, pixels):
    Pillow.fromarray(pixels).save(path)


def write_strips(path, pixels):
    tifffile.imwrite(path, pixels, photometric="rgb", rowsperstrip=7, compression="deflate")


def write_pyramid(path, pixels):
    with tifffile.TiffWriter(path) as file:
        for level in range(3):
            file.write(pixels, photometric="rgb", tile=(32, 48), compression="deflate",
                       subifds=0 if level else 2, subfiletype=bool(level))  # fmt: skip
            pixels = halved(pixels)


@pytest.fixture
def run(model, tmp_path, monkeypatch):
    """Runs on a picture in one of the formats, and tells its mask and probabilities."""
    monkeypatch.setattr(tiff, "SMALL", 0)  # else small ones are decoded as photographs are

    def run(pixels, write, suffix, *settings):
        image, output = tmp_path / f"a{suffix}", tmp_path / f"{write.__name__}{len(settings)}"
        write(image, pixels)
        words = ["infer.threshold=otsu", "infer.probabilities=true", *settings]
        config = load_config(None, words).config
        report = infer(config, model=[model], images=[image], output=output)
        assert report.exit_code == 0
        assert sorted(path.name for path in (output / "masks").iterdir()) == [report.paths[0].name]
        probabilities = output / "probabilities" / report.paths[0].name
        return [_read(path) for path in (report.paths[0], probabilities)]

    return run


def _read(path):
    if path.suffix == ".tif":
        return tifffile.imread(path)
    with Pillow.open(path) as file:
        return np.asarray(file)


def test_strips_of_a_tiff_give_the_answer_of_a_photograph(run, blobs, monkeypatch):
    monkeypatch.setattr(views, "STRIP", 5 * WIDTH)

    mask, probabilities = run(blobs, write_strips, ".tif")

    expected = run(blobs, write_png, ".png")
    np.testing.assert_array_equal(mask, expected[0])
    np.testing.assert_array_equal(probabilities, expected[1])
    assert mask.shape == (HEIGHT, WIDTH) and 0.1 < (mask == 1).mean() < 0.9


def test_a_level_of_a_pyramid_gives_nearly_the_answer_of_the_whole(run, blobs):
    """A level is the mean of four pixels, and our filter is wider."""
    mask, probabilities = run(blobs, write_pyramid, ".tif")

    expected = run(blobs, write_png, ".png")
    steps = np.abs(probabilities.astype(int) - expected[1].astype(int))
    assert 0 < steps.max() < 0.05 * 65535
    assert (mask != expected[0]).mean() < 0.04


@pytest.mark.parametrize("write", [write_strips, write_pyramid])
def test_no_more_than_a_few_rows_of_a_large_image_are_read_at_once(
    run, blobs, *, monkeypatch, write
):
    monkeypatch.setattr(views, "STRIP", 5 * WIDTH)
    monkeypatch.setattr(assembly, "OVERLAY_PIXELS", 3000)
    seen, read = [], Segmented.read

    def watched(image, window):
        seen.append((image.height, window.height * window.width))
        return read(image, window)

    monkeypatch.setattr(Segmented, "read", watched)

    large = run(blobs, write, ".tif", "infer.large_from=0")

    assert max(pixels for _, pixels in seen) <= 5 * WIDTH
    assert {height for height, _ in seen} == ({HEIGHT} if write is write_strips else {101})
    if write is write_strips:
        for found, expected in zip(large, run(blobs, write_png, ".png"), strict=True):
            np.testing.assert_array_equal(found, expected)

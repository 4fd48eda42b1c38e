"""One law, every reader: a window read alone equals the same window of the whole."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cervseg.errors import DataError
from cervseg.grid import Window
from cervseg.images.image import whole
from cervseg.images.readers import READERS, format_of, open_image
from cervseg.images.segments import keep_less
from cervseg.images.views import Padded, Scaled, scale_image


def open_sample(sample):
    return READERS[sample.kind.reader](sample.path)


def windows_of(image, count=25):
    """Single pixels, edges, the whole, and windows from anywhere."""
    height, width = image.height, image.width
    rng = np.random.default_rng(height)
    yield from (Window(0, 0, 1, 1), Window(height - 1, width - 1, 1, 1), whole(image))
    yield from (Window(height - 1, 0, 1, width), Window(0, width - 1, height, 1))
    for _ in range(count):
        top, left = int(rng.integers(height)), int(rng.integers(width))
        yield Window(top, left, int(rng.integers(1, height - top + 1)),
                     int(rng.integers(1, width - left + 1)))  # fmt: skip


def check_law(view, image):
    """Each window is read by a reader that has seen nothing else of it before."""
    pixels = view(image()).read(whole(view(image())))
    assert pixels.dtype == np.uint8
    opened = view(image())
    for window in windows_of(opened):
        alone = opened.read(window)
        expected = pixels[window.top : window.bottom, window.left : window.right]
        np.testing.assert_array_equal(alone, expected)


VIEWS = {
    "itself": lambda image: image,
    "reduced": lambda image: Scaled(image, 97, 151),
    "enlarged": lambda image: Scaled(image, 307, 401),
    "from a level": lambda image: scale_image(image, 0.37, 0.37),
    "padded": lambda image: Padded(scale_image(image, 0.5, 0.5), 128, 192),
}


@pytest.mark.parametrize("view", VIEWS)
def test_a_window_read_alone_equals_that_window_of_the_whole(sample, view):
    check_law(VIEWS[view], lambda: open_sample(sample))


def test_the_pixels_are_those_of_the_file(sample):
    image = open_sample(sample)

    assert (image.height, image.width) == sample.pixels.shape[:2]
    difference = np.abs(image.read(whole(image)).astype(int) - sample.pixels)
    assert difference.max() == 0 or not sample.kind.lossless
    assert difference[:128, :128].max() < 30  # JPEG's last tiles are filled up with black


def test_levels_are_coarser_copies_and_obey_the_law(sample, samples):
    image = open_sample(sample)

    assert len(image.levels) == sample.kind.levels
    for times, level in enumerate(image.levels, start=1):
        expected = samples.coarser(sample.pixels, times)
        assert (level.height, level.width) == expected.shape[:2]
        assert np.abs(level.read(whole(level)).astype(int) - expected).mean() < 3
        assert image.mpp is None or level.mpp == pytest.approx(image.mpp * 2**times, rel=0.02)
        assert level.levels == ()
        check_law(lambda image: image, lambda level=level: level)


@pytest.mark.parametrize("height", [1, 40, 64, 150, 900])
def test_a_row_of_windows_decodes_nothing_twice(sample, height):
    image = keep_less(open_sample(sample), 0)
    if not hasattr(image, "cache"):  # a photograph in memory, say
        assert image.working_set(height) == 0
        return
    height, decoded = min(height, image.height), []
    load = image.load
    object.__setattr__(image, "load", lambda *at: decoded.append(at) or load(*at))

    for top in {0, min(30, image.height - height), image.height - height}:
        decoded.clear()
        for left in range(0, image.width - 50, 23):
            image.read(Window(top, left, height, 73 if left + 73 <= image.width else 50))
        assert len(decoded) == len({*decoded})
        segments = len(image.cache._futures)
        assert segments * image.segment[0] * image.segment[1] * 3 <= image.working_set(height)


def test_threads_that_read_at_once_read_the_same(sample):
    image = open_sample(sample)
    pixels = open_sample(sample).read(whole(image))
    windows = list(windows_of(image, count=60))

    with ThreadPoolExecutor(4) as pool:
        for window, alone in zip(windows, pool.map(image.read, windows), strict=True):
            expected = pixels[window.top : window.bottom, window.left : window.right]
            np.testing.assert_array_equal(alone, expected)


def test_the_first_bytes_decide_not_the_suffix(sample, tmp_path):
    name = "tiff" if sample.kind.reader in ("photo", "slide") else sample.kind.reader
    assert format_of(sample.path) == name
    other = tmp_path / ("folder" if sample.path.is_dir() else "image.png")
    other.symlink_to(sample.path)

    image = open_image(other)

    assert (image.height, image.width) == sample.pixels.shape[:2]


def test_tiffs_are_read_alike_by_both_libraries(tmp_path, samples):
    """Nothing is shared but libjpeg: two programs agree on where pixels and levels lie."""
    samples.write_svs(tmp_path / "a.svs", samples.smooth(256, 384))

    ours, theirs = READERS["tiff"](tmp_path / "a.svs"), READERS["slide"](tmp_path / "a.svs")

    assert ours.mpp == theirs.mpp == 0.25
    assert len(ours.levels) == len(theirs.levels) == 2
    for one, other in zip((ours, *ours.levels), (theirs, *theirs.levels), strict=True):
        difference = one.read(whole(one)).astype(int) - other.read(whole(other))
        assert np.abs(difference).max() <= 3


def test_every_reader_is_among_the_samples(samples):
    assert {kind.reader for kind in samples.KINDS.values()} == {*READERS}


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.svs"])
def test_a_pipe_that_nobody_writes_to_is_no_image(tmp_path, name):
    os.mkfifo(tmp_path / name)

    with pytest.raises(DataError) as caught:
        open_image(tmp_path / name)

    assert str(caught.value) == f"{tmp_path / name}: a pipe or a device, not a file"

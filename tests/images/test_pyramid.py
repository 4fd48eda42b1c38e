import resource
import subprocess
import sys

import numpy as np
import pytest
import tifffile

from cervseg.classes import Classes
from cervseg.errors import BudgetError, DataError, OutputError
from cervseg.images.pyramid import (
    halve,
    level_sizes,
    pyramid_memory,
    scratch_size,
    write_pyramid,
)

CLASSES = Classes.of({"cell": "#00c853", "nucleus": "#ff6d00"})
SIZES = [(1, 1), (513, 1023), (1025, 700), (1537, 1030), (3, 2051)]


class Rows:
    """Rows of an array; notes which were read."""

    def __init__(self, array):
        self.array, self.taken = array, []
        self.height, self.width = array.shape[:2]

    def read(self, top, height):
        self.taken.append((top, height))
        return self.array[top : top + height]


def mask(size, seed=0):
    """Blocks of three classes, with single pixels in between."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 3, (-(-size[0] // 9), -(-size[1] // 7)), np.uint8)
    found = coarse.repeat(9, axis=0).repeat(7, axis=1)[: size[0], : size[1]]
    found[rng.random(size) < 0.05] = 2
    return found


def probabilities(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 65536, shape, np.uint16)


def write(tmp_path, array, name="mask.ome.tiff", **options):
    path = tmp_path / name
    options = {"identity": "one", "scratch": tmp_path / "scratch", **options}
    write_pyramid(path, Rows(array), dtype=array.dtype, **options)
    return path


def levels(path):
    with tifffile.TiffFile(path) as file:
        assert file.is_ome
        (series,) = file.series
        return [level.asarray() for level in series.levels]


@pytest.mark.parametrize("size", SIZES)
def test_a_mask_comes_back_and_its_levels_are_halves_of_halves(tmp_path, size):
    expected = mask(size)

    found = levels(write(tmp_path, expected, palette=CLASSES.palette()))

    assert [level.shape for level in found] == level_sizes(*size)
    for level in found:
        np.testing.assert_array_equal(level, expected)
        expected = halve(expected)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [None, 1, 3])
def test_probabilities_come_back_as_planes(tmp_path, size, channels):
    array = probabilities(size if channels is None else (*size, channels))
    planes = [array] if channels is None else list(array.transpose(2, 0, 1))

    found = levels(write(tmp_path, array))

    for level in found:
        np.testing.assert_array_equal(level, planes if len(planes) > 1 else planes[0])
        planes = [halve(plane) for plane in planes]


def test_the_file_is_tiled_compressed_and_pyramidal_with_its_scale_and_colours(tmp_path):
    path = write(tmp_path, mask((1025, 700)), palette=CLASSES.palette(), mpp=0.25, names=["class"])

    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        assert file.series[0].is_pyramidal and len(file.series[0].levels) == 2
        assert page.is_tiled and page.tile == (512, 512)
        assert page.compression.name == "ADOBE_DEFLATE" and page.photometric.name == "PALETTE"
        assert (page.colormap[:, 1] // 257).tolist() == [0x00, 0xC8, 0x53]
        assert (page.colormap[:, 2] // 257).tolist() == [0xFF, 0x6D, 0x00]
        for words in ('PhysicalSizeX="0.25"', 'PhysicalSizeYUnit="µm"', 'Name="class"'):
            assert words in file.ome_metadata


def test_openslide_opens_the_mask_in_its_colours(tmp_path):
    openslide = pytest.importorskip("openslide")
    array = mask((1025, 700))

    with openslide.OpenSlide(write(tmp_path, array, palette=CLASSES.palette(), mpp=0.25)) as slide:
        assert slide.dimensions == (700, 1025)
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.25, rel=1e-6)
        seen = np.asarray(slide.read_region((90, 600), 0, (301, 211)))[..., :3]

    colours = np.array(CLASSES.palette(), np.uint8).reshape(256, 3)
    np.testing.assert_array_equal(seen, colours[array[600:811, 90:391]])


def test_the_same_rows_make_the_same_bytes_and_another_identity_others(tmp_path):
    array = mask((1537, 1030))

    first = write(tmp_path, array).read_bytes()
    again = write(tmp_path / "again", array, threads=2).read_bytes()
    other = write(tmp_path / "other", array, identity="two").read_bytes()

    assert first == again
    assert first != other


def test_rows_are_read_once_from_the_top(tmp_path):
    rows = Rows(probabilities((1300, 1100, 2)))

    write_pyramid(
        tmp_path / "p.ome.tiff", rows, dtype=np.uint16, identity="", scratch=tmp_path / "scratch"
    )

    tops, heights = zip(*rows.taken[1:], strict=True)  # the first asks for the channels
    assert rows.taken[0] == (0, 1)
    assert sum(heights) == 1300 and [*tops] == np.cumsum([0, *heights[:-1]]).tolist()


def test_nothing_but_the_file_stays(tmp_path):
    write(tmp_path, mask((1300, 1100)))

    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["mask.ome.tiff"]


def test_a_failing_source_leaves_nothing(tmp_path):
    class Vanishing(Rows):
        def read(self, top, height):
            if top > 600:
                raise DataError("bands: gone")
            return super().read(top, height)

    with pytest.raises(DataError, match="^bands: gone$"):
        write_pyramid(
            tmp_path / "mask.ome.tiff",
            Vanishing(mask((1300, 1100))),
            dtype=np.uint8,
            identity="",
            scratch=tmp_path,
        )

    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    class Full(Rows):
        def read(self, top, height):
            if top:
                raise OSError(28, "No space left on device")
            return super().read(top, height)

    with pytest.raises(BudgetError, match="mask.ome.tiff: the disk is full"):
        write_pyramid(
            tmp_path / "mask.ome.tiff",
            Full(mask((1300, 1100))),
            dtype=np.uint8,
            identity="",
            scratch=tmp_path,
        )


def test_a_file_that_may_not_grow_is_one_line(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, limits[1]))
    try:
        with pytest.raises(OutputError, match="mask.ome.tiff: can't be written: file too large"):
            write(tmp_path, probabilities((900, 700)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_classes_are_halved_to_the_most_frequent_and_of_equals_to_the_largest():
    fours = np.array(np.meshgrid(*[range(4)] * 4)).reshape(4, -1).T.astype(np.uint8)

    found = [int(halve(four.reshape(2, 2))[0, 0]) for four in fours]

    counts = [np.bincount(four, minlength=4) for four in fours]
    assert found == [int(max(range(4), key=lambda k: (c[k], k))) for c in counts]


def test_at_an_odd_edge_only_what_is_there_counts():
    array = np.array([[10, 20, 31], [30, 41, 90], [7, 8, 9]], np.uint16)

    np.testing.assert_array_equal(halve(array), [[25, 61], [8, 9]])
    np.testing.assert_array_equal(halve(array.astype(np.uint8) // 10), [[4, 9], [0, 0]])


def test_the_scratch_folder_holds_no_more_than_forecast(tmp_path, monkeypatch):
    array = probabilities((1300, 1100, 3))
    most = scratch_size(1300, 1100, channels=3, dtype=np.uint16)

    # Full size less the channel that is written at once, and one level.
    assert most == 2 * (2 * 1300 * 1100 + 3 * 650 * 550)
    assert scratch_size(1000, 1000, dtype=np.uint8) == 0
    assert array.nbytes > most


MEASURE = """
import re, sys
from pathlib import Path
import numpy as np
from cervseg.images.pyramid import write_pyramid

class Rows:
    def __init__(self, height, width):
        self.height, self.width = height, width
        noise = np.random.default_rng(0).integers(0, 3, (8, width // 8 + 1), np.uint8)
        self.noise = noise.repeat(8, axis=0).repeat(8, axis=1)[:, :width]

    def read(self, top, height):
        return self.noise[:height]

def write(rows):
    folder = Path(sys.argv[3])
    options = {"dtype": np.uint8, "identity": "", "scratch": folder, "threads": 2}
    write_pyramid(folder / "mask.ome.tiff", rows, **options)
    # Not getrusage: its peak is that of the process this one was forked from, if that is larger.
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

print(write(Rows(600, 64)), write(Rows(int(sys.argv[1]), int(sys.argv[2]))))
"""


def measure(height, width, folder):
    """Kilobytes of the process idle, and at its peak."""
    arguments = map(str, (height, width, folder))
    ran = subprocess.run(
        [sys.executable, "-c", MEASURE, *arguments], capture_output=True, text=True, check=True
    )
    return [int(word) for word in ran.stdout.split()]


def test_memory_follows_from_the_width_not_the_height(tmp_path):
    _, low = measure(3000, 2000, tmp_path / "low")
    _, high = measure(20_000, 2000, tmp_path / "high")  # 34 MB of pixels more

    assert high - low < 8_000, (low, high)  # threads and their heaps: a few MB, by chance


def test_memory_is_as_forecast(tmp_path):
    idle, peak = measure(1600, 20_000, tmp_path)

    assert (peak - idle) * 1024 == pytest.approx(pyramid_memory(20_000, dtype=np.uint8), rel=0.2)

import numpy as np
import pytest

from cervseg.errors import ConfigError, DataError, ModelError, OutputError
from cervseg.grid import TileGrid
from cervseg.inference.bands import Band
from cervseg.inference.parts import STEPS, BandFolder, BandList, to_steps

GRID = TileGrid(70, 52, 20, 6, 2)
MODEL = {"model": "a", "image": "b"}


def bands(channels=2):
    rng = np.random.default_rng(1)
    ends = [*GRID.starts(GRID.height), GRID.height]
    return [
        Band(top, rng.random((end - top, GRID.width, channels)).astype(np.float32), number)
        for number, (top, end) in enumerate(zip(ends, ends[1:], strict=False))
    ]


def filled(parts):
    for number, band in enumerate(bands()):
        parts.add(number, band)
    return parts


def on_disk(tmp_path, **other):
    return BandFolder(tmp_path / "x.partial", GRID, 2, fingerprint={**MODEL, **other})


def test_steps_are_as_near_as_they_can_be():
    values = np.linspace(0, 1, 1001, dtype=np.float32)[:, None, None]

    assert np.abs(to_steps(values) / STEPS - values).max() <= 0.505 / STEPS
    assert to_steps(np.float32([[[-0.1, 1.1]]])).tolist() == [[[0, 65535]]]


def test_an_answer_that_is_no_number_is_a_broken_model():
    answer = np.full((40, 7, 2), 0.5, np.float32)
    answer[39, 6, 1] = np.nan

    with pytest.raises(ModelError, match="no number"):
        to_steps(answer)


@pytest.mark.parametrize(("top", "height"), [(0, 70), (0, 1), (69, 1), (13, 2), (5, 50), (14, 1)])
def test_rows_are_those_of_the_bands_in_memory_or_on_disk(tmp_path, top, height):
    whole = to_steps(np.concatenate([band.probabilities for band in bands()]))

    for parts in (filled(BandList(GRID, 2)), filled(on_disk(tmp_path))):
        rows = parts.read(top, height)
        assert rows.shape == (height, 52, 2)
        np.testing.assert_array_equal(rows, whole[top : top + height])
        assert parts.skipped() == sum(range(len(bands())))
        assert parts.missing() == []


def test_what_is_on_disk_is_found_again(tmp_path):
    first = on_disk(tmp_path)
    first.add(1, bands()[1])

    again = on_disk(tmp_path)

    assert again.missing() == [n for n in range(len(bands())) if n != 1]


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-1], lambda b: b"", lambda b: b[:60] + bytes([b[60] ^ 1]) + b[61:],
               lambda b: b[:33] + bytes([b[33] ^ 1]) + b[34:], lambda b: b + b"\0"]
)  # fmt: skip
def test_a_damaged_band_is_missing(tmp_path, damage):
    parts = filled(on_disk(tmp_path))
    path = parts.path(2)
    path.write_bytes(damage(path.read_bytes()))

    assert on_disk(tmp_path).missing() == [2]


@pytest.mark.parametrize("changed", [{"model": "z"}, {"image": "z"}])
def test_bands_of_something_else_are_refused(tmp_path, changed):
    on_disk(tmp_path)

    with pytest.raises(ConfigError, match=f"another {next(iter(changed))}"):
        on_disk(tmp_path, **changed)


def test_another_grid_is_refused(tmp_path):
    on_disk(tmp_path)

    with pytest.raises(ConfigError, match="another grid"):
        BandFolder(tmp_path / "x.partial", TileGrid(70, 52, 20, 8, 2), 2, fingerprint=MODEL)


def test_a_broken_record_is_told_in_one_line(tmp_path):
    on_disk(tmp_path)
    (tmp_path / "x.partial" / "bands.json").write_text("{")

    with pytest.raises(OutputError, match=r"bands\.json") as caught:
        on_disk(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_band_that_vanishes_or_shrinks_is_named(tmp_path):
    parts = filled(on_disk(tmp_path))
    path = parts.path(0)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DataError, match="shorter"):
        parts.read(0, 3)
    path.unlink()
    with pytest.raises(DataError, match="00000.band"):
        parts.read(0, 3)


def test_a_band_that_vanishes_before_its_skipped_tiles_are_counted_is_named(tmp_path):
    parts = filled(on_disk(tmp_path))
    parts.path(1).unlink()

    with pytest.raises(DataError) as caught:
        parts.skipped()

    assert str(caught.value) == f"{parts.path(1)}: this finished band has vanished"


def test_no_half_band_is_left_by_a_full_disk(tmp_path):
    parts = on_disk(tmp_path)
    parts.folder.chmod(0o700)
    (parts.folder / "00003.partial.band").mkdir()  # in the way

    with pytest.raises(OutputError):
        parts.add(3, bands()[3])

    assert 3 in parts.missing()

import sys

import numpy as np
import pytest
from PIL import Image as Pillow

from cervseg.errors import ConfigError, DataError
from cervseg.images import slide
from cervseg.images.image import whole
from cervseg.images.readers import format_of, open_image
from cervseg.images.slide import open_slide


def test_levels_between_whole_pixels_are_left_out(tmp_path, samples):
    samples.write_svs(tmp_path / "even.svs", samples.smooth(256, 384))
    samples.write_svs(tmp_path / "odd.svs", samples.smooth(211, 307))

    even, odd = open_slide(tmp_path / "even.svs"), open_slide(tmp_path / "odd.svs")

    assert [(level.height, level.mpp) for level in even.levels] == [(128, 0.5), (64, 1.0)]
    assert odd.levels == ()


def test_blocks_meet_without_a_seam(tmp_path, samples, monkeypatch):
    samples.write_svs(tmp_path / "a.svs", samples.smooth(256, 384))
    image = open_slide(tmp_path / "a.svs")
    in_one = [level.read(whole(level)) for level in (image, *image.levels)]
    monkeypatch.setattr(slide, "BLOCK", 23)
    image = open_slide(tmp_path / "a.svs")

    for pixels, level in zip(in_one, (image, *image.levels), strict=True):
        np.testing.assert_array_equal(level.read(whole(level)), pixels)


def test_what_is_no_slide_is_refused_in_one_line(tmp_path):
    (tmp_path / "a.czi").write_bytes(b"ZISRAWFILE" + bytes(300))
    (tmp_path / "b.svslide").write_bytes(b"SQLite format 3\0" + bytes(300))
    (tmp_path / "c.dcm").write_bytes(bytes(128) + b"DICM" + bytes(300))

    for path in sorted(tmp_path.iterdir()):
        assert format_of(path) == "slide"
        with pytest.raises(DataError) as caught:
            open_image(path)
        assert "\n" not in str(caught.value)
        assert str(caught.value).startswith(f"{path}: can't be decoded: ")
    with pytest.raises(DataError, match="no such file"):
        open_slide(tmp_path / "none.svs")


def test_a_mirax_slide_is_known_by_the_folder_beside_it(tmp_path):
    for name in ("a", "b"):
        Pillow.new("RGB", (9, 7)).save(tmp_path / f"{name}.mrxs", format="JPEG")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "Slidedat.ini").touch()

    assert format_of(tmp_path / "a.mrxs") == "slide"
    assert format_of(tmp_path / "b.mrxs") == "photo"


def test_without_the_library_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openslide", None)

    with pytest.raises(ConfigError) as caught:
        open_slide(tmp_path / "a.vms")

    assert str(caught.value) == f"{tmp_path}/a.vms: this format needs OpenSlide"
    assert caught.value.hint == "pip install 'cervseg[slides]'"

import struct

import pytest

from cervseg.errors import BudgetError, DataError
from cervseg.images.image import decoding, find_images


def test_images_are_found_below_a_folder_in_order_whatever_their_case(tmp_path):
    (tmp_path / "slide 2" / "deep").mkdir(parents=True)
    names = ["b.PNG", "a.tif", "slide 2/deep/c.JPeG", "slide 2/d.jpg", "e.webp", "f.tiff", "g.bmp"]
    for name in names:
        (tmp_path / name).touch()

    assert find_images(tmp_path) == sorted(tmp_path / name for name in names)


def test_what_is_hidden_unfinished_or_no_image_is_left_out(tmp_path):
    for folder in ("folder.png", ".thumbnails"):
        (tmp_path / folder).mkdir()
    for name in (".hidden.png", "._a.png", "half.partial.png", "notes.txt", "png",
                 ".thumbnails/a.png"):  # fmt: skip
        (tmp_path / name).touch()

    assert find_images(tmp_path) == []


def test_a_folder_that_is_itself_in_a_hidden_one_is_searched(tmp_path):
    (tmp_path / ".cache" / "images").mkdir(parents=True)
    (tmp_path / ".cache" / "images" / "a.png").touch()

    assert len(find_images(tmp_path / ".cache" / "images")) == 1


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(DataError) as caught:
        find_images(tmp_path / "images")

    assert str(caught.value) == f"{tmp_path / 'images'}: no such folder"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (FileNotFoundError(), "no such file"),
        (MemoryError(), "can't be decoded: not enough memory"),
        (struct.error("unpack requires"), "can't be decoded: the file is truncated"),
        (SyntaxError("broken PNG file"), "can't be decoded: broken PNG file"),
        (UnboundLocalError(), "can't be decoded: UnboundLocalError"),
    ],
)
def test_whatever_a_decoder_raises_becomes_one_line(tmp_path, error, message):
    with pytest.raises(DataError) as caught, decoding(tmp_path / "a.png"):
        raise error

    assert str(caught.value) == f"{tmp_path / 'a.png'}: {message}"
    assert caught.value.__cause__ is error


def test_an_error_of_ours_and_a_wish_to_stop_pass_through(tmp_path):
    for error in (BudgetError("the disk is full"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught, decoding(tmp_path / "a.png"):
            raise error
        assert caught.value is error

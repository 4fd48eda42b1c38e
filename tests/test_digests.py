import numpy as np
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays

from cervseg.digests import SAMPLE, content_digest, pixel_digest, sample_digest, text_digest


@given(arrays(np.uint8, array_shapes(min_dims=3, max_dims=3, max_side=4)))
def test_a_digest_sees_pixels_and_not_memory(pixels):
    far_apart = np.repeat(pixels, 2, axis=1)[:, ::2]

    assert pixel_digest(far_apart) == pixel_digest(pixels) == pixel_digest(pixels.copy("F"))


def test_a_digest_tells_apart_shapes_and_single_values():
    pixels = np.zeros((2, 6, 3), np.uint8)
    pixels[0, 0, 0] = 9
    other = pixels.copy()
    other[1, 2, 0] = 1

    digests = {pixel_digest(p) for p in (pixels, pixels.reshape(6, 2, 3), other)}

    assert len(digests) == 3


def test_a_picture_of_one_colour_has_no_digest_of_its_own():
    pixels = np.full((5, 4, 3), (7, 8, 9), np.uint8)

    assert pixel_digest(pixels) == ""


def test_a_text_digest_is_the_sha_256_of_its_utf_8():
    expected = "4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c"
    assert text_digest("é") == expected


def test_a_sample_sees_both_ends_and_the_size_and_a_small_file_whole(tmp_path):
    path, digests = tmp_path / "a.tif", set()
    for size, changed in ((9, None), (9, 4), (3 * SAMPLE, None), (3 * SAMPLE, 7),
                          (3 * SAMPLE, 3 * SAMPLE - 7), (3 * SAMPLE + 1, None)):  # fmt: skip
        content = bytearray(size)
        if changed is not None:
            content[changed] = 1
        path.write_bytes(content)
        digests.add(sample_digest(path))
        assert sample_digest(path) == sample_digest(path)

    assert len(digests) == 6


def test_a_sample_of_a_folder_sees_names_and_sizes(tmp_path):
    zarr, digests = tmp_path / "a.zarr", set()
    for name, size in (("0.0", 3), ("0.0", 4), ("0.1", 4)):
        zarr.mkdir(exist_ok=True)
        (zarr / name).write_bytes(bytes(size))
        digests |= {sample_digest(zarr), content_digest(zarr)}

    assert len(digests) == 6

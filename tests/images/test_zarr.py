import bz2
import gzip
import json
import lzma
import os
import pickle
import sys
import zlib

import imagecodecs
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from zarr.codecs import GzipCodec, ZstdCodec

from cervseg.errors import ConfigError, DataError
from cervseg.images import chunks
from cervseg.images.image import whole
from cervseg.images.readers import open_image

NOISE = np.random.default_rng(0).integers(0, 256, (83, 131, 3), np.uint8)


def refusal(path):
    with pytest.raises(DataError) as caught:
        image = open_image(path)
        image.read(whole(image))
    assert "\n" not in str(caught.value) and str(caught.value).startswith(f"{path}: ")
    return str(caught.value).removeprefix(f"{path}: ")


def write_image(path, array, axes, **options):
    """An OME-Zarr 0.4 of one level and any axes."""
    group = zarr.create_group(path, zarr_format=2)
    group.create_array("0", data=array, **{"chunks": array.shape, **options})
    image = {"axes": [{"name": name} for name in axes], "datasets": [{"path": "0"}]}
    group.attrs["multiscales"] = [image]
    return path


def change(path, where, *, value):
    """Change one number or text in the metadata of a Zarr of version 0.4."""
    file = path / where[0]
    document = json.loads(file.read_text())
    record = document
    for key in where[1:-1]:
        record = record[key]
    record[where[-1]] = value
    file.write_text(json.dumps(document))


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize(
    ("unit", "mpp"),
    [("micrometer", 0.25), ("nanometer", None), ("millimeter", None), (None, None)],
)
def test_micrometres_are_scale_times_unit(tmp_path, samples, *, version, unit, mpp):
    samples.write_zarr(tmp_path / "a.zarr", NOISE, version=version, unit=unit)

    assert open_image(tmp_path / "a.zarr").mpp == mpp


def test_the_scale_of_the_whole_image_counts_too(tmp_path, samples):
    path = tmp_path / "a.zarr"
    samples.write_zarr(path, NOISE)
    scale = [{"type": "scale", "scale": [1, 1, 1, 2, 2]}]
    change(path, (".zattrs", "multiscales", 0, "coordinateTransformations"), value=scale)

    assert open_image(path).mpp == 0.5


@pytest.mark.parametrize("axes", ["yx", "cyx", "zyx", "tczyx"])
def test_the_first_time_and_depth_are_read_whatever_axes_there_are(tmp_path, axes):
    planes = {"c": 3, "t": 2, "z": 4}
    shape = [planes[name] for name in axes[:-2]] + [31, 47]
    array = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    path = write_image(tmp_path / "a", array, axes)  # a Zarr needs no suffix

    image = open_image(path)

    first = array[tuple(slice(None) if name in "cyx" else 0 for name in axes)]
    expected = np.moveaxis(first, 0, -1) if "c" in axes else np.dstack([first] * 3)
    np.testing.assert_array_equal(image.read(whole(image)), expected)


def test_sixteen_bits_of_one_channel_are_divided_by_257(tmp_path):
    values = np.array([[0, 128, 129], [65535, 65278, 514]], np.uint16)

    image = open_image(write_image(tmp_path / "a.zarr", values[None], "cyx"))

    expected = np.rint(values / 257).astype(np.uint8)
    np.testing.assert_array_equal(image.read(whole(image)), np.dstack([expected] * 3))


def test_an_image_one_group_below_is_found(tmp_path, samples):
    zarr.create_group(tmp_path / "a.zarr", zarr_format=2)
    samples.write_zarr(tmp_path / "a.zarr" / "0", NOISE)

    image = open_image(tmp_path / "a.zarr")

    np.testing.assert_array_equal(image.read(whole(image)), NOISE)


# What is broken


def test_a_folder_that_is_no_ome_zarr_is_refused(tmp_path):
    (tmp_path / "empty.zarr").mkdir()
    zarr.create_group(tmp_path / "group.zarr")
    zarr.create_array(tmp_path / "array.zarr", data=NOISE)

    assert refusal(tmp_path / "none.zarr") == "no such file"
    assert refusal(tmp_path / "empty.zarr") == (
        "no Zarr, as it holds none of .zarray, .zattrs, .zgroup, zarr.json"
    )
    assert refusal(tmp_path / "group.zarr") == "without 'multiscales' in its metadata, no OME-Zarr"
    assert refusal(tmp_path / "array.zarr") == "an array without OME's metadata, no OME-Zarr"


@pytest.mark.parametrize(
    ("array", "axes", "message"),
    [
        (NOISE, "yxc", "axes y, x, c; y, x at the end expected"),
        (NOISE[0], "x", "axes x; y, x at the end expected"),
        (NOISE, "yx", "an array of shape (83, 131, 3) for axes y, x"),
        (NOISE[..., 0].astype(np.float32), "yx",
         "pixels of type float32, 8 or 16 bits expected"),
        (np.zeros((4, 5, 6), np.uint8), "cyx", "4 channels, 1 or 3 expected"),
    ],
)  # fmt: skip
def test_arrays_of_another_kind_are_refused(tmp_path, *, array, axes, message):
    assert refusal(write_image(tmp_path / "a.zarr", array, axes)) == message


@pytest.mark.parametrize("name", ["1", "../b.zarr/0", None, 7])
def test_a_level_that_is_missing_or_outside_is_refused(tmp_path, name):
    write_image(tmp_path / "b.zarr", NOISE[..., 0], "yx")
    path = write_image(tmp_path / "a.zarr", NOISE[..., 0], "yx")
    change(path, (".zattrs", "multiscales", 0, "datasets", 0, "path"), value=name)

    assert refusal(path).startswith(("damaged, as its level", "can't be decoded: "))


def test_chunks_too_large_to_decode_are_refused(tmp_path):
    path = write_image(tmp_path / "a.zarr", NOISE[..., 0], "yx")
    change(path, ("0/.zarray", "shape"), value=[10**6, 10**6])
    change(path, ("0/.zarray", "chunks"), value=[10**6, 10**6])

    assert refusal(path) == "chunks of 1000000 megapixels are too large"


class Evil:
    def __reduce__(self):
        return os.mkdir, ("owned",)


@pytest.mark.parametrize("place", ["compressor", "filters"])
def test_a_compression_that_runs_code_is_refused(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    path = write_image(tmp_path / "a.zarr", NOISE[..., 0], "yx", compressors=None)
    pickled = {"id": "pickle"}
    change(path, ("0/.zarray", place), value=pickled if place == "compressor" else [pickled])
    (path / "0" / "0.0").write_bytes(pickle.dumps(Evil()))

    assert refusal(path).startswith("can't be decoded: ")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("kept", [0, 9, 50, 0.9])
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_truncated_chunk_is_refused(tmp_path, samples, *, kept, version):
    """Blosc, which 0.4 is compressed with, would show what lies in memory beyond it."""
    path = tmp_path / "a.zarr"
    samples.write_zarr(path, NOISE, version=version)
    chunk = path / "0" / ("0.2.0.1.1" if version == "0.4" else "c/0/2/0/1/1")
    content = chunk.read_bytes()
    chunk.write_bytes(content[: int(kept * len(content)) if kept < 1 else kept])

    said = refusal(path)

    assert said == "damaged, as chunk 0/0.2.0.1.1 is truncated" or version == "0.5"


BOMBS = {
    "zstd": (ZstdCodec(), lambda zeros: imagecodecs.zstd_encode(zeros)),
    "gzip": (GzipCodec(), lambda zeros: gzip.compress(zeros)),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_chunk_that_unpacks_to_more_than_any_has_is_not_unpacked(
    tmp_path, samples, monkeypatch, *, kind
):
    monkeypatch.setattr(chunks, "LARGEST", 2**20)
    codec, compress = BOMBS[kind]
    path = tmp_path / "a.zarr"
    samples.write_zarr(path, NOISE, version="0.5", compressors=[codec])
    (path / "0" / "c/0/2/0/1/1").write_bytes(compress(bytes(2**22)))

    assert refusal(path) == "damaged, as 0/c/0/2/0/1/1 unpacks to over 1 MB"


@pytest.mark.parametrize("size", [2**16, 2**16 + 1])
def test_what_unpacks_to_more_is_known_whatever_packed_it(size):
    data = bytes(size)
    packed = {
        "zstd": imagecodecs.zstd_encode(data), "gzip": gzip.compress(data),
        "zlib": zlib.compress(data), "blosc": imagecodecs.blosc_encode(data),
        "bz2": bz2.compress(data), "xz": lzma.compress(data),
    }  # fmt: skip

    told = {kind: chunks.unpacks_to_more(p, 2**16) for kind, p in packed.items()}

    assert set(told.values()) == {size > 2**16}, told


@given(st.binary(max_size=60), st.sampled_from([b"", b"\x28\xb5\x2f\xfd", b"\x1f\x8b", b"BZh9"]))
def test_whatever_stands_in_a_chunk_is_no_trouble(data, start):
    assert chunks.unpacks_to_more(start + data, 2**20) in (True, False)


@pytest.mark.parametrize("name", ["0/zarr.json", "zarr.json", "0/c/0/0/0/0/0"])
def test_a_pipe_in_a_zarr_is_refused(tmp_path, samples, name):
    path = tmp_path / "a.zarr"
    samples.write_zarr(path, NOISE, version="0.5")
    (path / name).unlink()
    os.mkfifo(path / name)

    with pytest.raises(DataError) as caught:
        image = open_image(path)
        image.read(whole(image))

    assert "a pipe or a device, not a file" in str(caught.value)


def test_a_chunk_that_is_not_there_has_the_fill_value(tmp_path):
    path = write_image(tmp_path / "a.zarr", NOISE[..., 0], "yx", fill_value=7)
    (path / "0" / "0.0").unlink()

    image = open_image(path)

    assert (image.read(whole(image)) == 7).all()


def test_without_the_library_the_extra_is_named(tmp_path, samples, monkeypatch):
    samples.write_zarr(tmp_path / "a.zarr", NOISE)
    monkeypatch.setitem(sys.modules, "zarr", None)

    with pytest.raises(ConfigError) as caught:
        open_image(tmp_path / "a.zarr")

    assert str(caught.value) == f"{tmp_path}/a.zarr: OME-Zarr needs the library zarr"
    assert caught.value.hint == "pip install 'cervseg[slides]'"

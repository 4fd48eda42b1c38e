import json

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from cervseg.classes import Classes
from cervseg.contract import Postprocessing
from cervseg.images.overlays import LONGEST
from cervseg.inference.assembly import Assembly, reduce_mask
from cervseg.inference.decision import ClassCount, Decision
from cervseg.inference.outputs import OutputFolder
from cervseg.inference.rows import RowArray

TWO = Classes.of({"cell": "#00ff00", "nucleus": "#ff0000"})
MASK = np.arange(35, dtype=np.uint8).reshape(5, 7) % 3
HOT = (MASK[..., None] == np.arange(3)).astype(np.float32)


@pytest.fixture
def written(tmp_path, noise):
    """Assembles an image into a folder and returns it."""

    def write(
        rows=HOT,
        *,
        large=False,
        inside=None,
        mpp=None,
        channels=3,
        classes=TWO,
        pixel=(1, 1),
        **how,
    ):
        output = OutputFolder(tmp_path / ("large" if large else "out"))
        activation = "softmax" if channels > len(classes) else "sigmoid"
        decision = how.pop("decision", Decision(activation, (0.5,) * len(classes)))
        vouched = []
        Assembly(output, decision, classes, classes.palette(), **how).assemble(
            "slide 1/field.3", noise(*rows.shape[:2]), RowArray(rows), channels=channels,
            large=large, mpp=mpp, inside=inside, pixel=pixel,
            vouch=lambda *told: vouched.append(told),
        )  # fmt: skip
        assert len(vouched) == 1
        return output.folder, vouched[0]

    return write


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def pixels(path):
    with Pillow.open(path) as file:
        return np.asarray(file)


def test_a_name_with_dots_and_folders_keeps_both(written):
    folder, _ = written()

    assert files(folder) == [
        "masks/slide 1/field.3.png",
        "objects/slide 1/field.3.csv",
        "objects/slide 1/field.3.geojson",
        "overlays/slide 1/field.3.jpg",
    ]


@pytest.mark.parametrize("piece, rows", [(1, {1}), (14, {1, 2}), (10**6, {5})])
def test_probabilities_are_read_piece_by_piece(written, monkeypatch, *, piece, rows):
    heights, read = set(), RowArray.read

    def note(self, top, height):
        if self.array.ndim == 3:
            heights.add(height)
        return read(self, top, height)

    monkeypatch.setattr(RowArray, "read", note)
    written(decision=Decision("softmax", (0.5, 0.5), Postprocessing(hysteresis=0.6)), piece=piece)

    assert heights == rows


def test_the_mask_holds_class_indices_under_a_palette(written):
    folder, _ = written(objects=None)

    with Pillow.open(folder / "masks/slide 1/field.3.png") as file:
        assert file.mode == "P"
        np.testing.assert_array_equal(np.asarray(file), MASK)
    assert not (folder / "objects").exists()


def test_what_is_told_before_the_mask_gets_its_name(written):
    rows = np.zeros((9, 13, 1), np.float32)
    rows[1:4, 1:3] = rows[6:8, 5:9] = 1

    for objects in ("detection", None):
        _, (counts, areas) = written(
            rows, channels=1, classes=Classes.of({"cell": "#00ff00"}), objects=objects
        )
        assert counts == (ClassCount("cell", 2, 14),)
        assert list(areas["cell"]) == [6, 8]


def test_what_is_outside_of_the_regions_is_background(written):
    inside = np.zeros(MASK.shape, bool)
    inside[1:3, 2:6] = True

    folder, _ = written(inside=lambda top, height: inside[top : top + height])

    mask = pixels(folder / "masks/slide 1/field.3.png")
    np.testing.assert_array_equal(mask, np.where(inside, MASK, 0))


def test_one_channel_of_probabilities_is_a_sixteen_bit_png(written):
    one = Classes.of({"cell": "#00ff00"})
    probabilities = np.linspace(0, 1, 35, dtype=np.float32).reshape(5, 7, 1)
    probabilities[4, 6] = np.nextafter(np.float32(1), np.float32(2))  # a rounding error over one

    folder, _ = written(probabilities, channels=1, classes=one, probabilities=True)

    values = pixels(folder / "probabilities/slide 1/field.3.png").astype(float)
    assert values.min() == 0 and values.max() == 65535
    np.testing.assert_allclose(values / 65535, probabilities[..., 0], atol=0.51 / 65535)


def test_several_channels_are_a_file_each_and_disagreement_one_more(written):
    shares = np.stack([np.full((5, 7), v, np.float32) for v in (0, 0.25, 1, 0.5)], axis=-1)

    folder, _ = written(shares, probabilities=True, disagreement=True)

    values = [f"probabilities/slide 1/field.3.{c}.png" for c in range(3)]
    values.append("disagreement/slide 1/field.3.png")
    for name, value in zip(values, (0, 16384, 65535, 32768), strict=True):
        assert set(pixels(folder / name).ravel().tolist()) == {value}


def test_a_large_image_has_the_same_pixels_and_objects(written):
    rows = np.random.default_rng(0).random((131, 97, 4)).astype(np.float32)
    steps = Postprocessing(blur=1.0, fill_holes=3, min_area=5)
    decision = Decision("softmax", (0.5, 0.5), steps)
    how = {"probabilities": True, "disagreement": True, "mpp": 0.5, "decision": decision}

    (small, told), (large, told_of_large) = written(rows, **how), written(rows, large=True, **how)

    assert told == told_of_large
    name = "slide 1/field.3"
    mask = tifffile.imread(large / f"masks/{name}.ome.tif")
    np.testing.assert_array_equal(mask, pixels(small / f"masks/{name}.png"))
    planes = tifffile.imread(large / f"probabilities/{name}.ome.tif")
    for channel, plane in enumerate(planes):
        expected = pixels(small / f"probabilities/{name}.{channel}.png")
        np.testing.assert_array_equal(plane, expected)
    for kind in ("geojson", "csv"):
        here, there = (f / f"objects/{name}.{kind}" for f in (small, large))
        assert here.read_bytes() == there.read_bytes()
    features = json.loads((small / f"objects/{name}.geojson").read_text())["features"]
    assert len(features) == sum(count.objects for count in told[0]) > 0


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("shape", [(3, 70_001), (70_001, 5)])
def test_an_overlay_is_reduced_to_what_a_jpeg_can_hold(written, shape, large):
    """The legend, below the tall one, counts too."""
    rows = np.zeros((*shape, 3), np.float32)
    rows[..., 1] = 1

    folder, _ = written(rows, large=large)

    with Pillow.open(folder / "overlays/slide 1/field.3.jpg") as overlay:
        assert max(overlay.size) == LONGEST
    assert (folder / f"masks/slide 1/field.3.{'ome.tif' if large else 'png'}").is_file()


def test_a_mask_is_reduced_to_its_nearest_pixels():
    np.testing.assert_array_equal(reduce_mask(RowArray(MASK), 5, 7), MASK)
    np.testing.assert_array_equal(reduce_mask(RowArray(MASK), 2, 3), MASK[1:4:2][:, [1, 3, 5]])

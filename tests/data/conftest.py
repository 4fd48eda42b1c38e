"""Datasets of whole fields, written as `dataset-tile` would."""

import numpy as np
import pytest
from PIL import Image as Pillow

from cervseg.classes import Classes
from cervseg.config.data import DataConfig
from cervseg.digests import pixel_digest


@pytest.fixture
def make_fields(tmp_path, monkeypatch):
    """Makes a dataset of fields, given as name: (pixels, mask), and a cache folder of its own.

    Names that begin with v or t are validation and test.
    """
    from cervseg.data.manifest import SourceRow, describe, open_dataset, write_dataset
    from cervseg.data.tiling import foreground_share

    monkeypatch.setenv("CERVSEG_CACHE", str(tmp_path / "cache"))

    def make(fields, *, names=("cell",), tile_size=32, scale=1.0, file_scale=(1.0, 1.0)):
        folder, rows = tmp_path / "dataset", []
        (folder / "masks").mkdir(parents=True, exist_ok=True)
        for name, (pixels, mask) in fields.items():
            Pillow.fromarray(pixels).save(folder / f"{name}.png")
            mask_path = ""
            if mask is not None:
                mask_path = f"masks/{name}.png"
                Pillow.fromarray(mask).save(folder / mask_path)
            split = {"v": "valid", "t": "test"}.get(name[0], "train")
            share = 0.0 if mask is None else foreground_share(mask)
            rows.append(
                SourceRow(
                    name=name, image=f"{name}.png", mask=mask_path, objects="", origin="",
                    group=name, split=split, fold="", height=len(pixels), width=pixels.shape[1],
                    vertical=file_scale[0], horizontal=file_scale[1], mpp="",
                    sha256=pixel_digest(pixels), phash="", foreground=share,
                )
            )  # fmt: skip
        colours = {name: f"#{i + 1:02x}ff00" for i, name in enumerate(names)}
        document = describe(Classes.of(colours), scale=scale, tile_size=tile_size, reading="index")
        document["options"] = DataConfig(
            tile_size=tile_size, scale=scale, classes=colours, sampling="fields"
        ).model_dump(mode="json")
        write_dataset(folder, document, sources=rows, tiles=[])
        return open_dataset(folder)

    return make


@pytest.fixture
def make_field():
    """Makes the pixels and the mask of a field: bright discs of random classes on dark noise."""

    def make(height, width, *, seed=0, discs=4, classes=1, radius=7):
        rng = np.random.default_rng(seed)
        rows, columns = np.mgrid[:height, :width]
        mask = np.zeros((height, width), np.uint8)
        for i in range(discs):
            top, left = rng.uniform(0, height), rng.uniform(0, width)
            mask[(rows - top) ** 2 + (columns - left) ** 2 < radius**2] = i % classes + 1
        pixels = rng.integers(0, 90, (height, width, 3)) + 120 * (mask > 0)[..., None]
        return pixels.astype(np.uint8), mask

    return make

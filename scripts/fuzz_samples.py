"""One small valid input for every reader, and how the package reads it; for the fuzzers.

    python scripts/fuzz_samples.py FOLDER

writes them all, a folder each. A reader is a function that writes its sample into an empty folder
and one that reads that folder as the commands do.
"""

import argparse
import json
import runpy
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image as Pillow

from cervseg.classes import Classes
from cervseg.contract import Contract
from cervseg.errors import CervsegError
from cervseg.grid import TileGrid, Window

IMAGES = runpy.run_path(str(Path(__file__).with_name("sample_images.py")))

SIDES = (47, 61)
CLASSES = Classes.of({"cell": "#00ff00", "nucleus": "#ff6d00"})
INDEX = {"cytoplasm": "cell", "unclassified": "background"}
CONTRACT = Contract(
    architecture="unet", options={"base_filters": 2, "num_layers": 2},
    classes=Classes.of({"cell": "#00ff00"}), activation="sigmoid", tile_size=64, align=2,
    receptive_field=14, margin=14,
)  # fmt: skip

OLD = replace(CONTRACT, options={**CONTRACT.options, "normalize_after": "activation"})
"""What the reference's networks are."""

READ_WHOLE = 4_000_000
"""Pixels up to which an image is also read as a whole."""

RING: list[list[float]] = [[2, 3], [19.5, 3], [19.5, 17], [2, 17], [2, 3]]
HOLE = [[4, 5], [9, 5], [9, 8], [4, 5]]

YAML = """\
# cells: 18 images
data:
  output: datasets/cells
  source:
    - {kind: folders, images: fields/images, masks: fields/masks, scale: [6.0, 8.0]}
    - kind: geojson
      images: &more other/{split}
      annotations: *more
      rename: {Tumor: cell}
  classes: {cell: "#00c853", nucleus: '#ff6d00'}
  masks: {read: colour}
  group_pattern: '^(slide[0-9]+)'
  scale: 0.25
  tile_size: 256
  folds: 5
model: {architecture: unet, base_filters: 16, num_layers: 5, normalization: batch}
train:
  epochs: 100
  learning_rate: 1.0e-3
  loss: [{name: dice, weight: 1}, {name: binary_crossentropy, weight: 0.5}]
  augmentation: {rotation: 180, shear: 5, elastic: {alpha: 30.0}}
tiled_infer: {threshold: otsu, overlap: 64, colorize: {cell: "#112233"}}
runtime: {seed: 7, device: cpu}
"""

INI = """\
; an old experiment
[model]
model = "TensorflowUNet"
image_width = 64
image_height = 64
image_channels = 3
num_classes = 1
base_filters = 2
num_layers = 2
base_kernels = (3, 3)
dilation = (1, 1)
normalization = True
dropout_rate = 0.1
activation = "mish"
learning_rate = 0.002
loss = "dice_loss"
metrics = ["dice_coef", "iou_coef"]
[dataset]
color_order = "bgr"
[train]
epochs = 7
batch_size = 3
image_datapath = "./cells/train/images"
mask_datapath = "./cells/train/masks"
[mask]
mask_colors = [(0, 255, 0)]
[generator]
augmentation = True
[augmentor]
vflip = True
rotation = True
angles = [90, 180, 270]
[tiledinfer]
overlapping = 32
images_dir = "./big"
output_dir = "./out"
"""


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")


def _fields(folder: Path) -> None:
    """Two photographs and their masks of class indices, for what needs labelled images."""
    (folder / "masks").mkdir(exist_ok=True)
    for number in (0, 1):
        Pillow.fromarray(IMAGES["smooth"](*SIDES)).save(folder / f"f{number}.png")
        mask = np.zeros(SIDES, np.uint8)
        mask[5:20, 9:33] = number + 1
        Pillow.fromarray(mask).save(folder / "masks" / f"f{number}.png")


# Images.


def look_at(path: Path) -> None:
    """Open an image and read corners, the middle and a reduced view."""
    from cervseg.images.image import whole
    from cervseg.images.readers import open_image
    from cervseg.images.views import scale_image

    image = open_image(path)
    for level in (image, *image.levels):
        _read_windows(level)
    if image.height * image.width <= READ_WHOLE:
        image.read(whole(image))
    scale = 100 / max(image.height, image.width)
    if scale > 1 / 64:
        _read_windows(scale_image(image, scale, scale))


def _read_windows(image: Any) -> None:  # noqa: ANN401 (any Image; mypy can't know runpy's)
    height, width = min(97, image.height), min(113, image.width)
    for down, across in ((0, 0), (1, 1), (0, 1), (1, 0), (0.5, 0.5)):
        top, left = int(down * (image.height - height)), int(across * (image.width - width))
        pixels = image.read(Window(top, left, height, width))
        assert pixels.shape == (height, width, 3) and pixels.dtype == np.uint8


def _write_photo(path: Path) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6  # turned
    grey = "16" in path.stem
    pixels = IMAGES["smooth"](*SIDES)
    picture = Pillow.fromarray(pixels[..., 0].astype(np.uint16) * 257 if grey else pixels)
    options: dict[str, Any] = {} if grey or path.suffix == ".bmp" else {"exif": exif}
    picture.save(path, **options)


def _write_mask(folder: Path) -> None:
    mask = np.zeros((*SIDES, 3), np.uint8)
    mask[5:20, 9:33], mask[30:40, 2:20] = CLASSES.colours
    Pillow.fromarray(mask).quantize(8).save(folder / "mask.png")


def read_masks(folder: Path) -> None:
    """Read a mask by each of the ways that do not refuse it for its values alone."""
    from cervseg.images.masks import read_mask, read_prediction

    path = folder / "mask.png"
    read_mask(path, CLASSES, "colour")
    read_mask(path, CLASSES, "luma")
    read_prediction(path, CLASSES)


def _write_labels(folder: Path) -> None:
    labels = np.random.default_rng(0).integers(0, 400, SIDES).astype(np.uint16)
    Pillow.fromarray(labels).save(folder / "labels.png")


def _read_labels(folder: Path) -> None:
    from cervseg.annotations.label_images import read_label_image

    read_label_image(folder / "labels.png")


# Annotations.


def _feature(name: str, geometry: Mapping[str, Any]) -> dict[str, Any]:
    properties = {"objectType": "annotation", "classification": {"name": name, "color": [1, 2, 3]}}
    return {"type": "Feature", "id": "x", "geometry": geometry, "properties": properties}


GEOJSON = {
    "type": "FeatureCollection",
    "features": [
        _feature("cell", {"type": "Polygon", "coordinates": [RING, HOLE]}),
        _feature("nucleus", {"type": "MultiPolygon", "coordinates": [[HOLE], [RING[:3]]]}),
        {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [HOLE]}},
    ],
}
COCO = {
    "images": [{"id": 1, "file_name": "a.png", "height": SIDES[0], "width": SIDES[1]}],
    "categories": [{"id": 1, "name": "cell"}, {"id": 2, "name": "nucleus"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0,
         "segmentation": [[n for point in RING for n in point]]},
        {"id": 2, "image_id": 1, "category_id": 2, "iscrowd": 1,
         "segmentation": {"size": [*SIDES], "counts": [100, 30, 7, 50, 2680]}},
        {"id": 3, "image_id": 1, "category_id": 2,
         "segmentation": {"size": [*SIDES], "counts": "T3n07d0ac2"}},
    ],
}  # fmt: skip


def read_geojson_file(folder: Path) -> None:
    """Read and paint the outlines of an image."""
    from cervseg.data.truth import GeojsonFile

    GeojsonFile(folder / "a.geojson", INDEX).read(*SIDES, CLASSES)


def _read_coco_file(folder: Path) -> None:
    from cervseg.annotations.coco import read_coco
    from cervseg.data.truth import CocoImage

    file = read_coco(folder / "coco.json")
    if (name := file.find("a.png")) is not None:
        CocoImage(file, name, INDEX).read(*SIDES, CLASSES)


def _write_contours(folder: Path) -> None:
    place = folder / "im_Metaplastic"
    place.mkdir()
    Pillow.fromarray(IMAGES["smooth"](*SIDES)).save(place / "001.bmp")
    (place / "001_cyt01.dat").write_text("2,3\n19,3\n19.5,17\n2,17\n")
    (place / "001_nuc01.dat").write_text("4,5\n9,5\n9,8\n")


def read_contour_files(folder: Path) -> None:
    """Read and paint the contours of a SIPaKMeD field."""
    from cervseg.annotations.sipakmed import find_sipakmed
    from cervseg.data.truth import SipakmedContours

    for field in find_sipakmed(folder, ["Metaplastic"]):
        SipakmedContours(field, "nucleus_cytoplasm", INDEX).read(*SIDES, CLASSES)


# Configs.


def read_config(folder: Path) -> None:
    """Load a config, and write it again."""
    from cervseg.config.loader import dump_config, load_config

    dump_config(load_config(folder / "cells.yaml").config)


def _read_old_config(folder: Path) -> None:
    from cervseg.commands.import_config import imported_text

    imported_text(folder / "old.config")


# Datasets.


def write_a_dataset(folder: Path) -> None:
    """Two fields, and a tile of each."""
    from cervseg.config.data import Split
    from cervseg.data.manifest import SourceRow, TileRow, describe, write_dataset
    from cervseg.digests import pixel_digest
    from cervseg.images.photo import open_photo

    _fields(folder)
    sources, tiles = [], []
    splits: tuple[Split, ...] = ("train", "valid")
    for number, split in enumerate(splits):
        name, image, mask = f"f{number}", f"f{number}.png", f"masks/f{number}.png"
        height, width = SIDES
        source = SourceRow(name, image, mask, "", "/data/1.json", name, split, "", height, width,
                           1.0, 1.0, "", f"0{number}", "", 0.1)  # fmt: skip
        digest = pixel_digest(open_photo(folder / image).pixels)
        tile = TileRow(image, mask, name, name, split, "window", 0.5, 0, 0, height, width, 0.1,
                       digest)  # fmt: skip
        sources.append(source)
        tiles.append(tile)
    document = describe(CLASSES, scale=0.5, tile_size=32, reading="index")
    write_dataset(folder, {**document, "options": {"scale": 0.5}}, sources=sources, tiles=tiles)


def read_tables(folder: Path) -> None:
    """Open a dataset folder and compare its splits."""
    from cervseg.data.leaks import near_pairs, refuse_leaks, tell_near_leaks
    from cervseg.data.manifest import open_dataset

    dataset = open_dataset(folder)
    refuse_leaks(dataset.sources)
    tell_near_leaks(dataset.sources, near_pairs(dataset))
    if dataset.folds:
        dataset.of_fold(0)


def _read_dataset(folder: Path) -> None:
    from cervseg.data.labelled import labelled_sources, labelled_tiles, read_labelled
    from cervseg.data.manifest import open_dataset
    from cervseg.data.samples import read_tile

    read_tables(folder)
    dataset = open_dataset(folder)
    for item in labelled_sources(dataset, dataset.sources):
        read_labelled(item, dataset.classes)
    for tile in labelled_tiles(dataset, dataset.tiles):
        read_tile(tile, dataset.classes)


# Runs, evaluations, outputs: what the report reads.


def _write_run(folder: Path) -> None:
    from cervseg.files import write_csv

    _write_json(
        folder / "run.json", {"format": 1, "seed": 3, "ended": None, "versions": {"a": "1"}}
    )
    (folder / "config.yaml").write_text(YAML)
    (folder / "log.txt").write_text("2026-01-01 INFO begun\n")
    rows = [(1, 2.0, 1.5, 0.1), (2, 1.0, 1.2, 0.01)]
    write_csv(folder / "history.csv", ("epoch", "loss", "val_loss", "learning_rate"), rows)
    columns = ("temperature", "class", "mean", "share")
    bins = [(1.0, "cell", 0.1, 0.2), (1.0, "cell", 0.9, 0.7), (1.5, "cell", 0.2, 0.2)]
    write_csv(folder / "calibration.csv", columns, bins)


def _write_evaluation(folder: Path) -> None:
    from cervseg.images.overlays import write_picture
    from cervseg.reporting.pictures import Compared, draw_cell, write_layers
    from cervseg.reporting.scores import Evaluation, write_evaluation
    from cervseg.scoring.calibration import ProbabilityCounts
    from cervseg.scoring.matching import sort_objects
    from cervseg.scoring.summary import score_image, summarize

    rows, empty, objects, counts = [], [], [], ProbabilityCounts()
    for name in ("f0", "f1"):
        true, guess = np.zeros((2, *SIDES), np.uint8)
        true[5:20, 9:33] = guess[5:20, 12:36] = 1
        rows.append([score_image(true, guess, 1)])
        empty.append([score_image(true, 0 * true, 1)])
        objects += [(name, "cell", row) for row in sort_objects(true == 1, guess == 1)]
        counts.add(true == 1, np.where(guess, 0.9, 0.1).astype(np.float32))
    summary = summarize([r[0] for r in rows], [r[0] for r in empty], seed=0, resamples=20)
    notes: dict[str, Any] = {"settings": {"mode": "tiled"}, "failed": []}
    evaluation = Evaluation(
        "test: 2 images", "test", 0, ("f0", "f1"), rows, {"cell": summary}, {}, [[1, 0], [0, 1]],
        2.0, notes=notes, counts={"cell": counts}, objects=objects,
    )  # fmt: skip
    write_evaluation(folder, evaluation)
    compared = Compared(IMAGES["smooth"](*SIDES), true, guess)
    write_layers(folder / "pictures" / "worst1_f0", compared, CLASSES)
    write_picture(folder / "cells" / "missed1_f0.jpg", draw_cell(compared, CLASSES))


def _read_evaluation(folder: Path) -> None:
    from cervseg.reporting.folds import fold_tables, pool
    from cervseg.reporting.scored import read_scores

    _read_report(folder)
    fold = read_scores(0, folder / "scores.json")
    pool([fold], seed=0, resamples=20)
    fold_tables([fold])


def _write_output(folder: Path) -> None:
    from cervseg.files import write_csv
    from cervseg.images.overlays import write_picture
    from cervseg.inference.decision import ClassCount
    from cervseg.inference.outputs import ImageReport, OutputFolder

    output = OutputFolder(folder)
    _write_json(output.record, {"format": 1, "model": "m", "batch_size": 2})
    columns = ("image", "class", "objects", "pixels", "tiles", "skipped", "seam")
    rows = [("a/b", "cell", 2, 90, 6, 0, 1.03), ("c", "cell", 0, 0, 1, 0, "")]
    write_csv(output.summary, columns, rows)
    ranked = ("pixels_expected_wrong", "image", "rank_in_image", "top", "left", "height", "width")
    places = [(9.5, "a/b", 2, 0, 256, 256, 256), (80.0, "c", 1, 0, 0, 9, 9)]
    write_csv(output.ranking, ranked, places)
    write_picture(folder / "look_first" / "c.1.jpg", IMAGES["smooth"](*SIDES))
    ImageReport((ClassCount("cell", 2, 90),), check=(0.1, 0.01), drift=("darker",)).save(
        output.report("c")
    )
    geometry = {"type": "Polygon", "coordinates": [RING]}
    about = {"measurements": {"Pixels expected to be wrong": 3.5, "Rank": 1}}
    feature = {"type": "Feature", "geometry": geometry, "properties": about}
    _write_json(output.places("c"), {"features": [feature]})


def _read_output(folder: Path) -> None:
    from cervseg.inference.outputs import ImageReport, OutputFolder
    from cervseg.inference.places import write_ranking

    _read_report(folder)
    output = OutputFolder(folder)
    ImageReport.load(output.report("c"))
    write_ranking(folder.parent / "ranking.csv", [("c", output.places("c"))])


def _read_report(folder: Path) -> None:
    from cervseg.commands.report import write_page

    write_page([folder], folder.parent / "page.html")


# Models.


def _write_model(folder: Path) -> None:
    from cervseg.models.folder import build_network, save_model

    save_model(folder, build_network(CONTRACT, where="here"), CONTRACT)
    (folder / "card.md").write_text("# m\n\nA model.\n\n## Scores\n\n| Dice | 0.5 |\n")


def _read_model(folder: Path) -> None:
    from cervseg.commands.inspect import Card
    from cervseg.contract import find_model
    from cervseg.models.folder import load_model

    folder = find_model(folder)
    load_model(folder, Contract.load(folder))
    Card.read(folder)


def read_contract(folder: Path) -> None:
    """Read a contract, without Keras."""
    from cervseg.contract import find_model

    Contract.load(find_model(folder))


def _write_contract(folder: Path) -> None:
    from cervseg.contract import Preprocessing, TrainingImage

    replace(
        CONTRACT, mpp=0.25, preprocess=Preprocessing("hsv", 1.1, 0.5), statistics={"a": [1.5]},
        trained_on=(TrainingImage("0f", None, "train"), TrainingImage("1e", "ff", "valid")),
        versions={"cervseg": "1"}, created="2026-01-01",
    ).save(folder)  # fmt: skip


def _small_network() -> Any:  # noqa: ANN401 (Keras has no types)
    import keras

    inputs = keras.Input((5,))
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Dense(3)(inputs)))
    model.compile(keras.optimizers.Adam(0.01), "mse")
    return model


def _write_state(folder: Path) -> None:
    from cervseg.training.checkpoints import State, save_state

    network = _small_network()
    network.optimizer.build(network.trainable_variables)
    rows = [{"epoch": 1.0, "loss": 0.3}, {"epoch": 2.0, "loss": 0.2}]
    save_state(folder / "last.npz", network, State(epoch=2, rows=rows, best=0.2, best_epoch=2))


def _read_state(folder: Path) -> None:
    from cervseg.training.checkpoints import load_state

    state = load_state(folder / "last.npz", _small_network())
    if state is not None:
        state.columns()


def _write_old_weights(folder: Path) -> None:
    """Keras 2's layout: names of layers and weights in attributes."""
    import h5py

    from cervseg.models.folder import build_network

    network = build_network(OLD, where="here")
    with h5py.File(folder / "best_model.h5", "w") as file:
        names = []
        for number, layer in enumerate(layer for layer in network.layers if layer.weights):
            name = f"{type(layer).__name__.lower()}_{number}"
            group = file.create_group(name)
            kinds = [w.path.rsplit("/", 1)[-1] for w in layer.weights]
            group.attrs["weight_names"] = [f"{name}/{kind}:0".encode() for kind in kinds]
            for kind, weight in zip(kinds, layer.weights, strict=True):
                file[f"{name}/{name}/{kind}:0"] = np.asarray(weight)
            names.append(name.encode())
        file.attrs["layer_names"] = names


def _read_old_weights(folder: Path) -> None:
    from cervseg.models.legacy import load_legacy, normalized_after

    normalized_after(folder / "best_model.h5")
    load_legacy(folder / "best_model.h5", OLD)


# Bands of an interrupted inference.


def _bands(folder: Path) -> Any:  # noqa: ANN401
    from cervseg.inference.parts import BandFolder

    grid = TileGrid(96, 64, size=64, overlap=32, align=2)
    return BandFolder(folder, grid, 1, fingerprint={"model": "m"})


def _write_bands(folder: Path) -> None:
    from cervseg.inference.bands import Band

    bands = _bands(folder)
    for number, (top, height) in enumerate(((0, 32), (32, 64))):
        bands.add(number, Band(top, np.full((height, 64, 1), 0.25, np.float32), 1))


def _read_bands(folder: Path) -> None:
    bands = _bands(folder)
    if not bands.missing():
        bands.read(0, 96)
        bands.skipped()


Words = list[str]


def _report_command(folder: Path, clean: Path) -> Words:
    return ["report", str(folder), "--output", str(folder.parent / "page.html")]


def _infer_command(folder: Path, clean: Path) -> Words:
    return ["infer", str(folder), "--model", str(clean / "model"),
            "--output", str(folder.parent / "out")]  # fmt: skip


def _tile_command(folder: Path, clean: Path) -> Words:
    """Reads all of an image, without TensorFlow, which takes seconds to come."""
    config = folder.parent / "tile.yaml"
    source = f"{{kind: geojson, images: '{folder}', annotations: '{clean / 'images'}'}}"
    config.write_text(
        f"data:\n  source: {source}\n  missing_mask: background\n  tile_size: 32\n"
        f"  output: '{folder.parent / 'out'}'\n  split: {{train: 1, valid: 0, test: 0}}\n"
    )
    return ["dataset-tile", str(config)]


def _model_command(folder: Path, clean: Path) -> Words:
    return ["infer", str(clean / "photo-png"), "--model", str(folder),
            "--output", str(folder.parent / "out")]  # fmt: skip


def _convert_command(source: str) -> Callable[[Path, Path], Words]:
    def command(folder: Path, clean: Path) -> Words:
        config = folder.parent / "source.yaml"
        named = source.format(folder=folder, images=clean / "images")
        config.write_text(
            f"data:\n  source: {{{named}}}\n  missing_mask: background\n"
            "  classes: {cell: '#00ff00', nucleus: '#ff6d00'}\n"
        )
        return ["convert", str(config), "--to", "geojson", "--output", str(folder.parent / "out")]

    return command


def _dataset_command(folder: Path, clean: Path) -> Words:
    config = folder.parent / "dataset.yaml"
    config.write_text(f"data: {{output: '{folder}'}}\n")
    return ["evaluate", str(config), "--predictions", str(clean / "dataset" / "masks"),
            "--split", "valid", "--output", str(folder.parent / "out")]  # fmt: skip


def _old_command(folder: Path, clean: Path) -> Words:
    return ["config", "import", str(folder / "old.config")]


def _old_weights_command(folder: Path, clean: Path) -> Words:
    return ["config", "import", str(clean / "config-old" / "old.config"), "--weights",
            str(folder / "best_model.h5"), "--output", str(folder.parent / "out")]  # fmt: skip


class Reader(NamedTuple):
    """Something that the package reads.

    Args:
        write: Writes a valid sample into an empty folder.
        read: Reads what is in such a folder; raises what a user would see.
        command: Words of a command line that reads it, for a folder and that of all samples; None:
            no command reads it alone.
        group: Its line in the table.
    """

    write: Callable[[Path], None]
    read: Callable[[Path], None]
    command: Callable[[Path, Path], Words] | None = None
    group: str = ""


def _of_image(name: str, write: Callable[[Path], object], group: str) -> Reader:
    command = _infer_command if name in ("photo.jpg", "image.zarr") else _tile_command
    return Reader(lambda folder: void(write(folder / name)), lambda folder: look_at(folder / name),
                  command, group)  # fmt: skip


def void(_: object) -> None:
    """Forget what a function gave."""


def _of_kind(name: str) -> Reader:
    kind = IMAGES["KINDS"][name]
    group = "slide" if kind.reader == "slide" else "TIFF" if kind.reader != "zarr" else "OME-Zarr"
    return _of_image(
        f"image.{kind.suffix}", lambda path: kind.write(path, IMAGES["smooth"]()), group
    )


def _of_text(name: str, text: str) -> Callable[[Path], None]:
    return lambda folder: void((folder / name).write_text(text, encoding="utf-8"))


READERS: dict[str, Reader] = {
    "photo-jpeg": _of_image("photo.jpg", _write_photo, "photograph"),
    "photo-png": _of_image("photo.png", _write_photo, "photograph"),
    "photo-16bit": _of_image("photo16.png", _write_photo, "photograph"),
    "photo-webp": _of_image("photo.webp", _write_photo, "photograph"),
    "photo-bmp": _of_image("photo.bmp", _write_photo, "photograph"),
    **{name: _of_kind(name) for name in IMAGES["KINDS"]},
    "mask": Reader(_write_mask, read_masks, group="mask"),
    "labels": Reader(
        _write_labels, _read_labels,
        _convert_command("kind: label_images, images: '{images}', masks: '{folder}', "
                         "class_name: cell"),
        "label image",
    ),
    "geojson": Reader(
        _of_text("a.geojson", json.dumps(GEOJSON)), read_geojson_file,
        _convert_command("kind: geojson, images: '{images}', annotations: '{folder}', "
                         "rename: {{unclassified: background}}"),
        "GeoJSON",
    ),
    "coco": Reader(
        _of_text("coco.json", json.dumps(COCO)), _read_coco_file,
        _convert_command("kind: coco, images: '{images}', annotations: '{folder}/coco.json'"),
        "COCO",
    ),
    "contours": Reader(
        _write_contours, read_contour_files,
        _convert_command("kind: sipakmed, folder: '{folder}', categories: [Metaplastic]"),
        "SIPaKMeD contours",
    ),
    "config": Reader(
        _of_text("cells.yaml", YAML), read_config,
        lambda folder, clean: ["config", "show", str(folder / "cells.yaml")], "YAML config",
    ),
    "config-old": Reader(_of_text("old.config", INI), _read_old_config, _old_command, "old config"),
    "dataset": Reader(write_a_dataset, _read_dataset, _dataset_command, "dataset, manifest"),
    "run": Reader(_write_run, _read_report, _report_command, "run folder"),
    "evaluation": Reader(_write_evaluation, _read_evaluation, _report_command, "evaluation"),
    "output": Reader(_write_output, _read_output, _report_command, "inference output"),
    "bands": Reader(_write_bands, _read_bands, group="unfinished bands"),
    "contract": Reader(
        _write_contract, read_contract,
        lambda folder, clean: ["inspect", str(folder)], "contract",
    ),
    "model": Reader(_write_model, _read_model, _model_command, "model folder"),
    "state": Reader(_write_state, _read_state, group="state of a training"),
    "weights-old": Reader(
        _write_old_weights, _read_old_weights, _old_weights_command, "old weights"
    ),
}  # fmt: skip
"""Everything that is read from files which others may have made."""


MOST_LINES, LONGEST = 25, 1500
"""Of what a user is told: where several things are wrong, a line each."""


def unclear(error: CervsegError, folder: Path) -> str | None:
    """What is wrong with what a user would be told; None: nothing.

    One line that names the file. Where several things are wrong there may be a line for each,
    which begins with two spaces or the file's path.
    """
    lines = str(error).split("\n")
    if error.exit_code not in (2, 3, 5):
        return f"exit code {error.exit_code}"
    if "not enough memory" in lines[0] and error.exit_code != 5:
        return "ran out of memory"
    if str(folder) not in lines[0]:
        return "does not name the file"
    if any(not line.startswith(("  ", str(folder))) for line in lines[1:]):
        return "a line that came out of the file"
    if len(lines) > MOST_LINES or max(map(len, lines)) > LONGEST:
        return f"{len(lines)} lines of up to {max(map(len, lines))} characters"
    return None


def write_samples(folder: Path, names: Sequence[str] = ()) -> dict[str, Path]:
    """Write the samples of some readers, or of all, a folder each.

    Beside them lies `images`, the photographs that annotations are of.
    """
    for number in ("labels", "a", "001"):
        (folder / "images").mkdir(parents=True, exist_ok=True)
        Pillow.fromarray(IMAGES["smooth"](*SIDES)).save(folder / "images" / f"{number}.png")
    found = {}
    for name in dict.fromkeys(names or READERS):
        found[name] = folder / name
        found[name].mkdir(parents=True)
        READERS[name].write(found[name])
    return found


def main(argv: list[str] | None = None) -> int:
    """Write the samples and name them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    for path in write_samples(parser.parse_args(argv).folder).values():
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import zarr
from PIL import Image

from cervseg.commands.config import config_schema, draw_up, show_config, starter_config
from cervseg.config.loader import load_config
from cervseg.errors import ConfigError, DataError

RED, GREEN, BLACK, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 0), (255, 255, 255)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_images(folder, names=("a.png",), *, width=402, height=301):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("RGB", (width, height), "pink").save(folder / name)
    return folder


def write_mask(folder, values, *, name="a.png", mode=None, **options):
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((60, 80, *np.shape(values[0])), np.uint8)
    for i, value in enumerate(values):
        pixels[10 * i : 10 * i + 10] = value
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(folder / name, **options)
    return folder


def write_fitting(folder, values, *, name="a.png", dtype=np.uint8, **options):
    """A mask of the size of `write_images`, a block of each value apart from the others."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((301, 402, *np.shape(values[0])), dtype)
    for i, value in enumerate(values):
        row, column = divmod(i, 14)
        pixels[12 + 30 * row : 32 + 30 * row, 11 + 28 * column : 29 + 28 * column] = value
    Image.fromarray(pixels).save(folder / name, **options)
    return folder


def loaded(folder, text):
    """The config that a text says, and its keys that are no defaults."""
    path = folder / "started.yaml"
    path.write_text(text, encoding="utf-8")
    return load_config(path).config


# --- show


def test_show_lists_each_value_with_where_it_came_from(folder):
    path = folder / "x.yaml"
    path.write_text("train:\n  metrics: [dice, iou]\n  output: 'a, b'\n")

    report = show_config(path, ["train.epochs=3"])

    told = {row["key"]: (row["value"], row["origin"]) for row in report.results}
    assert told["train.metrics"] == (["dice", "iou"], f"{path}:2")
    assert told["train.epochs"] == (3, "--set")
    assert told["data.classes.cell"] == ("#00ff00", "default")
    assert json.loads(json.dumps(report.results)) == list(report.results)
    rows = {row[0]: row[1:] for row in report.tables[0].rows}
    assert rows["train.metrics"] == ("[dice, iou]", f"{path}:2")
    assert rows["train.output"] == ("'a, b'", f"{path}:3")
    assert rows["train.clip_norm"] == ("null", "default")
    assert report.tables[0].title == str(path)
    assert report.exit_code == 0


def test_show_without_a_file_shows_the_defaults():
    report = show_config(None)

    assert report.tables[0].title == "all defaults"
    assert {row["origin"] for row in report.results} == {"default"}


def test_show_refuses_a_wrong_config():
    with pytest.raises(ConfigError, match="unknown key 'train.epoch'"):
        show_config(None, ["train.epoch=3"])


# --- schema


def test_the_schema_tells_editors_types_choices_bounds_and_meaning():
    schema = json.loads(config_schema())
    train = schema["$defs"]["TrainConfig"]

    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["additionalProperties"] is False and train["additionalProperties"] is False
    assert train["properties"]["epochs"] == {
        "default": 100,
        "description": "at most",
        "maximum": 1_000_000,
        "minimum": 1,
        "title": "Epochs",
        "type": "integer",
    }
    assert '"bce_dice"' in json.dumps(train["properties"]["loss"])
    assert train["description"] == "Output, loss, optimiser, schedule, stopping, sampling."


def test_the_schema_lets_editors_accept_short_forms():
    definitions = json.loads(config_schema())["$defs"]

    source = definitions["DataConfig"]["properties"]["source"]["anyOf"]
    assert {"$ref": "#/$defs/FolderSource"} in source
    model = definitions["InferConfig"]["properties"]["model"]["anyOf"]
    assert [choice["type"] for choice in model] == ["string", "array"]


def test_the_schema_is_the_same_text_each_time_and_repeats_no_section():
    text = config_schema()

    assert text == config_schema()
    assert "default" not in json.loads(text)["properties"]["train"]


# --- init


def test_a_starter_is_a_commented_config_that_loads(folder):
    images = write_images(folder / "smears" / "images", ["s1_01.png", "s1_02.png", "s2_01.png"])
    for name in ("s1_01.png", "s1_02.png", "s2_01.png"):
        masks = write_fitting(folder / "smears" / "masks", [BLACK, GREEN], name=name)

    text = starter_config(images, masks)

    config = loaded(folder, text)
    assert config.data.source[0].images == images
    assert config.data.source[0].masks == masks
    assert str(config.data.output) == "datasets/smears"
    assert str(config.train.output) == "runs/smears"
    assert text.startswith("# smears: 3 images; next: cervseg dataset-tile smears.yaml\n")
    assert "  # group_pattern: '^(.+?)[-_]'" in text
    settings = [line for line in text.splitlines() if re.search(r": \S", line)][1:]
    assert len(settings) in range(10, 14)
    assert all("  # " in line for line in settings)


def test_a_starter_without_masks_takes_those_beside_or_says_where_they_go(folder):
    images = write_images(folder / "x" / "images")

    before = starter_config(images)
    write_mask(folder / "x" / "masks", [0, 2])
    after = starter_config(images)

    assert f"masks: {folder}/x/masks  # put your masks there" in before
    assert f"masks: {folder}/x/masks  # paired with the images by stem" in after
    assert loaded(folder, before).data.masks.read == "threshold"
    assert loaded(folder, after).data.masks.read == "index"


def test_a_folder_that_is_divided_into_splits_is_read_as_one(folder):
    for split in ("train", "valid"):
        write_images(folder / "set" / split / "images")
        write_mask(folder / "set" / split / "masks", [0, 2])

    text = starter_config(folder / "set")

    data = loaded(folder, text).data
    (source,), masks = data.source, data.masks
    assert (source.images, source.masks) == tuple(
        folder / "set" / "{split}" / kind for kind in ("images", "masks")
    )
    assert masks.read == "index" and "# set: 1 images" in text


@pytest.mark.parametrize(
    ("size", "expected", "tiles"),
    [
        ((2048, 1536), (0.25, 256), "6 tiles"),
        ((1024, 768), (0.5, 256), "6 tiles"),
        ((1600, 1200), (0.25, 256), "4 tiles"),
        ((640, 480), (1, 320), "6 tiles"),
        ((300, 300), (1, 256), "4 tiles"),
        ((128, 128), (1, 128), "1 tile"),
        ((250, 150), (1, 144), "4 tiles"),
        ((10, 9), (1, 16), "1 tile"),
    ],
)
def test_scale_and_tile_size_make_few_tiles_of_a_field(size, expected, tiles):
    images = write_images(Path("images"), width=size[0], height=size[1])

    text = starter_config(images)

    data = loaded(Path(), text).data
    assert (data.scale, data.tile_size) == expected
    assert data.overlap == data.tile_size // 4
    assert f"# a field of {size[0]} x {size[1]} becomes {tiles}\n" in text


def test_most_images_decide_not_the_odd_one_out(folder):
    write_images(folder / "images", ["a.png", "b.png", "c.png"], width=300, height=300)
    write_images(folder / "images", ["d.png"], width=1200, height=1200)

    data = loaded(folder, starter_config(folder / "images")).data
    assert (data.scale, data.tile_size) == (1, 256)


def test_twenty_images_spread_over_the_folder_are_looked_at(folder, caplog):
    images = write_images(folder / "images", [f"{i:02}.png" for i in range(41)])
    (images / "01.png").write_bytes(b"broken")

    text = starter_config(images)
    assert text.startswith(f"# {folder.name}: 41 images;") and not caplog.text

    (images / "03.png").write_bytes(b"broken")
    text = starter_config(images)
    assert "# a field of 402 x 301 becomes" in text
    assert caplog.messages == [
        "before dataset-tile, mend: 1 problem\n"
        f"  {images}/03.png: can't be decoded: not an image of a known kind"
    ]


def test_images_of_which_none_can_be_read_are_refused(folder):
    for name in ("a.png", "b.png"):
        write_images(folder / "images", [name])
        (folder / "images" / name).write_bytes(b"broken")

    with pytest.raises(DataError) as caught:
        starter_config(folder / "images")

    assert str(caught.value).split("\n")[0] == f"{folder}/images: no image can be read: 2 problems"
    assert caught.value.hint == "name a folder of photographs that other programs open"


def test_images_of_any_kind_are_looked_at_and_as_they_stand_upright(folder):
    turned = Image.Exif()
    turned[0x0112] = 6
    (folder / "images").mkdir()
    Image.new("RGB", (402, 301)).save(folder / "images" / "a.jpg", exif=turned)
    assert "# a field of 301 x 402 becomes" in starter_config(folder / "images")

    (folder / "images" / "a.jpg").unlink()
    group = zarr.create_group(folder / "images" / "a.zarr", zarr_format=2)
    group.create_array("0", data=np.zeros((3, 301, 402), np.uint8))
    axes = [{"name": name} for name in "cyx"]
    group.attrs["multiscales"] = [{"axes": axes, "datasets": [{"path": "0"}]}]
    assert "# a field of 402 x 301 becomes" in starter_config(folder / "images")


TWO = {"class_1": "#00ff00", "class_2": "#4a00ff"}


@pytest.mark.parametrize(
    ("values", "options", "expected"),
    [
        ([0, 255], {}, ("threshold", {"cell": "#00ff00"})),
        ([0, 1], {}, ("index", {"cell": "#00ff00"})),
        ([0, 2, 255], {}, ("index", TWO)),
        ([0, 40, 200], {}, ("colour", {"class_1": "#c8c8c8", "class_2": "#282828"})),
        ([0, 255], {"mode": "1"}, ("threshold", {"cell": "#00ff00"})),
        ([0], {}, ("threshold", {"cell": "#00ff00"})),
        ([BLACK, WHITE], {}, ("threshold", {"cell": "#00ff00"})),
        ([BLACK, RED], {}, ("threshold", {"cell": "#ff0000"})),
        ([BLACK, GREEN], {"name": "a.jpg", "quality": 60}, ("threshold", {"cell": "#00ff00"})),
        ([BLACK, (0, 90, 0), RED], {}, ("colour", {"class_1": "#ff0000", "class_2": "#005a00"})),
        (
            [BLACK, GREEN, RED],
            {"name": "a.jpg", "quality": 60, "subsampling": 0},
            ("colour", {"class_1": "#ff0000", "class_2": "#00ff00"}),
        ),
    ],
)
def test_the_masks_decide_how_they_are_read(values, options, expected):
    images = write_images(Path("images"))
    masks = write_mask(Path("masks"), values, **options)

    data = loaded(Path(), starter_config(images, masks)).data

    assert (data.masks.read, data.classes) == expected


def test_grey_and_coloured_masks_together_are_no_indices(folder):
    images = write_images(folder / "images")
    write_mask(folder / "masks", [0, 1])
    masks = write_mask(folder / "masks", [BLACK, RED], name="b.png")

    assert loaded(folder, starter_config(images, masks)).data.masks.read == "threshold"


@pytest.mark.parametrize(
    ("counts", "dtype"), [([3, 9], np.uint16), ([1, 2], np.int32), ([5, 4, 20], np.uint8),
                          ([120], np.uint8), ([130, 130], np.uint16)],
)  # fmt: skip
def test_numbers_of_objects_are_no_classes(folder, caplog, *, counts, dtype):
    names = [f"{i}.{'tif' if dtype == np.int32 else 'png'}" for i in range(len(counts))]
    images = write_images(folder / "images", names)
    for name, count in zip(names, counts, strict=True):
        write_fitting(folder / "masks", range(1, count + 1), name=name, dtype=dtype)

    text = starter_config(images)

    (source,) = loaded(folder, text).data.source
    assert source.kind == "label_images" and source.masks == folder / "masks"
    assert "next: cervseg dataset-tile" in text and not caplog.text
    assert loaded(folder, text).data.classes == {"cell": "#00ff00"}


def test_numbers_with_gaps_as_of_a_cropped_label_image_are_objects(folder):
    images = write_images(folder / "images", ["a.png", "b.png"])
    write_fitting(folder / "masks", [7, 40, 41, 90], name="a.png")
    write_fitting(folder / "masks", [3, 8, 77], name="b.png")

    assert loaded(folder, starter_config(images)).data.source[0].kind == "label_images"


@pytest.mark.parametrize("values", [[1, 2], [1, 2, 3], [1, 2, 3, 1, 2]])
def test_few_classes_of_which_an_image_may_lack_one_are_no_objects(folder, values):
    images = write_images(folder / "images", ["a.png", "b.png"])
    write_fitting(folder / "masks", values, name="a.png")
    write_fitting(folder / "masks", [1], name="b.png")

    data = loaded(folder, starter_config(images)).data

    assert (data.source[0].kind, data.masks.read) == ("folders", "index")
    assert len(data.classes) == max(values)


@pytest.mark.parametrize("white", [255, 4000, 65535])
def test_black_and_white_of_sixteen_bits_are_no_objects(folder, white):
    images = write_images(folder / "images")
    write_fitting(folder / "masks", [white] * 3, dtype=np.uint16)

    data = loaded(folder, starter_config(images)).data

    assert (data.masks.read, data.masks.threshold) == ("threshold", 128)


@pytest.mark.parametrize("ending", ["_masks", "_cp_masks"])
@pytest.mark.parametrize("place", ["images", "elsewhere"])
def test_masks_called_as_cellpose_does_are_label_images(folder, caplog, *, ending, place):
    images = write_images(folder / "images", ["a.png", "b.png"])
    for name in ("a", "b"):
        write_fitting(folder / place, [1], name=f"{name}{ending}.png", dtype=np.uint16)

    text = starter_config(images, None if place == "images" else folder / place)

    (source,) = loaded(folder, text).data.source
    assert (source.kind, source.masks) == ("label_images", folder / place)
    assert "# images: 2 images; next: cervseg dataset-tile" in text.replace(folder.name, "images")
    assert not caplog.text


@pytest.mark.parametrize("sigma", [0.6, 1, 2])
def test_a_soft_edge_between_two_colours_is_no_class(folder, sigma):
    images = write_images(folder / "images")
    pixels = np.zeros((301, 402, 3), np.uint8)
    cv2.circle(pixels, (150, 120), 70, (0, 0, 255), -1)
    cv2.circle(pixels, (160, 130), 25, RED, -1)
    (folder / "masks").mkdir()
    Image.fromarray(cv2.GaussianBlur(pixels, (0, 0), sigma)).save(folder / "masks" / "a.png")

    data = loaded(folder, starter_config(images)).data

    assert data.classes == {"class_1": "#ff0000", "class_2": "#0000ff"}
    assert data.masks.read == "colour"


def test_thin_lines_are_a_class_and_the_mixtures_of_few_soft_pixels_none(folder):
    images = write_images(folder / "images")
    pixels = np.zeros((301, 402, 3), np.uint8)
    for column in range(20, 380, 40):
        pixels[20:280, column : column + 12] = RED
        pixels[20:280, column + 12 : column + 14] = (0, 0, 255)  # two pixels wide
        pixels[20:280, column - 1] = (128, 0, 0)
    (folder / "masks").mkdir()
    Image.fromarray(pixels).save(folder / "masks" / "a.png")

    data = loaded(folder, starter_config(images)).data

    assert data.classes == {"class_1": "#ff0000", "class_2": "#0000ff"}


@pytest.mark.parametrize("background", [WHITE, (220, 200, 225)])
def test_masks_that_are_bright_all_over_are_asked_after(folder, caplog, background):
    images = write_images(folder / "images")
    pixels = np.full((301, 402, 3), background, np.uint8)
    cv2.circle(pixels, (150, 120), 50, GREEN if background != WHITE else BLACK, -1)
    (folder / "masks").mkdir()
    Image.fromarray(pixels).save(folder / "masks" / "a.png")

    starter = draw_up(images)

    assert "are the masks inverted, or photographs?" in caplog.text
    assert starter.next_command.startswith("cervseg dataset-check")


def test_a_palette_with_a_bright_first_colour_and_numbers_below_0_are_looked_at_too(folder):
    images = write_images(folder / "images", ["a.png", "b.png"])
    (folder / "masks").mkdir()
    palette = Image.new("P", (402, 301))
    palette.putpalette([0, 255, 0])
    palette.save(folder / "masks" / "a.png")
    Image.fromarray(np.full((301, 402), -1, np.int32)).save(folder / "masks" / "b.tif")

    assert loaded(folder, starter_config(images)).data.masks.read == "threshold"


def test_classes_of_like_colours_stay_apart(folder):
    images = write_images(folder / "images")
    write_fitting(folder / "masks", [RED, (220, 20, 20)])

    data = loaded(folder, starter_config(images)).data

    assert data.classes == {"class_1": "#ff0000", "class_2": "#dc1414"}


@pytest.mark.parametrize(("colour", "threshold"), [((0, 100, 0), 50), ((0, 0, 60), 30)])
def test_masks_painted_darkly_have_a_threshold_that_sees_them(folder, caplog, *, colour, threshold):
    images = write_images(folder / "images")
    write_fitting(folder / "masks", [colour])

    text = starter_config(images)

    data = loaded(folder, text).data
    assert (data.masks.read, data.masks.threshold) == ("threshold", threshold)
    assert f"# foreground where the largest channel is {threshold} or more\n" in text
    assert len(data.classes) == 1 and not caplog.text


def test_what_dataset_tile_would_refuse_is_told_at_once(folder, caplog):
    images = write_images(folder / "images", ["a.png", "b.png", "c.png"])
    write_fitting(folder / "masks", [255], name="a.png")
    write_mask(folder / "masks", [255], name="b.png")

    starter = draw_up(images, output=Path("my x.yaml"))

    assert starter.next_command == "cervseg dataset-check 'my x.yaml'"
    assert f"; next: {starter.next_command}\n" in starter.text
    assert caplog.messages == [
        "before dataset-tile, mend: 2 problems\n"
        f"  {images}/c.png: no mask of this name\n"
        f"  {folder}/masks/b.png: 80 x 60 pixels, its image has 402 x 301"
    ]


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_masks_painted_on_a_copy_of_the_photograph_are_told(folder, caplog, name):
    noise = np.random.default_rng(0).normal(0, 6, (301, 402, 1))
    pixels = np.full((301, 402, 3), (205, 160, 215))
    pixels[:90] = (235, 225, 240)
    pixels = np.clip(pixels + noise, 0, 255).astype(np.uint8)
    write_images(folder / "images")
    (folder / "masks").mkdir()
    cv2.circle(pixels, (150, 120), 50, GREEN, -1)
    cv2.circle(pixels, (300, 200), 50, RED, -1)
    Image.fromarray(pixels).save(folder / "masks" / name)

    starter_config(folder / "images")

    assert "a photograph, or a class that is not named?" in caplog.text


def test_a_few_stray_pixels_are_no_class(folder):
    images = write_images(folder / "images")
    masks = write_mask(folder / "masks", [GREEN] * 5 + [BLACK])
    pixels = np.asarray(Image.open(masks / "a.png")).copy()
    pixels[0, :7] = RED
    Image.fromarray(pixels).save(masks / "a.png")

    assert loaded(folder, starter_config(images, masks)).data.classes == {"cell": "#00ff00"}


def test_thirty_classes_have_thirty_colours(folder):
    images = write_images(folder / "images")
    masks = write_mask(folder / "masks", [0, 30])

    assert len(loaded(folder, starter_config(images, masks)).data.classes) == 30


@pytest.mark.parametrize(
    ("names", "proposal"),
    [
        (["149-12-1", "149-12-2", "150-3-1"], r"^(\d+)-"),
        (["1001_0x1", "1001_1x1", "1002_0x1"], r"^(.+)_\d+x\d+$"),
        (["a_1_1", "a_1_2", "a_2_1"], r"^(.+)[-_]\d+$"),
        (["Metaplastic_254", "Metaplastic_255"], "^(slide[0-9]+)"),
    ],
)
def test_groups_are_proposed_from_the_names_but_not_decided(folder, names, proposal):
    images = write_images(folder / "images", [f"{name}.png" for name in names])

    text = starter_config(images)

    assert f"  # group_pattern: '{proposal}'" in text
    assert loaded(folder, text).data.group_pattern is None


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("Herlev, severe/train/images", "Herlev-severe"),
        ("(smears)", "smears"),
        ("größe #2/images", "gr-e-2"),
    ],
)
def test_outputs_are_named_after_the_folder(folder, path, name):
    images = write_images(folder / path)

    config = loaded(folder, starter_config(images))

    assert str(config.data.output) == f"datasets/{name}"
    assert config.data.source[0].images == images


def test_folders_without_images_are_refused(folder):
    images = write_images(folder / "images")
    (folder / "empty").mkdir()

    with pytest.raises(DataError, match=r"/empty: no images$") as caught:
        starter_config(folder / "empty")
    assert caught.value.hint == "png, jpg, tif, bmp, webp, slides and zarr are read"
    with pytest.raises(DataError, match=r"/empty: no masks$") as caught:
        starter_config(images, folder / "empty")
    assert caught.value.hint == "leave MASKS out if there are none yet"
    with pytest.raises(DataError, match=r"/nowhere: no such folder$"):
        starter_config(folder / "nowhere")

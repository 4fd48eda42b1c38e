"""Old configs become ours, or are refused with the line; nothing in them runs."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cervseg.config.augmentation import TRANSFORMS, AugmentationConfig
from cervseg.config.legacy import import_legacy
from cervseg.config.legacy.keys import NETWORKS
from cervseg.config.loader import load_config
from cervseg.data.waves import elastic_deviation
from cervseg.errors import CervsegError, ConfigError

SHARED = Path(__file__).parents[3] / "shared"

SMALL = """\
[model]
model = "TensorflowUNet"
image_width = 64
image_height = 64
image_channels = 3
num_classes = 1
base_filters = 4
num_layers = 3
dropout_rate = 0.1
learning_rate = 0.002
loss = "dice_loss"
metrics = ["dice_coef", "iou_coef"]
[train]
epochs = 7
batch_size = 3
"""

EVERY_KEY = """\
; every key that the reference reads, and those it ships but does not read
[model]
model = "TensorflowUNet"
generator = True
image_width = 256
image_height = 256
image_channels = 3
num_classes = 1
base_filters = 8
num_layers = 6
base_kernels = (7, 7)
dilation = (3, 3)
dropout_rate = 0.06
dropout_seed_fixing = True
normalization = True
input_normalize = True
activation = "mish"
final_activation = "sigmoid"
optimizer = "AdamW"
learning_rate = 0.0003
clipvalue = 0.4
loss = "bce_iou_loss"
metrics = ["binary_accuracy", "dice_coef", "iou_coef", "sensitivity", "specificity"]
show_summary = True
evaluation = "eval"
efficientnet = "B3"
filters = [16, 32]
max_filter = 64
base_ksize = (3, 3)
filter_num_begin = 64
depth = 4
stack_num_down = 2
stack_num_up = 2
patch_size = (4, 4)
num_heads = [4, 8, 8, 8]
window_size = [4, 2, 2, 2]
num_mlp = 512
shift_window = True
filter_num = [64, 128]
embed_dim = 768
num_transformer = 12
mlp_activation = 'GELU'
batch_norm = False
pool = True
backbone = None
weights = 'imagenet'
freeze_backbone = True
freeze_batch_norm = True
diation = (1, 1)
image_depth = 32
self.activation = "mish"
dice_loss = True

[train]
epochs = 60
batch_size = 2
steps_per_epoch = 300
validation_steps = 50
patience = 12
metrics = ["dice_coef", "val_dice_coef"]
model_dir = "./models"
eval_dir = "./eval"
best_model_file = "best_model.h5"
save_model_file = "best_model.h5"
create_backup = False
create_backups = True
save_weights_only = True
learning_rate_reducer = True
reducer_factor = 0.4
reducer_patience = 3
image_datapath = "../data/Cells/train/images/"
mask_datapath = "../data/Cells/train/masks/"
epoch_change_infer = True
epoch_change_infer_dir = "./epoch_change_infer"
epoch_change_tiledinfer = True
epoch_change_tiledinfer_dir = "./epoch_change_tiledinfer"
num_infer_images = 2
dataset_splitter = True
seedreset_callback = True
show_history = False

[eval]
image_datapath = "../data/Cells/valid/images/"
mask_datapath = "../data/Cells/valid/masks/"
batch_size = 6

[test]
image_datapath = "../data/Cells/test/images/"
mask_datapath = "../data/Cells/test/masks/"

[infer]
images_dir = "./mini_test/images"
output_dir = "./mini_test_output"
merged_dir = "./mini_test_output_merged"
algorithm = "cv2.THRESH_OTSU"
threshold = 127
mask_colorize = True
colorized_dir = "./colorized"
colorized_output_format = "rgb"
blur = True
ksize = (5, 5)
binarize = True

[tiledinfer]
overlapping = 32
split_size = 256
bitwise_blending = True
binarize = True
threshold = 60
algorithm = None
background = 0
images_dir = "./mini_test/images"
output_dir = "./tiled_output"
merged_dir = "./tiled_output_merged"
mask_colorize = True

[segmentation]
colorize = True
black = "navy"
white = "lime"
blursize = None

[mask]
blur = True
blur_size = (3, 3)
binarize = True
threshold = 80
algorithm = "cv2.THRESH_TRIANGLE"
grayscaling = (0.3, 0.6, 0.1)
mask_colors = [(0, 255, 0)]
mask_channels = 1
color_order = "rgb"
classes = ["cell"]
normalized_threshold = 0.15
sharpening = False

[dataset]
datasetclass = "ImageMaskDataset"
resize_interpolation = "cv2.INTER_NEAREST"
image_normalize = False
color_order = "bgr"
rgb_mask = False
mask_format = "gray"
debug = False
image_format = "rgb"
input_normalize = True
sharpening = False

[generator]
debug = False
augmentation = True
verbose = False
generated_images_dir = "./generated_images_dir"
generated_masks_dir = "./generated_masks_dir"

[augmentor]
rotation = True
angles = [30, 330,]
shrinks = [0.5, 0.9]
shears = [0.1]
hflip = True
vflip = False
deformation = True
distortion = True
sharpening = True
brightening = True
barrdistortion = True
pincdistortion = True
transformer = True

[deformation]
alpah = 650
sigmoid = 8
sigmoids = [8.0, 10.0]

[distortion]
gaussian_filter_rsigma = 40
gaussian_filter_sigma = 0.5
distortions = [0.02, 0.03]

[barrdistortion]
radius = 0.3
amount = 0.3
centers = [(0.3, 0.3), (0.7, 0.7)]

[pincdistortion]
radius = 0.3
amount = -0.3
centers = [(0.5, 0.5)]

[sharpening]
k = 1.0

[brightening]
alpha = 1.2
beta = 10

[inspect]
model_graph = "./model.png"
summary = "./summary.txt"

[image]
color_converter = "cv2.COLOR_BGR2HSV_FULL"
gamma = 1.5
sharpening = 2
"""


def changed(text, **keys):
    """The text with other values; `train__epochs=3`, None removes the key."""
    for name, value in keys.items():
        section, _, key = name.rpartition("__")
        line = "" if value is None else f"{key} = {value}\n"
        if section and f"[{section}]" not in text:
            text += f"[{section}]\n"
        pattern = rf"^{key} = .*\n"
        if section:
            head, mark, tail = text.partition(f"[{section}]\n")
            mine, bracket, rest = tail.partition("\n[")
            mine = re.sub(pattern, "", f"{mine}\n", flags=re.MULTILINE) + line
            text = f"{head}{mark}{mine}{bracket}{rest}"
        else:
            text = re.sub(pattern, lambda _, line=line: line, text, flags=re.MULTILINE)
    return text


def imported(text, **keys):
    return import_legacy(changed(text, **keys), "OLD.config")


def refused(text, **keys):
    with pytest.raises(ConfigError) as caught:
        imported(text, **keys)
    return caught.value


def line_of(text, start):
    return next(i for i, line in enumerate(text.splitlines(), start=1) if line.startswith(start))


# --- what a whole file becomes


def test_every_key_at_once_imports_and_each_is_told_of():
    result = imported(EVERY_KEY)

    section = ""
    for line in EVERY_KEY.splitlines():
        if line.startswith("["):
            section = line
        elif " = " in line:
            name = f"{section} {line.split(' = ')[0]}"
            assert name in result.text, name


def test_the_yaml_loads_back_as_the_same_config(tmp_path):
    result = imported(EVERY_KEY)
    path = tmp_path / "new.yaml"
    path.write_text(result.text, encoding="utf-8")

    assert load_config(path).config == result.config


def test_values_take_their_place_among_ours():
    config = imported(EVERY_KEY).config

    model, train = config.model, config.train
    assert (model.architecture, model.base_filters, model.num_layers) == ("unet", 8, 6)
    assert (model.base_kernels, model.dilation, model.dropout_seed) == ((7, 7), (3, 3), 137)
    assert (model.activation, model.normalization, model.rescaling) == ("mish", "batch", "unit")
    assert (train.optimizer, train.learning_rate, train.clip_value) == ("adamw", 3e-4, 0.4)
    assert (train.schedule, train.reducer.factor, train.reducer.patience) == ("plateau", 0.4, 3)
    assert (train.steps_per_epoch, train.patience, train.plot_metrics) == (300, 12, ("dice",))
    assert (train.previews.num_infer_images, str(train.previews.images)) == (
        2,
        "mini_test/images",
    )
    assert str(config.data.source[0].images) == "../data/Cells/{split}/images"
    assert config.data.split.kind == "folders"
    assert (config.data.output.name, config.train.output.name) == ("Cells", "Cells")
    assert (config.data.tile_size, config.data.classes) == (256, {"cell": "#00ff00"})
    assert config.data.preprocess.color_space == "hsv"
    assert (config.data.preprocess.gamma, config.data.preprocess.sharpen) == (1.5, 2.0)
    assert (config.infer.blur, config.infer.colorize) == (1.1, {"background": "#000080"})
    assert (config.tiled_infer.overlap, config.tiled_infer.combine) == (64, "minimum")
    assert config.tiled_infer.threshold == pytest.approx(60 / 255, abs=1e-4)
    assert config.tiled_infer.batch_size == 6


def test_every_way_to_augment_takes_its_place_among_ours():
    result = imported(EVERY_KEY)

    new = result.config.train.augmentation
    assert (new.hflip.probability, new.vflip.probability) == (0.5, 0.0)
    assert (new.rotation.angles, new.rotation.probability) == ((30.0, 330.0), 0.67)
    assert (new.scale.range, new.shear.range) == ((0.5, 1.0), 5.7)
    assert (new.elastic.alpha, new.elastic.sigma) == (56.1, 8.0)
    assert (new.distortion.strength, new.distortion.sigma) == (0.03, 40.0)
    assert (new.barrel.radius, new.barrel.amount) == (0.3, 0.3)
    assert new.barrel.centers == ((0.3, 0.3), (0.7, 0.7))
    assert (new.pincushion.radius, new.pincushion.amount) == (0.3, 0.3)
    assert (new.sharpen.k, new.brightness.alpha, new.brightness.beta) == (1.0, 1.2, 10.0)
    on = {name for name in TRANSFORMS if getattr(new, name).probability > 0}
    assert on == {"hflip", "rotation", "scale", "shear", "elastic", "distortion", "barrel",
                  "pincushion", "sharpen", "brightness"}  # fmt: skip
    assert "not yet supported" not in result.text.partition("\n#")[0]
    assert not any("distortion" in notice for notice in result.notices)


def test_what_an_old_file_leaves_out_of_the_augmentation_is_as_the_reference_had_it():
    new = imported(SMALL, model__generator=True).config.train.augmentation

    assert new.rotation.angles == (90.0, 180.0, 270.0)
    assert (new.scale.range, new.hflip.probability) == ((0.8, 1.0), 0.5)
    on = {name for name in TRANSFORMS if getattr(new, name).probability > 0}
    assert on == {"hflip", "vflip", "rotation", "scale"}


def test_a_deformation_shifts_as_far_as_the_old_one_was_measured_to():
    new = imported(SMALL, model__generator=True, augmentor__deformation=True).config

    elastic = new.train.augmentation.elastic
    # Measured there for 1300 and 8: 1.8 pixels in the mean, which is 0.8 deviations.
    assert 0.8 * elastic_deviation(elastic.alpha, elastic.sigma) == pytest.approx(1.8, abs=0.05)


def test_the_centre_of_a_lens_has_its_row_first():
    keys = {"barrdistortion__centers": "[(0.2, 0.7)]", "augmentor__barrdistortion": True}
    config = imported(SMALL, model__generator=True, **keys).config

    assert config.train.augmentation.barrel.centers == ((0.7, 0.2),)


def test_a_barrel_with_an_amount_below_zero_was_a_pincushion():
    keys = {"barrdistortion__amount": "-0.4", "augmentor__barrdistortion": True}
    new = imported(SMALL, model__generator=True, **keys).config.train.augmentation

    assert (new.barrel.probability, new.pincushion.amount) == (0.0, 0.4)


def test_a_darkening_factor_is_the_same_range_as_its_inverse():
    keys = {"brightening__alpha": "0.5", "augmentor__brightening": True}
    new = imported(SMALL, model__generator=True, **keys).config.train.augmentation

    assert new.brightness.alpha == 2.0


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"augmentor__deformation": True, "deformation__sigmoids": "[0]"},
         "[deformation] sigmoids: must be above 0"),
        ({"augmentor__brightening": True, "brightening__alpha": "0"},
         "[brightening] alpha: must be above 0"),
        ({"augmentor__barrdistortion": True, "barrdistortion__centers": "[(0.5, 2)]"},
         "[barrdistortion] centers: must be a list with each entry two numbers from 0 to 1"),
        ({"augmentor__barrdistortion": True, "barrdistortion__amount": "3"},
         "'train.augmentation.barrel.amount' must be at most 0.9, not 3.0"),
        ({"augmentor__distortion": True, "distortion__distortions": "[0.5]"},
         "'train.augmentation.distortion.strength' must be at most 0.25, not 0.5"),
    ],
)  # fmt: skip
def test_a_strength_that_means_nothing_is_refused_with_its_line(keys, message):
    text = changed(SMALL, model__generator=True, **keys)

    assert message in str(refused(text))
    assert str(refused(text)).startswith("OLD.config:")


def test_what_is_not_given_is_as_the_reference_has_it_not_as_we_do():
    config = imported(SMALL).config

    assert config.model.normalization == "none"
    assert config.model.rescaling == "unit"
    assert (config.train.clip_value, config.train.schedule) == (0.2, "flat")
    assert config.train.previews.num_infer_images == 0
    assert (config.tiled_infer.overlap, config.tiled_infer.combine) == (0, "minimum")
    assert config.data.classes == {"cell": "#ffffff"}


@pytest.mark.parametrize("revision", ["06/17", "06/19"])
def test_both_revisions_of_the_published_experiment_import(revision):
    page = SHARED / "reference" / "seed_readme.txt"
    if not page.is_file():
        pytest.skip("the published material is not beside the repository")
    if revision == "06/17":
        text = next(t for t in page.read_text().split("<pre>") if "[augmentor]" in t)
        text = text.partition("</pre>")[0]
    else:
        text = (SHARED / "data" / "reference-unet" / "train_eval_infer.config").read_text()

    result = imported(text)

    config = result.config
    assert "  loss: bce_dice  #" in result.text
    assert (config.train.epochs, config.train.batch_size) == (100, 2)
    assert config.model.rescaling == "none"
    late = revision == "06/19"
    assert config.train.steps_per_epoch == (400 if late else 200)
    assert config.train.clip_value == (0.3 if late else 0.5)
    assert config.tiled_infer.combine == ("tiled" if late else "minimum")
    assert any("sigmoids" in notice for notice in result.notices) == late


# --- nothing is executed, nothing is guessed


@pytest.mark.parametrize("where", ["train__epochs", "train__save_model_file", "augmentor__angles"])
def test_code_is_refused_with_its_line_and_not_run(where, tmp_path):
    victim = tmp_path / "ran"
    text = changed(EVERY_KEY, **{where: f"__import__('os').system('touch {victim}')"})

    error = refused(text)

    line = next(i for i, words in enumerate(text.splitlines(), 1) if "__import__" in words)
    assert str(error).startswith(f"OLD.config:{line}: [")
    assert "can't read" in str(error)
    assert not victim.exists()


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("10o", "only numbers"),
        ("0,001", "only numbers"),
        ("Truw", "did you mean True?"),
        ("cv2.THRESH_OTSU", 'write it in quotes: "cv2.THRESH_OTSU"'),
        ("[8.0 10.0]", "write commas between the numbers"),
        ("", "only numbers"),
        ("(" * 5000, "only numbers"),
        ("-" * 1900 + "1", "only numbers"),
    ],
)
def test_a_value_that_is_no_literal_is_an_error_not_a_default(value, hint):
    text = changed(SMALL, train__epochs=value)

    error = refused(text)

    assert str(error).startswith(f"OLD.config:{line_of(text, 'epochs')}: [train] epochs: ")
    assert hint in error.hint


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("train__epochs", "'7'", "[train] epochs: must be a whole number"),
        ("train__epochs", "True", "[train] epochs: must be a whole number"),
        ("train__epochs", "10**9", "[train] epochs: can't read"),
        ("model__learning_rate", "[0.1]", "[model] learning_rate: must be a number"),
        ("model__learning_rate", "1e999", "[model] learning_rate: must be a number below 10^10"),
        ("model__generator", "1", "[model] generator: must be True or False"),
        ("model__loss", "'bce_dice_los'", "[model] loss: must be 'bce_dice_loss'"),
        ("model__metrics", "'dice_coef'", "[model] metrics: must be a list"),
        ("model__optimizer", "'SGD'", "[model] optimizer: must be one of Adam, AdamW"),
        ("model__base_kernels", "3", "[model] base_kernels: must be two whole numbers"),
        ("model__base_kernels", "(1, 1)", "[model] base_kernels: the reference has 3 below"),
        ("model__base_kernels", "(3, 5)", "'model.base_kernels': two equal numbers"),
        ("model__num_classes", "900", "[model] num_classes: must be from 1 to 30"),
        ("model__image_channels", "4", "'model.input_channels' must be"),
        ("model__final_activation", "'softmax'", "a softmax of one channel is 1 everywhere"),
        ("segmentation__white", "'greenish'", "[segmentation] white: must be a colour"),
    ],
)
def test_a_value_of_a_wrong_kind_or_out_of_bounds_is_an_error(key, value, message):
    text = changed(SMALL, **{key: value})

    error = refused(text)

    line = line_of(text, f"{key.partition('__')[2]} = ")
    assert str(error).startswith(f"OLD.config:{line}: ")
    assert message in str(error)


def test_all_problems_are_told_at_once_in_the_order_of_the_file():
    error = refused(SMALL, base_filters="4o", loss="'dyce_loss'", epochs="None")

    lines = str(error).splitlines()
    assert len(lines) == 3
    assert "base_filters" in lines[0]
    assert "loss" in lines[1]
    assert "epochs" in lines[2]


def test_an_option_that_stands_twice_is_an_error_with_both_lines():
    text = SMALL + "epochs = 9\n"

    error = refused(text)

    assert str(error) == (
        f"OLD.config:{len(text.splitlines())}: [train] epochs stands twice, "
        f"first on line {line_of(text, 'epochs')}"
    )
    assert "reads nothing at all" in error.hint


def test_a_section_that_stands_twice_is_an_error_with_both_lines():
    error = refused(SMALL + "[model]\n")

    assert "[model] stands twice, first on line 1" in str(error)


def test_a_missing_key_without_a_default_is_an_error_that_names_a_near_one():
    error = refused(SMALL.replace("base_filters", "base_filter"))

    assert str(error) == (
        "OLD.config: [model] base_filters: missing, and the reference has no default"
    )
    assert error.hint == "is 'base_filter' on line 7 meant?"


@pytest.mark.parametrize("text", ["", "just words", "epochs = 3", "[train]\nepochs = 3\n"])
def test_what_is_no_config_of_the_reference_is_refused(text):
    assert "no [model] section" in str(refused(text))


def test_a_list_without_commas_falls_back_where_the_reference_did():
    result = imported(
        SMALL, model__generator=True, augmentor__deformation=True, deformation__sigmoids="[8.0 9]"
    )

    assert result.config.train.augmentation.elastic.sigma == 8.0
    assert any("the reference took [8]" in notice for notice in result.notices)
    assert "no list there, so [8]" in result.text


# --- keys that are not carried over


@pytest.mark.parametrize(
    ("section", "line", "why"),
    [
        ("train", 'save_model_file = "best.h5"', "no code of the reference reads it"),
        ("train", "epoch_chnge_infer = True", "is [train] epoch_change_infer meant?"),
        ("train", "alpah = 1300", "is [deformation] alpah meant?"),
        ("model", "zzz = 1", "no code of the reference reads it"),
        ("deformation", "alpha = 1300", "no code of the reference reads it"),
        ("TRANSORMER", "x = 1", "no code of the reference reads it"),
        ("Train", "epochs = 3", "is [train] meant?"),
        ("augmentor", "transformer = True", "the key became deformation"),
        ("augmentor", "distortion = False", "off"),
        ("distortion", "distortions = [0.1]", "ignored: [augmentor] distortion is off"),
        ("distortion", "gaussian_filter_sigma = 0.5", "it had no effect"),
        ("train", "validation_steps = 80", "ignored: validation is the whole split"),
    ],
)
def test_a_key_that_is_not_carried_over_becomes_a_comment_that_says_why(section, line, why):
    key, _, value = line.partition(" = ")

    result = imported(SMALL, model__generator="True", **{f"{section}__{key}": value})

    (told,) = [row for row in result.text.splitlines() if f"[{section}] {key} =" in row]
    assert told.startswith("#   line ")
    assert value in told
    assert why in told


def test_a_comment_never_leaves_its_line():
    result = imported(SMALL, train__note='["a",\n   "b\x85c\u2028d"]')

    path_free = [line for line in result.text.splitlines() if "note" in line]
    assert len(path_free) == 1
    assert "\\x85" in path_free[0]


def test_keys_of_another_network_are_said_to_be_unread():
    text = imported(EVERY_KEY).text

    assert "[model] embed_dim = 768: ignored: TensorflowUNet does not read it" in text


# --- networks

OWN_KEYS = {
    "TensorflowSwinUNet": {"model__window_size": "[4, 2, 2, 2]", "model__shift_window": "True"}
}


@pytest.mark.parametrize(("name", "architecture"), NETWORKS.items())
def test_each_network_of_the_family_imports(name, architecture):
    result = imported(SMALL, model__model=f'"{name}"', **OWN_KEYS.get(name, {}))

    assert result.config.model.architecture == architecture


def test_options_of_transformers_keep_their_names():
    swin = imported(SMALL, model__model='"TensorflowSwinUNet"', model__depth=3,
                    model__num_heads="[2, 4, 8]", model__window_size="[4, 2, 2]",
                    model__shift_window="False", model__filter_num_begin=32)  # fmt: skip
    trans = imported(SMALL, model__model='"TensorflowTransUNet"', model__backbone='"ResNet50V2"',
                     model__weights="None", model__freeze_backbone="False",
                     model__batch_norm="True", model__activation='"GELU"')  # fmt: skip

    model = swin.config.model
    assert (model.depth, model.num_heads, model.window_size) == (3, (2, 4, 8), (4, 2, 2))
    assert (model.filter_num_begin, model.shift_window, model.rescaling) == (32, False, "none")
    model = trans.config.model
    assert (model.encoder, model.encoder_weights, model.freeze_encoder) == (
        "resnet50_v2",
        "none",
        False,
    )
    assert (model.normalization, model.activation) == ("batch", "gelu")


def test_the_b7_network_freezes_all_but_the_last_61_layers():
    model = imported(SMALL, model__model='"TensorflowEfficientNetB7UNet"').config.model

    assert (model.encoder, model.freeze_encoder) == ("efficientnet_b7", 61)


def test_the_filters_of_sharp_unet_become_levels():
    model = imported(SMALL, model__model='"TensorflowSharpUNet"', model__filters="[8, 16]",
                     model__max_filter=32).config.model  # fmt: skip

    assert (model.base_filters, model.num_layers) == (8, 3)


def test_the_three_dimensional_network_is_refused():
    assert "the 3-D network is not ported" in str(refused(SMALL, model__model='"Tensorflow3DUNet"'))


def test_an_unknown_network_gets_a_suggestion():
    assert refused(SMALL, model__model='"TensorflowUnet"').hint == "did you mean 'TensorflowUNet'?"


# --- classes, sizes, training


def test_several_classes_stay_independent_sigmoids():
    config = imported(SMALL, model__num_classes=3).config

    assert list(config.data.classes) == ["class_1", "class_2", "class_3"]
    assert config.model.final_activation == "sigmoid"


def test_a_softmax_counts_its_first_channel_as_background():
    result = imported(SMALL, model__num_classes=3, model__final_activation='"softmax"')

    assert list(result.config.data.classes) == ["class_1", "class_2"]
    assert any("background" in notice for notice in result.notices)


def test_colours_of_masks_are_turned_from_bgr():
    config = imported(
        SMALL, model__num_classes=2, mask__mask_colors="[(255, 0, 0), (0, 0, 255)]"
    ).config

    assert config.data.classes == {"class_1": "#0000ff", "class_2": "#ff0000"}


def test_a_size_that_is_not_square_takes_its_larger_side_with_a_notice():
    result = imported(SMALL, model__image_height=96)

    assert result.config.data.tile_size == 96
    assert any("64 x 96 is not square" in notice for notice in result.notices)


@pytest.mark.parametrize(
    ("patience", "given", "expected"), [(10, None, 5), (1, None, 5), (10, 3, 3), (10, 0, 1)]
)
def test_the_reducer_waits_as_the_reference_does(patience, given, expected):
    keys = {} if given is None else {"train__reducer_patience": given}

    train = imported(
        SMALL, train__patience=patience, train__learning_rate_reducer=True, **keys
    ).config.train

    assert train.reducer.patience == expected
    assert train.reducer.factor == 0.1


def test_a_patience_below_one_is_off():
    assert imported(SMALL, train__patience=-1).config.train.patience == 0


def test_without_the_generator_nothing_is_augmented_and_an_epoch_is_one_pass():
    train = imported(EVERY_KEY, model__generator="False").config.train

    assert train.steps_per_epoch is None
    assert train.augmentation == AugmentationConfig(preset="none")


def test_metrics_that_the_reference_drops_are_dropped_with_a_notice():
    result = imported(SMALL, model__metrics='["dice_coef", "jacard"]')

    assert result.config.train.metrics == ("dice",)
    assert any("jacard" in notice for notice in result.notices)


@pytest.mark.parametrize(("margin", "overlap"), [(0, 0), (8, 16), (16, 32), (20, 32), (1000, 32)])
def test_a_margin_on_each_side_is_half_of_what_neighbours_share(margin, overlap):
    assert imported(SMALL, tiledinfer__overlapping=margin).config.tiled_infer.overlap == overlap


def test_a_threshold_found_by_an_algorithm_keeps_its_name():
    keys = {"tiledinfer__binarize": True, "tiledinfer__algorithm": '"cv2.THRESH_OTSU"'}

    assert imported(SMALL, **keys).config.tiled_infer.threshold == "otsu"


# --- data


def test_a_threshold_of_masks_lies_below_what_is_foreground():
    on = {"mask__binarize": True, "mask__threshold": 80}

    assert imported(SMALL, **on).config.data.masks.threshold == 81  # above 80 there
    assert imported(SMALL, mask__threshold=80).config.data.masks.threshold == 128  # was dead
    found = imported(SMALL, **on, mask__algorithm='"cv2.THRESH_TRIANGLE"').config.data.masks
    assert found.threshold == "triangle"


def test_masks_may_be_blurred_and_read_by_grey_levels():
    blurred = imported(SMALL, mask__blur=True, mask__blur_size="(3, 3)").config.data.masks
    assert blurred.blur == 0.8

    levels = "(0.3, 0.6, 0.1)"
    one = imported(SMALL, mask__grayscaling=levels).config.data.masks
    assert (one.read, one.luma) == ("auto", (0.299, 0.587, 0.114))
    colours = "[(0, 255, 0), (255, 0, 0)]"
    several = imported(SMALL, mask__grayscaling=levels, mask__mask_colors=colours,
                       model__num_classes=2).config.data.masks  # fmt: skip
    assert (several.read, several.luma) == ("luma", (0.3, 0.6, 0.1))


def with_folders(train, valid, test):
    text = SMALL
    for section, folder in (("train", train), ("eval", valid), ("test", test)):
        text = changed(text, **{f"{section}__image_datapath": f'"{folder}/images"',
                                f"{section}__mask_datapath": f'"{folder}/masks"'})  # fmt: skip
    return text


@pytest.mark.parametrize("valid", ["valid", "validation", "val"])
def test_folders_that_differ_in_the_split_alone_become_one_source(valid):
    result = imported(with_folders("d/Cells/train", f"d/Cells/{valid}", "d/Cells/test"))

    (source,) = result.config.data.source
    assert str(source.masks) == "d/Cells/{split}/masks"


def test_a_test_folder_elsewhere_is_told_with_the_command_that_scores_it():
    text = imported(with_folders("d/train", "d/valid", "mini_test")).text

    assert "cervseg evaluate --images mini_test/images --masks mini_test/masks" in text


def test_folders_without_a_split_become_a_list():
    result = imported(with_folders("first", "second", "first"))

    assert [str(s.images) for s in result.config.data.source] == ["first/images", "second/images"]
    assert result.config.data.split.kind == "fractions"


@pytest.mark.parametrize(
    ("keys", "order"),
    [
        ({}, "BGR"),
        ({"dataset__datasetclass": '"BaseImageMaskDataset"'}, "RGB"),
        ({"dataset__datasetclass": '"RGB2GrayscaleImageMaskDataset"',
          "dataset__color_order": '"rgb"'}, "RGB"),
        ({"dataset__color_order": '"rgb"'}, "BGR"),
        ({"dataset__datasetclass": '"BaseImageMaskDataset"', "model__generator": "True"}, "BGR"),
        ({"image__color_converter": '"cv2.COLOR_BGR2HSV_FULL"'}, "RGB"),
    ],
)  # fmt: skip
def test_the_order_of_colours_is_that_of_the_old_training(keys, order):
    assert imported(SMALL, **keys).color_order == order


def test_an_inexact_colour_space_stands_in_the_way_of_weights():
    result = imported(SMALL, image__color_converter='"cv2.COLOR_BGR2Luv"')

    assert result.obstacles == ("cv2.COLOR_BGR2Luv is not supported",)


# --- any text at all


@given(st.text())
def test_any_text_is_refused_or_imported(text):
    survive(text)


WORDS = sorted({line.split(" = ")[0] for line in EVERY_KEY.splitlines() if " = " in line})
SECTIONS = sorted({line for line in EVERY_KEY.splitlines() if line.startswith("[")})
VALUES = st.one_of(
    st.text(max_size=20),
    st.integers().map(str),
    st.floats().map(repr),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(
            max_size=4),
        lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3), inner, max_size=2),
        max_leaves=6,
    ).map(repr),
)  # fmt: skip


@given(st.lists(st.one_of(
    st.sampled_from(SECTIONS), st.tuples(st.sampled_from(WORDS), VALUES).map(" = ".join),
    st.text(max_size=20)), max_size=30), st.booleans())  # fmt: skip
def test_any_file_of_known_words_is_refused_or_imported(lines, whole):
    survive((SMALL if whole else "") + "\n".join(lines))


@settings(max_examples=30)
@given(st.sampled_from(EVERY_KEY.splitlines()), VALUES)
def test_any_value_in_a_good_file_is_refused_or_imported(line, value):
    key, equals, _ = line.partition(" = ")
    survive(EVERY_KEY.replace(f"\n{line}\n", f"\n{key} = {value}\n") if equals else EVERY_KEY)


def survive(text):
    try:
        result = import_legacy(text, "OLD.config")
    except CervsegError as error:
        assert str(error)
        return
    for line in result.text.splitlines():
        assert line.isprintable()

"""Loading a config: over 400 lines, since the words of every error stand here."""

import re
from pathlib import Path

import pytest

from cervseg.config import Config
from cervseg.config.data import FolderSplit, FractionSplit
from cervseg.config.keys import all_keys
from cervseg.config.loader import (
    as_config,
    config_differences,
    dump_config,
    leaves,
    load_config,
)
from cervseg.errors import ConfigError


def choices(section):
    """The kinds of a section, as an error lists them."""
    kinds = (kind for key in all_keys() if key.section == section for kind in key.kinds)
    return ", ".join(repr(kind) for kind in dict.fromkeys(kinds))


LOSSES, NETWORKS = choices("train.loss"), choices("model")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Work in an empty folder that has `configs/`."""
    monkeypatch.chdir(tmp_path)
    Path("configs").mkdir()
    return tmp_path


def write(text, name="configs/x.yaml"):
    Path(name).write_text(text, encoding="utf-8")
    return name


def refusal(path=None, overrides=()):
    """The message and the hint with which a config is refused."""
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    assert caught.value.exit_code == 2
    return str(caught.value), caught.value.hint


# --- what is read


def test_without_a_file_all_values_are_defaults():
    loaded = load_config()

    assert loaded.config == Config()
    assert loaded.path is None
    assert set(loaded.origins.values()) == {"default"}


@pytest.mark.parametrize("text", ["", "# nothing\n", "train:\n  # epochs: 3\ndata:\n  split:\n"])
def test_an_empty_file_or_section_says_nothing(text):
    assert load_config(write(text)).config == Config()


def test_every_leaf_knows_where_its_value_came_from():
    path = write(
        "data:\n  source:\n    images: a\n    masks: b\n  classes:\n    cell: '#ff0000'\n"
        "train:\n  metrics:\n    - dice\n  epochs: 3\n"
    )

    loaded = load_config(path, ["train.epochs=4", "model.base_kernels=[5, 5]", "infer.model=run"])

    told = {key: origin for key, origin in loaded.origins.items() if origin != "default"}
    assert told == {
        "data.source.0.images": "configs/x.yaml:3",
        "data.source.0.masks": "configs/x.yaml:4",
        "data.classes.cell": "configs/x.yaml:6",
        "model.base_kernels": "--set",
        "train.metrics": "configs/x.yaml:8",
        "train.epochs": "--set",
        "infer.model": "--set",
    }
    assert list(loaded.origins) == list(leaves(loaded.config))
    assert loaded.path == Path("configs/x.yaml")


def test_a_source_is_one_mapping_or_a_list():
    one = load_config(write("data: {source: {images: a, masks: b}}")).config
    listed = load_config(write("data:\n  source:\n    - images: a\n      masks: b\n")).config

    assert one == listed
    assert one.data.source[0].images == Path("a")


def test_a_split_is_told_by_its_kind_and_drawn_by_fractions_without_one():
    lone = load_config(write("data: {split: {train: 0.6, valid: 0.2, test: 0.2}}")).config
    kept = load_config(
        write("data: {source: {images: '{split}/i', masks: '{split}/m'}, split: {kind: folders}}")
    ).config

    assert lone.data.split == FractionSplit(train=0.6, valid=0.2, test=0.2)
    assert kept.data.split == FolderSplit(kind="folders")


def test_the_last_override_of_a_key_counts_and_a_section_replaces_what_was_in_it():
    path = write("train:\n  reducer: {factor: 0.5, patience: 9}\n")

    loaded = load_config(path, ["train.epochs=3", "train.epochs=4", "train.reducer={factor: 0.7}"])

    assert loaded.config.train.epochs == 4
    assert loaded.config.train.reducer.factor == 0.7
    assert loaded.origins["train.reducer.factor"] == "--set"
    assert loaded.origins["train.reducer.patience"] == "default"


def test_an_override_keeps_its_neighbours():
    path = write("train:\n  reducer: {factor: 0.5, patience: 9}\n")

    train = load_config(path, ["train.reducer.factor=0.7"]).config.train

    assert (train.reducer.factor, train.reducer.patience) == (0.7, 9)


def test_paths_expand_and_other_text_does_not(monkeypatch):
    monkeypatch.setenv("CERVSEG_TEST", "/there")
    monkeypatch.delenv("CERVSEG_ABSENT", raising=False)
    path = write(
        "data:\n  output: ${CERVSEG_TEST}/out\n  group_pattern: ${CERVSEG_TEST}\n"
        "  source:\n    images: ${CERVSEG_ABSENT:-here}/{split}/images\n"
        "    masks: ~/{split}/masks\n"
    )

    data = load_config(path).config.data

    assert data.output == Path("/there/out")
    assert data.group_pattern == "${CERVSEG_TEST}"
    assert data.source[0].images == Path("here/{split}/images")
    assert data.source[0].masks == Path.home() / "{split}" / "masks"


def test_a_file_from_windows_reads_the_same():
    Path("configs/x.yaml").write_bytes(b"\xef\xbb\xbftrain:\r\n  epochs: 3\r\n")

    loaded = load_config("configs/x.yaml")

    assert loaded.config.train.epochs == 3
    assert loaded.origins["train.epochs"] == "configs/x.yaml:2"


def test_the_python_api_takes_a_config_a_path_or_nothing():
    path = write("train: {epochs: 3}")
    config = load_config(path).config

    assert as_config(config) is config
    assert as_config(path) == as_config(Path(path)) == config
    assert as_config(None) == Config()


# --- what is refused: files


def test_a_missing_file_is_named_with_what_is_near():
    write("", "configs/unet.yaml")

    assert refusal("configs/unett.yaml") == (
        "configs/unett.yaml: no such config file",
        "did you mean 'configs/unet.yaml'?",
    )
    assert refusal("configs/zzzzzzzzzz.yaml") == (
        "configs/zzzzzzzzzz.yaml: no such config file",
        "there is configs/unet.yaml",
    )
    assert refusal("nowhere/x.yaml") == ("nowhere/x.yaml: no such config file", None)


def test_what_is_no_config_file_is_refused():
    Path("configs/x.yaml").write_bytes(b"train: \xff")

    assert refusal("configs") == (
        "configs: a folder, not a config file",
        "cervseg config init IMAGES MASKS writes one",
    )
    assert refusal("configs/x.yaml") == ("configs/x.yaml: not UTF-8 text", None)


def test_broken_yaml_is_told_with_its_line():
    assert refusal(write("train:\n  epochs: [3\n")) == (
        "configs/x.yaml:3: not valid YAML: expected ',' or ']', but got '<stream end>'",
        None,
    )


def test_a_list_is_no_config():
    message, _ = refusal(write("- train\n"))

    assert message == "configs/x.yaml:1: must be a mapping of sections, not a list of 1"


def test_a_key_that_stands_twice_is_refused():
    message, _ = refusal(write("train:\n  epochs: 3\n  epochs: 4\n"))

    assert message == "configs/x.yaml:3: 'train.epochs' stands twice, first on line 2"


# --- what is refused: keys and values

WRONG = {
    "model.base_filter=3": ("unknown key 'model.base_filter'", "did you mean 'base_filters'?"),
    "model.epochs=3": ("unknown key 'model.epochs'", "did you mean 'train.epochs'?"),
    "train.scale=3": ("unknown key 'train.scale'", "did you mean 'train.augmentation.scale'?"),
    "data.images=x": ("unknown key 'data.images'", "did you mean 'data.source.images'?"),
    "trian={}": ("unknown key 'trian'", "did you mean 'train'?"),
    "data.qqqqq=3": ("unknown key 'data.qqqqq'", None),
    "model={architecture: lite_unet, num_layers: 8}": (
        "unknown key 'model.num_layers'",
        "only architecture 'unet' or 'attention_unet' or 'multires_unet' or 'sharp_unet' or one of "
        "4 more has it",
    ),
    "train.loss={name: tversky, gamma: 2}": (
        "unknown key 'train.loss.gamma'",
        "only name 'focal' or 'focal_tversky' has it",
    ),
    "data.split={kind: lists, train: [a], seed: 3}": (
        "unknown key 'data.split.seed'",
        "only kind 'fractions' has it",
    ),
    "train.epochs=ten": ("'train.epochs' must be a whole number, not 'ten'", None),
    "train.epochs='3'": ("'train.epochs' must be a whole number, not '3'", None),
    "train.epochs=1e1": ("'train.epochs' must be a whole number, not 10.0", None),
    "train.epochs=true": ("'train.epochs' must be a whole number, not true", None),
    "train.epochs=": ("'train.epochs' must be a whole number, not empty", None),
    "train.epochs=0": ("'train.epochs' must be at least 1, not 0", None),
    "train.epochs.x=0": ("'train.epochs' must be a whole number, not a mapping", None),
    "data.keep_empty=2": ("'data.keep_empty' must be at most 1, not 2", None),
    "runtime.seed=2147483648": (
        "'runtime.seed' must be below 2147483648, not 2147483648",
        None,
    ),
    "train.augmentation.scale=[0.1, 1]": (
        "'train.augmentation.scale.0' must be above 0.1, not 0.1",
        None,
    ),
    "data.scale=0": ("'data.scale' must be above 0, not 0", None),
    "model.dropout_rate=1": ("'model.dropout_rate' must be below 1, not 1", None),
    "train.clip_norm=.inf": ("'train.clip_norm' must be a finite number, not inf", None),
    "data.scale=big": ("'data.scale' must be a number, not 'big'", None),
    "train.augmentation.hflip=off": (
        "'train.augmentation.hflip' must be a number, not 'off'",
        None,
    ),
    "data.output=3": ("'data.output' must be a path, not 3", None),
    "data.output=''": ("'data.output': an empty path", None),
    "data.output=${CERVSEG_ABSENT:-}": (
        "'data.output': an empty path: ${CERVSEG_ABSENT:-}",
        None,
    ),
    "data.output=${CERVSEG_ABSENT}/x": (
        "'data.output': the environment variable CERVSEG_ABSENT is not set",
        None,
    ),
    "data.output=~nobody-here/x": ("'data.output': no home folder for '~nobody-here/x'", None),
    "train=3": ("'train' must be a mapping of keys, not 3", None),
    "train.loss=dise": (
        f"'train.loss.name' must be one of {LOSSES}, not 'dise'",
        "did you mean 'dice'?",
    ),
    "model.input_channels=2": ("'model.input_channels' must be one of 1, 3, not 2", None),
    "model.architecture=unit": (
        f"'model.architecture' must be one of {NETWORKS}, not 'unit'",
        "did you mean 'unet'?",
    ),
    "train.metrics=dice": ("'train.metrics' must be a list, not 'dice'", None),
    "train.metrics=[]": ("'train.metrics' must have at least 1 entry, not 0", None),
    "train.metrics=[dise]": (
        "'train.metrics.0' must be one of 'binary_accuracy', 'dice', 'iou', 'sensitivity', "
        "'specificity', not 'dise'",
        "did you mean 'dice'?",
    ),
    "model.base_kernels=[3]": ("'model.base_kernels' must have at least 2 entries, not 1", None),
    "model.base_kernels=[3, 3, 3]": (
        "'model.base_kernels' must have at most 2 entries, not 3",
        None,
    ),
    "model.base_kernels=[3, 5]": ("'model.base_kernels': two equal numbers from 1 to 31", None),
    "data.classes=[a]": ("'data.classes' must be a mapping, not a list of 1", None),
    "data.classes.cell=3": ("'data.classes.cell' must be text, not 3", "write it in quotes: '3'"),
    "data.classes.cell=#00ff00": (
        "'data.classes.cell' must be text, not empty",
        "write text that starts with # in quotes",
    ),
    "data.classes.cell=red": ("'data.classes': 'red' is no colour like '#00ff00'", None),
    "infer.threshold=2": ("'infer.threshold' must be below 1, not 2", None),
    "infer.threshold=otzu": (
        "'infer.threshold' must be a number or one of 'otsu', 'triangle', not 'otzu'",
        "did you mean 'otsu'?",
    ),
    "tiled_infer.overlap=1.5": (
        "'tiled_infer.overlap' must be a whole number or 'auto', not 1.5",
        None,
    ),
    "tiled_infer.overlap=-1": ("'tiled_infer.overlap': 0 or more pixels", None),
    "data.split.kind=folder": (
        "'data.split.kind' must be one of 'fractions', 'lists', 'folders', not 'folder'",
        "did you mean 'folders'?",
    ),
    "data.split.train=0.9": ("'data.split': train, valid and test add up to 1.2, not to 1", None),
    "data.split={kind: lists, train: [268]}": (
        "'data.split.train.0' must be text, not 268",
        "write it in quotes: '268'",
    ),
    "data.source.images=x": ("'data.source.masks' is missing", None),
    "data.source=[{images: x, masks: y}, {masks: x}]": ("'data.source.1.images' is missing", None),
    "data.source=[{images: x, masks: y, kin: z}]": (
        "unknown key 'data.source.0.kin'",
        "did you mean 'kind'?",
    ),
    "data.source={images: x, masks: y, scale: [6, 0]}": (
        "'data.source.scale.1' must be above 0, not 0",
        None,
    ),
    "data.overlap=300": ("'data': `overlap` 300 is over half of `tile_size`", None),
    "train={epochs: 1, epochs: 2}": ("'train.epochs' stands twice", None),
    "data.group_pattern='('": (
        "'data.group_pattern': not a regular expression: missing ), unterminated subpattern at "
        "position 0",
        None,
    ),
    "train.epochs=[": (
        "not valid YAML: expected the node content, but found '<stream end>'",
        None,
    ),
    "train.epochs": ("not key=value", "write --set section.key=value"),
    "=3": ("not key=value", "write --set section.key=value"),
    "train..epochs=3": ("not key=value", "write --set section.key=value"),
}


@pytest.mark.parametrize("override", WRONG)
def test_a_wrong_override_is_told_in_these_words(override, monkeypatch):
    monkeypatch.delenv("CERVSEG_ABSENT", raising=False)
    message, hint = WRONG[override]

    assert refusal(None, [override]) == (f"--set {override}: {message}", hint)


def test_a_wrong_key_in_a_file_is_told_with_file_and_line():
    assert refusal(write("# unet\nmodel:\n  num_layers: 4\n  base_filter: 3\n")) == (
        "configs/x.yaml:4: unknown key 'model.base_filter'",
        "did you mean 'base_filters'?",
    )


def test_an_error_between_keys_is_told_where_the_last_of_them_stands():
    path = write("data:\n  overlap: 200\n  scale: 0.5\n  tile_size: 256\ntrain: {epochs: 3}\n")

    message, _ = refusal(path)
    assert message == "configs/x.yaml:4: 'data': `overlap` 200 is over half of `tile_size`"
    message, _ = refusal(path, ["data.overlap=180"])
    assert message == ("--set data.overlap=180: 'data': `overlap` 180 is over half of `tile_size`")


def test_a_missing_key_is_told_where_its_section_stands():
    path = write("data:\n  scale: 0.5\n  source:\n    - images: a\n")

    assert refusal(path)[0] == "configs/x.yaml:4: 'data.source.0.masks' is missing"


def test_a_key_of_a_list_is_not_set_by_name():
    path = write("data:\n  source:\n    - images: a\n      masks: b\n")

    assert refusal(path, ["data.source.images=c"]) == (
        "--set data.source.images=c: 'data.source' is a list of 1, so it has no key 'images'",
        "set 'data.source' as a whole",
    )


def test_all_errors_are_told_at_once_by_line_then_by_option():
    path = write(
        "train:\n  epochs: ten\n  loss: dise\n  epochs: 3\nmodel:\n  base_filter: 3\nfoo: 1\n"
    )

    message, hint = refusal(path, ["train.patience=-1", "data.scale=0"])

    assert hint is None
    assert message.splitlines() == [
        f"configs/x.yaml:3: 'train.loss.name' must be one of {LOSSES}, not 'dise' "
        "(did you mean 'dice'?)",
        "configs/x.yaml:4: 'train.epochs' stands twice, first on line 2",
        "configs/x.yaml:6: unknown key 'model.base_filter' (did you mean 'base_filters'?)",
        "configs/x.yaml:7: unknown key 'foo'",
        "--set train.patience=-1: 'train.patience' must be at least 0, not -1",
        "--set data.scale=0: 'data.scale' must be above 0, not 0",
    ]


def test_one_mistake_is_told_once():
    message, _ = refusal(write("infer: {threshold: high}\n"))

    assert len(message.splitlines()) == 1
    assert not re.search(r"constrained|literal\[|pydantic", message)


def test_of_very_many_problems_the_first_are_told_and_the_rest_counted():
    keys = "".join(f"  key_number_{i}: 1\n" for i in range(30))

    lines = refusal(write(f"train:\n{keys}"))[0].splitlines()

    assert len(lines) == 21 and lines[20] == "  and 10 more problems"
    assert lines[19].startswith("configs/x.yaml:21: unknown key 'train.key_number_19'")


def test_a_key_can_neither_leave_its_line_nor_flood_the_terminal():
    message, _ = refusal(write(r'"a\nerror: \e[2J all is lost": 1'))
    assert message == r"configs/x.yaml:1: unknown key 'a\nerror: \x1b[2J all is lost'"

    message, _ = refusal(write(f"? {'long' * 1000}\n: 1\n"))
    assert message.endswith("…") and len(message) < 600
    message, _ = refusal(write(f"a: !{'long' * 1000} 1\n"))
    assert message.startswith("configs/x.yaml:1: tags like") and len(message) < 600


def test_a_file_too_large_for_a_config_is_not_read():
    path = write("#" * 1_000_001)

    assert refusal(path)[0] == "configs/x.yaml: larger than 1 MB, so no config"


# --- what is written


def test_a_dumped_config_loads_back_equal():
    path = write(
        "data:\n  source: {images: '${HOME}/a b', masks: '#m'}\n  group_pattern: '(\\d+)'\n"
        "  split: {kind: lists, train: ['268', 1e-4x, '*'], test: ['012']}\n"
        "train: {learning_rate: 1e-5, plot_metrics: [iou]}\n"
        "infer: {model: [a, b], threshold: otsu}\n"
        "tiled_infer: {threshold: 0.25, overlap: 32}\n"
    )
    config = load_config(path).config

    assert load_config(write(dump_config(config), "configs/y.yaml")).config == config


def test_a_dump_holds_every_section_in_the_order_of_the_schema():
    text = dump_config(Config())

    assert re.findall(r"^(\w+):", text, re.MULTILINE) == list(Config.model_fields)
    assert "output: runs/cervseg\n" in text


def test_differences_name_the_keys_that_differ():
    old = load_config(None, ["data.source={images: a, masks: b}"]).config
    new = load_config(
        None,
        [
            "data.source=[{images: a, masks: b}, {images: c, masks: d}]",
            "data.classes={nucleus: '#00ff00'}",
            "train.epochs=3",
            "train.previews.num_infer_images=2",
            "runtime.threads=2",
        ],
    ).config

    assert config_differences(old, old, ()) == []
    assert config_differences(old, new, ("runtime", "train.previews")) == [
        "data.classes.cell",
        "train.epochs",
        "data.source.1.kind",
        "data.source.1.images",
        "data.source.1.masks",
        "data.source.1.scale",
        "data.classes.nucleus",
    ]
    assert config_differences(old, new, ("data", "train.epochs", "train.pre")) == [
        "train.previews.num_infer_images",
        "runtime.threads",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("train: {loss: dice}", {"train.loss.0.name": "configs/x.yaml:1"}),
        (
            "train:\n  loss:\n  - dice\n  - {name: focal, gamma: 1.5}\n",
            {
                "train.loss.0.name": "configs/x.yaml:3",
                "train.loss.1.gamma": "configs/x.yaml:4",
                "train.loss.1.weight": "default",
            },
        ),
        ("train:\n  loss:\n    name: dice\n", {"train.loss.0.name": "configs/x.yaml:3",
                                             "train.loss.0.per": "default"}),
        ("train:\nmodel: {num_layers: 3}\n", {"train.loss.0.name": "default"}),
        (
            "train:\n  augmentation:\n    shear: 5\n    scale: [0.9, 1.1]\n",
            {
                "train.augmentation.shear.range": "configs/x.yaml:3",
                "train.augmentation.scale.range": "configs/x.yaml:4",
                "train.augmentation.hflip.probability": "default",
            },
        ),
    ],
)  # fmt: skip
def test_a_short_form_is_where_its_values_come_from(text, expected):
    origins = load_config(write(text)).origins

    assert {key: origins[key] for key in expected} == expected

"""An old experiment becomes a run folder that the other commands take."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from cervseg.commands.import_config import import_config, imported_text
from cervseg.config.loader import load_config
from cervseg.contract import Contract
from cervseg.errors import ConfigError, ModelError, OutputError

OLD = """\
[model]
model = "TensorflowUNet"
image_width = 48
image_height = 32
image_channels = 3
input_normalize = False
num_classes = 1
base_filters = 4
num_layers = 3
dropout_rate = 0.02
learning_rate = 0.001
loss = "bce_dice_loss"
metrics = ["binary_accuracy"]
[train]
epochs = 2
batch_size = 1
[tiledinfer]
overlapping = 4
bitwise_blending = False
"""


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "train_eval_infer.config"
    path.write_text(OLD)
    return path


@pytest.fixture
def weights(started, tmp_path):
    """Random numbers in the layout of Keras 2, for the network of `OLD`."""
    rng, path = np.random.default_rng(3), tmp_path / "best_model.h5"
    shapes = [(3, 3, 3, 4), (3, 3, 4, 4), (3, 3, 4, 8), (3, 3, 8, 8), (3, 3, 8, 16), (3, 3, 16, 16),
              (2, 2, 8, 16), (3, 3, 16, 8), (3, 3, 8, 8), (2, 2, 4, 8), (3, 3, 8, 4), (3, 3, 4, 4),
              (1, 1, 4, 1)]  # fmt: skip
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [f"layer_{i}" for i in range(len(shapes))]
        for i, shape in enumerate(shapes):
            group = file.create_group(f"layer_{i}")
            group.attrs["weight_names"] = ["x/kernel:0", "x/bias:0"]
            filters = shape[2] if shape[0] == 2 else shape[3]
            group["x/kernel:0"] = rng.normal(0, 0.2, shape).astype("f4")
            group["x/bias:0"] = rng.normal(0, 0.2, filters).astype("f4")
    return path


def test_a_config_alone_becomes_a_folder_that_a_training_may_begin_in(old, tmp_path):
    run = tmp_path / "run"

    report = import_config(old, run)

    config = load_config(run / "config.yaml").config
    assert config.train.output == run
    assert report.paths == (run / "config.yaml",)
    assert report.next_command == f"cervseg dataset-tile {run / 'config.yaml'}"
    assert [path.name for path in run.iterdir()] == ["config.yaml"]


def test_shown_text_and_written_text_differ_in_the_run_folder_alone(old, tmp_path):
    import_config(old, tmp_path / "run")

    shown = imported_text(old).splitlines()
    written = (tmp_path / "run" / "config.yaml").read_text().splitlines()
    different = [a for a, b in zip(shown, written, strict=True) if a != b]
    assert [line.split(":")[0].strip() for line in different] == ["output"]


def test_weights_become_a_model_with_its_contract(old, weights, tmp_path):
    run = tmp_path / "run"

    report = import_config(old, run, weights=weights)

    contract = Contract.load(run / "model")
    assert (contract.color_order, contract.activation, contract.threshold) == (
        "BGR",
        "sigmoid",
        (0.5,),
    )
    assert (contract.tile_size, contract.align) == (48, 4)
    assert contract.margin == contract.receptive_field is not None
    assert contract.options["normalization"] == "none"
    assert report.paths == (run / "config.yaml", run / "model")
    assert any("not square" in notice for notice in report.notices)
    assert any("which images it has seen" in notice for notice in report.notices)


def test_an_imported_model_infers_whole_and_tiled(old, weights, tmp_path):
    from cervseg.commands.infer import infer, tiled_infer

    run, image = tmp_path / "run", tmp_path / "field.png"
    import_config(old, run, weights=weights)
    pixels = np.random.default_rng(0).integers(0, 256, (60, 101, 3), np.uint8)
    Image.fromarray(pixels).save(image)

    for command in (infer, tiled_infer):
        output = tmp_path / command.__name__
        report = command(run / "config.yaml", images=[image], output=output)
        assert not report.failures
        with Image.open(output / "masks" / "field.png") as mask:
            assert mask.size == (101, 60)


def test_a_width_that_is_no_multiple_of_the_stride_is_rounded_up(old, weights, tmp_path):
    old.write_text(OLD.replace("image_width = 48", "image_width = 50"))

    import_config(old, tmp_path / "run", weights=weights)

    assert Contract.load(tmp_path / "run" / "model").tile_size == 52


def test_an_occupied_folder_is_refused_before_any_work(old, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "precious").touch()

    with pytest.raises(OutputError, match="the output folder is not empty"):
        import_config(old, tmp_path / "run", weights=tmp_path / "none.h5")

    import_config(old, tmp_path / "run", overwrite=True)
    (kept,) = tmp_path.glob("run_*_bak")
    assert (kept / "precious").exists()


def test_weights_that_do_not_fit_leave_no_folder(old, weights, tmp_path):
    old.write_text(OLD.replace("base_filters = 4", "base_filters = 5"))

    with pytest.raises(ModelError, match="do not fit the network"):
        import_config(old, tmp_path / "run", weights=weights)

    assert not (tmp_path / "run").exists()


def test_weights_that_would_answer_otherwise_are_refused(old, weights, tmp_path):
    old.write_text(OLD + '[image]\ncolor_converter = "cv2.COLOR_BGR2HSV"\n')

    with pytest.raises(ModelError, match="its hue ends at 179"):
        import_config(old, tmp_path / "run", weights=weights)


def test_a_config_of_code_is_refused_and_not_run(old, tmp_path):
    victim = tmp_path / "ran"
    old.write_text(OLD + f"threshold = __import__('os').system('touch {victim}')\n")

    with pytest.raises(ConfigError, match=rf"{old}:{len(OLD.splitlines()) + 1}: "):
        imported_text(old)

    assert not victim.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such config file"),
        (b"\xff\xfe\x00", "not UTF-8 text"),
        (b";" * 1_000_001, "larger than 1 MB"),
        (b"", "no .model. section"),
    ],
)
def test_a_file_that_is_no_config_is_refused(tmp_path, content, message):
    path = tmp_path / "x.config"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ConfigError, match=message):
        imported_text(path)


def test_a_folder_is_no_config(tmp_path):
    with pytest.raises(ConfigError, match="a folder, not a config file"):
        imported_text(tmp_path)


def test_marks_and_line_ends_of_windows_are_read(old):
    old.write_bytes(b"\xef\xbb\xbf" + OLD.replace("\n", "\r\n").encode())

    assert "tile_size: 48" in imported_text(old)


def test_the_reference_network_beside_the_repository_gives_its_own_answer(started, tmp_path):
    folder = Path(__file__).parents[3] / "shared" / "data" / "reference-unet"
    if not folder.is_dir():
        pytest.skip("the reference's network is not beside the repository")
    from cervseg.engines import open_model

    import_config(folder / "train_eval_infer.config", tmp_path / "run",
                  weights=folder / "best_model.h5")  # fmt: skip

    _, predict = open_model([tmp_path / "run"])
    answer = predict(np.load(folder / "input.npy")[..., ::-1])
    np.testing.assert_allclose(answer, np.load(folder / "output.npy"), atol=1e-5)

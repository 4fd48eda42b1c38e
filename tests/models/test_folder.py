import errno
import re
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from cervseg import machine
from cervseg.classes import Classes
from cervseg.contract import Contract
from cervseg.errors import BudgetError, ModelError
from cervseg.models.folder import build_network, load_model, save_model, sketch_network

pytestmark = pytest.mark.usefixtures("started")

CONTRACT = Contract(
    architecture="unet", options={"base_filters": 2, "num_layers": 2, "normalization": "none"},
    classes=Classes.of({"cell": "#00ff00"}), activation="sigmoid", tile_size=64, align=2,
)  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    save_model(tmp_path, build_network(CONTRACT, where="here"), CONTRACT)
    return tmp_path


def refusal(folder, contract=CONTRACT):
    with pytest.raises(ModelError) as caught:
        load_model(folder, contract)
    return str(caught.value)


def test_a_model_folder_holds_contract_and_weights_and_nothing_that_runs(folder):
    assert sorted(p.name for p in folder.iterdir()) == ["contract.json", "model.weights.h5"]


def test_weights_lie_under_the_names_of_the_layers(folder):
    with h5py.File(folder / "model.weights.h5") as file:
        assert file["down0_conv1/kernel"].shape == (3, 3, 3, 2)
        assert file["logits/bias"].shape == (1,)


def test_half_precision_halves_kernels_and_is_read_exactly(tmp_path):
    contract = replace(CONTRACT, options={"base_filters": 5, "num_layers": 2})
    network, rng = build_network(contract, where="here"), np.random.default_rng(1)
    for variable in network.weights:
        values = rng.normal(0, 0.1, variable.shape)
        variable.assign(np.abs(values) + 1e6 if "variance" in variable.path else values)
    large = next(v for v in network.weights if v.path == "down0_conv2/kernel")
    large.assign(np.asarray(large) * np.float32(1e6))

    save_model(tmp_path, network, contract, half=True)
    again = load_model(tmp_path, contract)

    assert {str(v.dtype) for v in again.weights} == {"float32"}
    for old, new in zip(network.weights, again.weights, strict=True):
        expected = np.asarray(old)
        if expected.ndim > 1 and old.path != large.path:
            expected = expected.astype(np.float16).astype(np.float32)
        np.testing.assert_array_equal(np.asarray(new), expected)
    with h5py.File(tmp_path / "model.weights.h5") as file:
        stored = {v.path: file[v.path].dtype for v in network.weights}
    assert stored["down0_conv1/kernel"] == np.float16
    assert stored[large.path] == np.float32, "it exceeds what float16 can hold"
    assert any("variance" in path for path in stored)
    assert all(stored[v.path] == np.float32 for v in network.weights if len(v.shape) < 2)


def test_an_unknown_architecture_is_refused():
    with pytest.raises(ModelError) as caught:
        build_network(replace(CONTRACT, architecture="vnet"), where="m/contract.json")

    assert str(caught.value) == "m/contract.json: architecture 'vnet' is not known"


@pytest.mark.parametrize(
    "options",
    [
        {"filters": 8}, {"channels": 2}, {"base_filters": "many"}, {"base_filters": -1},
        {"base_filters": 0}, {"base_filters": 1.5}, {"num_layers": 0}, {"num_layers": -3},
        {"num_layers": "2"}, {"num_layers": None}, {"base_kernels": []}, {"base_kernels": 3},
        {"base_kernels": {"a": 1}}, {"base_kernels": [0, 0]}, {"base_kernels": ["3", "3"]},
        {"dilation": []}, {"dilation": [[1], [1]]},
        {"activation": "os.system"}, {"activation": 5}, {"activation": {"class_name": "Dense"}},
        {"normalization": ["batch"]}, {"normalization": "instance"}, {"rescaling": "twice"},
        {"dropout_rate": "much"}, {"dropout_rate": -1, "num_layers": 3},
        {"dropout_rate": 0.1, "dropout_seed": "x"},
    ],
    ids=str,
)  # fmt: skip
def test_options_the_network_does_not_take_are_refused_in_one_line(options):
    hostile = replace(CONTRACT, options={**CONTRACT.options, **options})

    with pytest.raises(ModelError) as caught:
        build_network(hostile, where="m/contract.json")

    assert str(caught.value).startswith("m/contract.json: can't build unet: ")


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        ("unet", {"base_filters": 1024, "num_layers": 4}),  # 2 thousand million weights
        ("trans_unet", {"embed_dim": 3072, "num_mlp": 16384}),
        ("basnet", {"base_filters": 1024}),
    ],
)
def test_a_network_that_its_files_cannot_hold_takes_no_memory(folder, architecture, options):
    hostile = replace(CONTRACT, architecture=architecture, options=options)
    with h5py.File(folder / "model.weights.h5", "a") as file:  # says it has them, in no space
        file.create_dataset("huge", (2**20, 2**20), "f4", chunks=(8, 8))

    found = []
    grown = machine.peak_memory_of(lambda: found.append(refusal(folder, hostile)))

    assert re.fullmatch(
        rf"{re.escape(str(folder))}/contract.json: a network of \d{{9,}} weights, "
        r"in files of \d+ bytes",
        found[0],
    )
    assert grown - machine.resident_memory() < 500e6


@pytest.mark.parametrize(
    ("architecture", "options", "message"),
    [
        ("basnet", {"num_layers": 10**6}, "num_layers of 1000000"),
        ("swin_unet", {"stack_num_up": 10**9}, "stack_num_up of 1000000000"),
        ("trans_unet", {"num_transformer": 65}, "num_transformer of 65"),
    ],
)
def test_a_network_of_a_million_levels_is_not_begun(architecture, options, message):
    hostile = replace(CONTRACT, architecture=architecture, options=options)

    with pytest.raises(ModelError) as caught:
        build_network(hostile, where="m/contract.json")

    assert str(caught.value) == f"m/contract.json: {message}, at most 64 can be built"


def test_a_sketch_leaves_the_weights_of_the_next_network_as_they_were():
    def first_kernel(*, sketched):
        keras.utils.set_random_seed(3)
        if sketched:
            sketch_network(CONTRACT, where="here")
        return np.asarray(build_network(CONTRACT, where="here").weights[0])

    import keras

    np.testing.assert_array_equal(first_kernel(sketched=True), first_kernel(sketched=False))


def test_missing_weights_are_refused(folder):
    (folder / "model.weights.h5").unlink()

    assert refusal(folder) == f"{folder}/model.weights.h5: no such weights"


@pytest.mark.parametrize("content", [b"", b"no weights", b"\x89HDF\r\n\x1a\n" + bytes(100)])
def test_a_file_that_holds_no_weights_is_refused_by_name(folder, content):
    (folder / "model.weights.h5").write_bytes(content)

    assert refusal(folder).startswith(
        f"{folder}/model.weights.h5: not a readable file of weights: "
    )


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9])
def test_truncated_weights_are_refused_by_name(folder, kept):
    path = folder / "model.weights.h5"
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])

    assert refusal(folder).startswith(f"{path}: not a readable file of weights: ")


def test_weights_of_a_network_of_another_shape_are_refused_layer_by_layer(folder):
    other = replace(CONTRACT, options={**CONTRACT.options, "base_filters": 3})

    lines = refusal(folder, other).split("\n")

    assert lines[0] == f"{folder}/model.weights.h5: 15 weights do not fit the network:"
    assert lines[1] == "  down0_conv1/kernel: (3, 3, 3, 2) in the file, (3, 3, 3, 3) in the network"
    assert len(lines) == 7 and lines[-1].endswith(" more")


def test_weights_of_fewer_or_more_layers_are_refused(folder):
    deeper = replace(CONTRACT, options={**CONTRACT.options, "num_layers": 3}, align=4)
    assert "down1_conv1/kernel: missing in the file" in refusal(folder, deeper)

    with h5py.File(folder / "model.weights.h5", "a") as file:
        file["extra/kernel"] = np.zeros(3, "float32")
    assert refusal(folder).split("\n")[1:] == ["  extra/kernel: no such layer in the network"]


def test_a_contract_off_the_networks_stride_is_refused(folder):
    assert refusal(folder, replace(CONTRACT, align=1)) == (
        f"{folder / 'contract.json'}: align 1 is no multiple of the network's stride 2"
    )


@pytest.mark.parametrize("trick", ["soft", "external", "virtual", "text", "group", "storage"])
def test_weights_that_lie_elsewhere_or_are_no_numbers_are_refused(folder, tmp_path_factory, trick):
    path, name = folder / "model.weights.h5", "logits/bias"
    other = tmp_path_factory.mktemp("other") / "secret.h5"
    with h5py.File(other, "w") as file:
        file["x"] = np.ones(1, "float32")
    with h5py.File(path, "a") as file:
        del file[name]
        if trick == "soft":
            file[name] = h5py.SoftLink("/up0_expand/bias")
        elif trick == "external":
            file[name] = h5py.ExternalLink(str(other), "/x")
        elif trick == "virtual":
            layout = h5py.VirtualLayout((1,), "float32")
            layout[:] = h5py.VirtualSource(str(other), "x", (1,))
            file.create_virtual_dataset(name, layout)
        elif trick == "text":
            file[name] = np.array(["x"], dtype="S1")
        elif trick == "group":
            file.create_group(name)
        else:
            file.create_dataset(name, (1,), "float32", external=[(str(other), 0, 4)])

    assert "logits/bias" in refusal(folder)


def test_a_full_disk_is_one_line_and_the_old_weights_stay(folder, monkeypatch):
    weights = folder / "model.weights.h5"
    before = weights.read_bytes()
    model = build_network(CONTRACT, where="here")

    def refuse(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", refuse)
        with pytest.raises(BudgetError, match="the disk is full"):
            save_model(folder, model, CONTRACT)

    assert weights.read_bytes() == before


def test_a_sketch_is_not_given_values_by_whatever_is_built_next():
    """Keras keeps variables of a stateless scope, and fills them at the end of the next one."""
    import keras

    from cervseg.models.folder import sketch_network

    sketch = sketch_network(CONTRACT, where="here")

    class Same(keras.layers.Layer):
        def call(self, x):
            return x

    Same()(keras.Input((8, 8, 3)))

    assert len(sketch.weights) > 10
    assert all(weight._value is None for weight in sketch.weights)  # noqa: SLF001

import json

import pytest

from cervseg.classes import Classes
from cervseg.cli.app import main
from cervseg.commands.inspect import Card, inspect_network, list_names
from cervseg.config import Config
from cervseg.contract import Contract
from cervseg.errors import ConfigError, OutputError

SMALL = {"architecture": "unet", "base_filters": 2, "num_layers": 3}
CONFIG = {"data": {"tile_size": 48}, "model": SMALL, "train": {"batch_size": 3}}


def inspect(**sections):
    return inspect_network(Config.model_validate({**CONFIG, **sections})).results[0]


def test_the_names_of_networks_losses_and_metrics_are_listed():
    result = list_names().results[0]

    assert {"unet", "segformer", "lite_unet"} <= set(result["networks"])
    assert {"bce_dice", "lovasz"} <= set(result["losses"]) and "dice" in result["metrics"]


def test_listing_them_waits_for_no_keras(capsys):
    assert main(["inspect"]) == 0

    out = capsys.readouterr().out
    assert "attention_unet  The U-Net of Oktay 2018 with a gate on every skip." in out
    assert "focal_tversky" in out and "sensitivity" in out


def test_a_network_is_told_with_what_it_costs(started):
    found = inspect()

    assert (found["architecture"], found["align"], found["channels"]) == ("unet", 4, 1)
    assert found["parameters"] == sum(layer["parameters"] for layer in found["layers"])
    assert found["multiply_adds"] == sum(layer["multiply_adds"] for layer in found["layers"])
    assert found["multiply_adds_per_pixel"] == found["multiply_adds"] / 48**2
    assert found["trainable_parameters"] < found["parameters"], "running means are not trained"
    assert 0 < found["inference_bytes"] < found["training_bytes"]
    assert found["receptive_field"] > 0 and found["side_outputs"] == 0


def test_several_classes_get_a_channel_more_and_a_softmax(started):
    found = inspect(data={"tile_size": 48, "classes": {"cell": "#00ff00", "nucleus": "#ff0000"}})

    assert (found["channels"], found["activation"]) == (3, "softmax")


def test_side_outputs_and_a_look_at_the_whole_tile_are_told(started):
    nested = {"architecture": "unetplusplus", "base_filters": 2, "num_layers": 3}
    found = inspect(model={**nested, "deep_supervision": True, "normalization": "group"})

    assert (found["side_outputs"], found["receptive_field"]) == (1, None)


def test_tiles_off_the_stride_are_refused_with_sizes_that_would_do(started):
    with pytest.raises(ConfigError) as caught:
        inspect(data={"tile_size": 50})

    assert str(caught.value) == "'data.tile_size' 50 is no multiple of the network's stride 4"
    assert caught.value.hint.startswith("48 or 52 would do")


def test_a_model_on_disk_is_inspected_by_its_contract(started, tmp_path, capsys):
    contract = Contract(
        architecture="unet", options={"base_filters": 3, "num_layers": 2}, activation="sigmoid",
        classes=Classes.of({"cell": "#00ff00"}), tile_size=32, align=2,
    )  # fmt: skip
    contract.save(tmp_path)

    assert main(["inspect", str(tmp_path), "--json"]) == 0

    result = json.loads(capsys.readouterr().out)["results"][0]
    assert (result["tile_size"], result["options"]["base_filters"]) == (32, 3)


def test_a_folder_gets_the_summary_and_where_graphviz_is_the_picture(started, tmp_path):
    report = inspect_network(Config.model_validate(CONFIG), output=tmp_path / "out")

    text = (tmp_path / "out" / "summary.txt").read_text()
    assert "down0_conv1" in text and "multiply-adds of a pixel" in text
    if report.notices:
        assert report.notices == (
            "no model.png: it needs Graphviz (its `dot`) and pip install 'cervseg[plot]'",
        )
    else:
        assert (tmp_path / "out" / "model.png").read_bytes().startswith(b"\x89PNG")


def test_an_occupied_folder_is_refused(started, tmp_path):
    (tmp_path / "precious").touch()

    with pytest.raises(OutputError):
        inspect_network(Config.model_validate(CONFIG), output=tmp_path)


@pytest.mark.parametrize("words", [["--set", "model.num_layers=2"], ["--output", "x"]])
def test_options_without_a_subject_are_refused(words, capsys):
    assert main(["inspect", *words]) == 2

    assert capsys.readouterr().err.startswith("error: nothing to inspect\n")


def test_a_sharpening_before_the_network_widens_what_it_sees(started):
    plain = inspect()
    sharpened = inspect(data={"tile_size": 48, "preprocess": {"sharpen": 0.5}})

    assert sharpened["receptive_field"] == plain["receptive_field"] + 1


def test_a_card_does_not_steer_the_terminal():
    card = Card.parse("# name\n\nfine \x1b[31mred\n\n## Scores\n\n0.9 \x07\n")

    assert card.description == "fine \\x1b[31mred"
    assert card.scores == ("0.9 \\x07",)

"""`builtin:NAME`: a model of the package wherever a model goes, and where none is named."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

import cervseg
from cervseg import contract as contracts
from cervseg.cli.app import main
from cervseg.commands.export import export
from cervseg.commands.inspect import Card
from cervseg.config import Config
from cervseg.config.loader import dump_config, load_config
from cervseg.contract import Contract, TrainingImage, builtin_models, find_model
from cervseg.errors import ConfigError, ModelError, OutputError

HEIGHT, WIDTH = 93, 131
CARD = """\
# builtin:metaplastic

Cells of a drawn field,
for tests.

## Data

Nothing.

## Scores

| set | Dice |
|---|---|
| drawn | 0.1 |

## Licence

Apache-2.0.
"""
SENTENCE = "Cells of a drawn field, for tests."


@pytest.fixture
def packaged(model, tmp_path, monkeypatch):
    """A package with one built-in model, and a working folder with one photograph."""
    root = tmp_path / "package"
    shutil.copytree(model, root / "metaplastic")
    (root / "metaplastic" / "card.md").write_text(CARD)
    monkeypatch.setattr(contracts, "builtin_folder", lambda: root)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), "uint8")
    Pillow.fromarray(pixels).save("photo.png")
    return root


@pytest.fixture
def unpackaged(tmp_path, monkeypatch):
    monkeypatch.setattr(contracts, "builtin_folder", lambda: tmp_path / "nothing")
    monkeypatch.chdir(tmp_path)


def mask(path):
    with Pillow.open(path) as picture:
        return np.asarray(picture)


# Names


def test_a_name_is_found_in_the_package_though_a_folder_is_called_so(packaged):
    Path("builtin:metaplastic").mkdir()

    assert find_model(Path("builtin:metaplastic")) == packaged / "metaplastic"


@pytest.mark.parametrize("name", ["herlev", "", "..", "../package/metaplastic", "metaplastic/x"])
def test_an_unknown_name_is_refused_with_those_there_are(packaged, name):
    shutil.copytree(packaged / "metaplastic", packaged / "nuclei")

    with pytest.raises(ModelError) as caught:
        find_model(Path(f"builtin:{name}"))

    assert "there is builtin:metaplastic, builtin:nuclei" in str(caught.value)


def test_without_any_that_is_said(unpackaged):
    with pytest.raises(ModelError) as caught:
        find_model(Path("builtin:metaplastic"))

    assert str(caught.value) == (
        "builtin:metaplastic: no such built-in model; there is none in this version"
    )


@pytest.mark.parametrize("name", ["metaplastic_20260101-000000_bak", ".metaplastic-x1", "A"])
def test_what_is_set_aside_or_half_written_is_no_model(packaged, name):
    shutil.copytree(packaged / "metaplastic", packaged / name)

    assert list(builtin_models()) == ["metaplastic"]


def test_a_config_keeps_the_name_as_it_is(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(
        "train: {start_from: builtin:metaplastic}\n"
        "evaluate: {model: [builtin:metaplastic, runs/a]}\n"
        "infer:\n  model: builtin:herlev\n"
    )

    config = load_config(path, ["tiled_infer.model=builtin:herlev"]).config
    path.write_text(dump_config(config))

    assert load_config(path).config == config
    assert config.train.start_from == Path("builtin:metaplastic")
    assert config.evaluate.model == (Path("builtin:metaplastic"), Path("runs/a"))
    assert config.infer.model == config.tiled_infer.model == (Path("builtin:herlev"),)


# Where a model goes


def test_inference_by_name_equals_that_by_folder(packaged, model):
    named = cervseg.tiled_infer(model="builtin:metaplastic", images="photo.png", output="a")
    found = cervseg.tiled_infer(model=model, images="photo.png", output="b")
    whole = cervseg.infer(
        Config.model_validate({"infer": {"model": "builtin:metaplastic"}}),
        images="photo.png", output="c",
    )  # fmt: skip

    np.testing.assert_array_equal(mask(named.paths[0]), mask(found.paths[0]))
    assert mask(whole.paths[0]).shape == (HEIGHT, WIDTH)
    records = [json.loads(Path(folder, "inference.json").read_text()) for folder in "ab"]
    assert records[0]["models"] == records[1]["models"], "a card is no part of what computes"
    assert not any("--model names another" in notice for notice in named.notices)


def test_scores_of_a_built_in_model_lie_in_the_default_output(packaged):
    for folder in ("images", "masks"):
        Path(folder).mkdir()
    shutil.copy("photo.png", "images/a.png")
    truth = np.zeros((HEIGHT, WIDTH), np.uint8)
    truth[20:61, 30:81] = 255
    Pillow.fromarray(truth).save("masks/a.png")

    scored = {"model": "builtin:metaplastic", "images": Path("images"), "masks": Path("masks")}
    report = cervseg.evaluate(**scored)
    beside_config = cervseg.evaluate(**scored, config_words="c.yaml", overwrite=True)

    assert report.output.parent == Path("cervseg-evaluation")
    assert not Path("builtin:metaplastic").exists()
    assert report.next_command == "cervseg tiled-infer --model builtin:metaplastic IMAGES"
    assert beside_config.next_command == (
        "cervseg tiled-infer c.yaml --model builtin:metaplastic IMAGES"
    )


def test_an_evaluation_of_something_else_is_not_taken_for_this_one(packaged):
    for folder in ("images", "masks", "others"):
        Path(folder).mkdir()
    shutil.copy("photo.png", "images/a.png")
    for folder, rows in (("masks", 30), ("others", 20)):
        Pillow.fromarray(np.eye(HEIGHT, WIDTH, rows).astype(np.uint8) * 255).save(f"{folder}/a.png")
    common = {"images": "images", "masks": "masks", "output": "scores"}
    cervseg.evaluate(predictions="masks", **common)

    again = cervseg.evaluate(predictions="masks", **common, resume=True)
    assert again.notices == ("scores is complete, nothing to do",)
    for other in ({"predictions": "others"}, {"model": "builtin:metaplastic"}):
        with pytest.raises(ConfigError, match="^scores: .* of other images, masks or models"):
            cervseg.evaluate(**other, **common, resume=True)


def test_an_export_is_called_after_the_name(packaged):
    occupied = Path("exported/metaplastic_keras")
    occupied.mkdir(parents=True)
    (occupied / "precious").touch()

    with pytest.raises(OutputError, match="^exported/metaplastic_keras: "):
        export("builtin:metaplastic", to="keras")


def test_a_training_starts_from_its_weights(packaged, model):
    from cervseg.models.folder import build_network
    from cervseg.training.beginning import start_from

    contract = Contract.load(model)
    network, given = (build_network(contract, where="here") for _ in range(2))
    start_from(Path("builtin:metaplastic"), network, into=contract)
    start_from(model, given, into=contract)

    for one, other in zip(network.weights, given.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


# The default


def test_a_photograph_alone_is_segmented_by_the_default_and_one_notice_says_so(packaged, capsys):
    assert main(["tiled-infer", "photo.png"]) == 0

    out, err = capsys.readouterr()
    assert out == "cervseg-output/masks/photo.png\n"
    assert mask(out.strip()).shape == (HEIGHT, WIDTH)
    assert err.count("the model is builtin:metaplastic; --model names another") == 1


@pytest.mark.parametrize("command", [cervseg.infer, cervseg.tiled_infer])
@pytest.mark.parametrize("settings", [None, {"runtime": {"threads": 2}}])
def test_a_config_without_an_experiment_takes_the_default(packaged, *, command, settings):
    config = None if settings is None else Config.model_validate(settings)

    report = command(config, images="photo.png", output="out")

    assert report.notices[0] == "the model is builtin:metaplastic; --model names another"


@pytest.mark.parametrize(
    "settings",
    [{"train": {"output": "runs/mine"}}, {"model": {"base_filters": 4}}, {"data": {"scale": 0.5}}],
    ids=str,
)
def test_an_experiment_takes_its_own_model(packaged, settings):
    config = Config.model_validate(settings)

    with pytest.raises(ModelError) as caught:
        cervseg.tiled_infer(config, images="photo.png")

    assert str(caught.value) == f"{config.train.output}: no such model"


def test_without_a_built_in_model_one_is_missed_as_before(unpackaged, capsys):
    Pillow.new("RGB", (37, 21), "white").save("photo.png")

    assert main(["tiled-infer", "photo.png"]) == 3

    assert capsys.readouterr().err == (
        "error: runs/cervseg: no such model\nhint: make one with: cervseg train CONFIG\n"
    )


# Inspect


def test_inspect_lists_them_with_classes_scale_size_and_a_sentence(packaged, capsys):
    folder = packaged / "metaplastic"
    replace(Contract.load(folder), scale=0.25).save(folder)
    size = sum(path.stat().st_size for path in folder.iterdir())

    assert main(["inspect"]) == 0
    text = capsys.readouterr().out
    assert main(["inspect", "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]

    row = ("builtin:metaplastic", "cell", "scale 0.25", f"{size / 1e6:.1f} MB", SENTENCE)
    assert text.endswith(f"built-in models\n{'  '.join(row)}\n")
    assert result["models"] == [
        {"name": "builtin:metaplastic", "classes": ["cell"], "scale": 0.25, "bytes": size,
         "description": SENTENCE}
    ]  # fmt: skip


def test_inspect_tells_the_contract_and_the_scores_of_the_card(packaged, capsys):
    folder = packaged / "metaplastic"
    seen = tuple(TrainingImage(f"{i}", None, "valid" if i > 2 else "train") for i in range(5))
    replace(Contract.load(folder), threshold=(0.35,), trained_on=seen).save(folder)

    assert main(["inspect", "builtin:metaplastic"]) == 0
    text = capsys.readouterr().out
    assert main(["inspect", "builtin:metaplastic", "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]

    assert text.endswith("scores\n| set | Dice |\n|---|---|\n| drawn | 0.1 |\n")
    lines = [line.split("  ")[0] + ": " + line.split("  ")[-1] for line in text.splitlines()]
    assert "threshold: 0.35" in lines and "images seen: 3 train, 2 valid" in lines
    assert result["card"] == CARD
    assert (result["threshold"], result["seen"]) == ([0.35], {"train": 3, "valid": 2})


@pytest.mark.parametrize(
    ("text", "description", "scores"),
    [
        ("", "", ()),
        ("# a\n", "", ()),
        ("# a\n\n## Scores\n", "", ()),
        ("# a\nOne\nline.\n## Scores\n\nnone yet\n", "One line.", ("none yet",)),
        ("# a\n\nThe #1.\n\nMore.\n## Scores\nx\n\ny\n## Data\nz\n", "The #1.", ("x", "", "y")),
    ],
)
def test_a_card_has_the_paragraph_below_its_title_and_its_scores(text, description, scores):
    assert Card.parse(text) == Card(text, description, scores)


def test_the_models_of_the_package_are_small_and_have_the_card_of_the_docs():
    pages = Path(__file__).parents[2] / "docs" / "models"
    for name, folder in builtin_models().items():
        assert (folder / "card.md").read_bytes() == (pages / f"{name}.md").read_bytes()
        assert sum(path.stat().st_size for path in folder.iterdir()) <= 10_000_000
        assert Contract.load(folder).trained_on, "images it has seen can't be refused"

import runpy
import shutil
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image as Pillow

from cervseg import contract as contracts
from cervseg.classes import Classes
from cervseg.contract import Contract, builtin_models
from cervseg.errors import CheckError, ConfigError, DataError, ModelError, OutputError

SHIP = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "ship_model.py"))
ship = SHIP["ship"]
CARD = "# builtin:cells\n\nDrawn cells.\n\n## Scores\n\nDice 0.\n\n## Licence\n\nApache-2.0.\n"
CONTRACT = Contract(
    architecture="unet", classes=Classes.of({"cell": "#00ff00"}), activation="sigmoid",
    tile_size=32, align=2, margin=6, receptive_field=6,
    options={"base_filters": 3, "num_layers": 2},
)  # fmt: skip


@pytest.fixture
def place(started, tmp_path, monkeypatch):
    """A run with a model of random weights, two photographs, a card, an empty package."""
    from cervseg import runtime
    from cervseg.models.folder import build_network, save_model

    runtime.seed_everything(1)
    network = build_network(CONTRACT, where="here")
    save_model(tmp_path / "run" / "model", network, CONTRACT)
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(2)
    for name, size in (("a", (71, 45)), ("b", (33, 50))):
        Pillow.fromarray(rng.integers(0, 256, (*size, 3), "uint8")).save(
            tmp_path / "images" / f"{name}.png"
        )
    (tmp_path / "cells.md").write_text(CARD)
    root = tmp_path / "package"
    monkeypatch.setattr(contracts, "builtin_folder", lambda: root)
    monkeypatch.setitem(ship.__globals__, "builtin_folder", lambda: root)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shipped(name="cells", **how):
    return ship(Path("run"), name, images=Path("images"), card=Path("cells.md"), **how)


def nothing_is_left(place):
    folder = place / "package"
    return not folder.exists() or not list(folder.iterdir())


def test_a_model_is_put_into_the_package_with_its_card_and_can_be_used(place):
    changed = shipped()

    folder = builtin_models()["cells"]
    assert sorted(path.name for path in folder.iterdir()) == [
        "card.md", "contract.json", "model.weights.h5",
    ]  # fmt: skip
    assert [path.name for path in folder.parent.iterdir()] == ["cells"]
    assert (folder / "card.md").read_text() == CARD
    assert Contract.load(folder) == CONTRACT
    assert sorted(Path(image).name for image in changed) == ["a.png", "b.png"]
    assert max(changed.values()) <= 0.001


def test_masks_that_differ_are_counted():
    one, other = np.zeros((21, 10), np.uint8), np.zeros((21, 10), np.uint8)
    other[3, :7] = 1

    assert SHIP["changed_share"](one, other) == pytest.approx(7 / 210)


def test_masks_that_differ_too_much_leave_nothing(place, monkeypatch):
    monkeypatch.setitem(ship.__globals__, "changed_share", lambda one, other: 0.0012)

    with pytest.raises(CheckError, match=r"0\.120% of the pixels .* the limit is 0\.1%"):
        shipped()

    assert nothing_is_left(place)


def test_a_model_of_many_bytes_leaves_nothing(place, monkeypatch):
    monkeypatch.setitem(ship.__globals__, "MOST_BYTES", 1000)

    with pytest.raises(CheckError, match="^builtin:cells: "):
        shipped()

    assert nothing_is_left(place)


@pytest.mark.parametrize(
    ("text", "lacking"),
    [
        (CARD.replace("Drawn cells.", ""), "a sentence below its title"),
        (CARD.replace("Scores", "Data"), "a section Scores"),
        (CARD.replace("Licence", "Use"), "a licence"),
    ],
)
def test_a_card_that_says_too_little_is_refused(place, *, text, lacking):
    (place / "cells.md").write_text(text)

    with pytest.raises(DataError) as caught:
        shipped()

    assert str(caught.value) == f"cells.md: the card lacks {lacking}"
    assert nothing_is_left(place)


def test_what_is_there_is_replaced_only_if_asked_and_kept(place):
    shipped()
    with pytest.raises(OutputError):
        shipped()

    (place / "cells.md").write_text(CARD.replace("Drawn", "Other"))
    shipped(overwrite=True)

    assert "Other" in (builtin_models()["cells"] / "card.md").read_text()
    assert list(builtin_models()) == ["cells"]
    assert len(list((place / "package").glob("cells_*_bak/card.md"))) == 1


def test_a_run_with_the_weights_of_the_built_in_model_is_told_so(place):
    shipped()

    assert SHIP["check_weights"](place / "run", "cells").endswith(
        "weights are those of builtin:cells"
    )


def test_a_run_with_another_weight_is_told_where(place):
    shipped()
    other = place / "other"
    shutil.copytree(place / "run" / "model", other)
    with h5py.File(other / "model.weights.h5", "a") as file:
        file["logits/bias"][...] += 1

    with pytest.raises(CheckError, match=r"1 of \d+ weights .* logits/bias by up to 1"):
        SHIP["check_weights"](other, "cells")


@pytest.mark.parametrize("name", ["", "Cells", "a/b", "a_b", "..", "1a"])
def test_a_name_that_could_not_be_found_again_is_refused(place, name):
    with pytest.raises(ConfigError):
        shipped(name)


def test_a_broken_photograph_and_a_missing_model_are_refused(place):
    (place / "images" / "c.png").write_bytes(b"nothing")
    with pytest.raises(DataError):
        shipped()
    with pytest.raises(ModelError):
        ship(Path("walk"), "cells", images=Path("images"), card=Path("cells.md"))

    assert nothing_is_left(place)


def test_the_script_tells_an_error_in_one_line(place, monkeypatch, capsys):
    words = ["ship_model.py", "run", "cells", "--images", "images"]
    monkeypatch.setattr(sys, "argv", words)

    assert SHIP["main"]() == 3

    assert capsys.readouterr().err.endswith("docs/models/cells.md: no such card\n")

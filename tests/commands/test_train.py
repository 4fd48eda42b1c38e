"""What a training writes beside its results."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from cervseg.classes import Classes
from cervseg.commands import run_log
from cervseg.commands.draft import inherited, postprocessing, turns
from cervseg.config.loader import load_config
from cervseg.contract import Contract, Postprocessing
from cervseg.runs import Run


def test_a_log_on_a_full_disk_is_lost_without_a_word(tmp_path, monkeypatch, capfd):
    log = logging.getLogger("cervseg")
    monkeypatch.setattr(Run, "log", Path("/dev/full"))

    with run_log.logged(Run(tmp_path)):
        log.debug("one")
        log.debug("two")

    assert capfd.readouterr() == ("", "")


@pytest.fixture
def start(tmp_path):
    """A model that cleans its masks."""
    contract = Contract(
        architecture="unet", options={}, classes=Classes.of({"cell": "#00ff00"}),
        activation="sigmoid", tile_size=64, postprocess=Postprocessing(min_area=7, blur=2.0),
        augment="flips",
    )  # fmt: skip
    contract.save(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("keys", "expected"),
    [((), (0, 0.0)), (("train.start_from={start}",), (7, 2.0)),
     (("train.start_from={start}", "tiled_infer.min_area=0"), (0, 2.0)),
     (("tiled_infer.blur=4",), (0, 4.0))],
)  # fmt: skip
def test_a_model_keeps_what_its_config_does_to_masks_or_the_one_it_starts_from(
    start, keys, expected
):
    config = load_config(None, [key.format(start=start) for key in keys]).config

    found = postprocessing(config)

    assert (found.min_area, found.blur) == expected


@pytest.mark.parametrize(
    ("keys", "expected"),
    [((), "none"), (("train.start_from={start}",), "flips"),
     (("train.start_from={start}", "tiled_infer.augment=none"), "none"),
     (("tiled_infer.augment=dihedral",), "dihedral")],
)  # fmt: skip
def test_a_model_keeps_the_turns_of_its_config_or_of_the_one_it_starts_from(start, keys, expected):
    assert turns(load_config(None, [key.format(start=start) for key in keys]).config) == expected


def test_of_a_model_of_other_classes_only_the_weights_are_taken(start):
    config = load_config(None, [f"train.start_from={start}"]).config
    other = config.model_copy(
        update={"data": config.data.model_copy(update={"classes": {"nucleus": "#00ff00"}})}
    )

    assert inherited(config) == {"min_area": 7, "blur": 2.0, "augment": "flips"}
    assert inherited(other) == {}
    assert (postprocessing(other), turns(other)) == (Postprocessing(), "none")


def test_another_failure_to_log_is_shown(tmp_path, capfd):
    handler = run_log.LogFile(tmp_path / "log.txt", encoding="utf-8")

    handler.handle(logging.LogRecord("cervseg", logging.INFO, "", 0, "%d", ("no number",), None))
    handler.close()

    assert "Logging error" in capfd.readouterr().err


def test_too_little_memory_is_refused_before_keras_is_imported(tmp_path):
    """In a process of its own: in this one Keras is there already."""
    code = (
        "import sys; from cervseg import machine; from cervseg.errors import BudgetError\n"
        "machine.available_memory = lambda: 700_000_000\n"
        "try: machine.require_memory_to_train(8 * 320 * 320 * 12)\n"
        "except BudgetError as error: print(error, 'keras' in sys.modules)"
    )

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert ran.stdout == "training needs 0.87 GB or more, and 0.70 GB can be had False\n", (
        ran.stderr
    )

"""An output that can't be written is refused before any work, under its own name."""

import errno
import tempfile

import pytest
from PIL import Image as Pillow

import cervseg
from cervseg.cli.app import main
from cervseg.config.loader import load_config
from cervseg.errors import OutputError
from cervseg.writable import refuse_unwritable


@pytest.fixture
def locked(tmp_path, monkeypatch):
    """A folder that may not be written, to root neither."""
    folder = tmp_path / "ro"
    folder.mkdir()
    made = tempfile.TemporaryFile

    def make(*, dir):
        if dir == folder:
            raise PermissionError(errno.EACCES, "Permission denied", str(dir))
        return made(dir=dir)

    monkeypatch.setattr(tempfile, "TemporaryFile", make)
    return folder


@pytest.fixture
def fields(tmp_path):
    """Three fields with masks."""
    folder = tmp_path / "fields"
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
        for number in range(3):
            Pillow.new("RGB", (83, 61), (9 * number, 0, 0)).save(folder / kind / f"f{number}.png")
    return folder


@pytest.mark.parametrize("name", ["k", "deep/er/k"])
def test_the_nearest_folder_that_is_there_is_tried(locked, tmp_path, name):
    with pytest.raises(OutputError) as caught:
        refuse_unwritable(locked / name)

    assert str(caught.value) == f"{locked / name}: can't be written: permission denied"
    refuse_unwritable(tmp_path / name)
    assert not (tmp_path / name).exists() and not any(locked.iterdir())


def test_a_file_on_the_way_is_told(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(OutputError, match="k: can't be written: not a directory"):
        refuse_unwritable(tmp_path / "file" / "k")


def test_an_empty_folder_will_do_unless_it_is_to_be_renamed_to(locked):
    (locked / "k").mkdir()

    refuse_unwritable(locked / "k")
    with pytest.raises(OutputError, match="ro/k: can't be written"):
        refuse_unwritable(locked / "k", beside=True)


@pytest.mark.parametrize("command", ["plan", "dataset-check"])
def test_a_plan_and_a_check_say_so_before_they_look_at_images(locked, fields, *, capsys, command):
    output = locked / ("c.yaml" if command == "plan" else "k")

    assert main([command, str(fields), "--output", str(output)]) == 2

    out, err = capsys.readouterr()
    assert not out and err == (
        f"error: {output}: can't be written: permission denied\n"
        "hint: choose another output folder\n"
    )


def test_a_dataset_is_named_as_it_will_be_called(locked, fields):
    config = load_config(
        None,
        [
            "data.source.kind=folders", f"data.source.images={fields / 'images'}",
            f"data.source.masks={fields / 'masks'}", f"data.output={locked / 't'}",
        ],
    ).config  # fmt: skip

    with pytest.raises(OutputError) as caught:
        cervseg.dataset_tile(config)

    assert str(caught.value) == f"{locked / 't'}: can't be written: permission denied"


def test_an_export_is_refused_before_the_model_is_opened(locked, monkeypatch):
    from cervseg.commands import export

    monkeypatch.setattr(export, "_trial_tiles", None)  # calling it would fail

    with pytest.raises(OutputError) as caught:
        cervseg.export("builtin:metaplastic", to="keras", output=locked / "x")

    assert str(caught.value) == f"{locked / 'x'}: can't be written: permission denied"

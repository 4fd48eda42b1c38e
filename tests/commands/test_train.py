"""What a training writes beside its results."""

import logging
from pathlib import Path

from cervseg.commands import train
from cervseg.runs import Run


def test_a_log_on_a_full_disk_is_lost_without_a_word(tmp_path, monkeypatch, capfd):
    log = logging.getLogger("cervseg")
    monkeypatch.setattr(Run, "log", Path("/dev/full"))

    with train._logged(Run(tmp_path)):
        log.debug("one")
        log.debug("two")

    assert capfd.readouterr() == ("", "")


def test_another_failure_to_log_is_shown(tmp_path, capfd):
    handler = train._LogFile(tmp_path / "log.txt", encoding="utf-8")

    handler.handle(logging.LogRecord("cervseg", logging.INFO, "", 0, "%d", ("no number",), None))
    handler.close()

    assert "Logging error" in capfd.readouterr().err

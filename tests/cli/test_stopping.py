"""Ctrl-C, SIGTERM, and how the process ends then."""

import contextlib
import json
import os
import signal
import threading

import pytest

from cervseg import errors
from cervseg.cli import app
from cervseg.cli.app import main
from cervseg.reports import Report


def test_ctrl_c_that_no_command_caught_is_told(fake, config, capsys):
    fake.raises(KeyboardInterrupt())

    assert main(["train", config]) == 130

    assert capsys.readouterr().err.startswith("error: interrupted\nhint: go on with: cervseg ")


def test_ctrl_c_names_the_same_command_line_to_go_on_with(fake, config, capsys):
    fake.raises(errors.Interrupted("stopped after epoch 3"))

    assert main(["train", config, "--overwrite", "--set", "data.output=my tiles"]) == 130

    assert capsys.readouterr().err == (
        "error: stopped after epoch 3\n"
        f"hint: go on with: cervseg train {config} --set 'data.output=my tiles' --resume\n"
    )


def test_the_command_line_to_go_on_with_takes_no_option_for_an_image(fake, config, capsys):
    fake.raises(errors.Interrupted("stopped"))

    assert main(["tiled-infer", config, "--overwrite", "--", "-field.jpg"]) == 130

    told = capsys.readouterr().err.splitlines()[-1]
    assert told == f"hint: go on with: cervseg tiled-infer {config} --resume -- -field.jpg"


def terminate_oneself():
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(5)


def test_sigterm_that_no_command_caught_is_told(fake, config, capsys):
    before = signal.getsignal(signal.SIGTERM)
    fake.answer = lambda progress: terminate_oneself()

    assert main(["train", config]) == 143

    assert capsys.readouterr().err.startswith("error: terminated\nhint: go on with: cervseg ")
    assert signal.getsignal(signal.SIGTERM) is before


def test_sigterm_that_a_command_caught_like_ctrl_c_still_exits_143(fake, config, capsys):
    def answer(progress):
        try:
            terminate_oneself()
        except KeyboardInterrupt as exc:
            os.kill(os.getpid(), signal.SIGTERM)  # a second one does not disturb the saving
            raise errors.Interrupted("stopped", hint="add --resume") from exc

    fake.answer = answer

    assert main(["train", config, "--json"]) == 143

    out, err = capsys.readouterr()
    assert json.loads(out)["exit_code"] == 143
    assert err == f"error: stopped\nhint: go on with: cervseg train {config} --json --resume\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_a_library_swallowed_is_raised_at_the_next_step(fake, config, number):
    steps = []

    def answer(progress):
        with progress.bar("training", 3) as bar:
            for step in range(3):
                with contextlib.suppress(BaseException):
                    os.kill(os.getpid(), number)
                    threading.Event().wait(5)
                bar.advance()
                steps.append(step)
        return Report("train")

    fake.answer = answer

    assert main(["train", config]) == 128 + number
    assert steps == []


def test_a_signal_that_a_library_made_another_error_of_is_no_bug(fake, config, capsys):
    def answer(progress):
        try:
            terminate_oneself()
        except KeyboardInterrupt:
            raise SystemError("returned a result with an exception set") from None

    fake.answer = answer

    assert main(["train", config]) == 143
    assert capsys.readouterr().err.startswith("error: terminated\n")


def test_a_ctrl_c_that_is_ignored_from_the_start_stays_ignored(fake, config):
    """As for what a shell's script runs in its background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        fake.answer = lambda progress: os.kill(os.getpid(), signal.SIGINT) or Report("train")

        assert main(["train", config]) == 0
    finally:
        signal.signal(signal.SIGINT, before)


def test_main_runs_outside_the_main_thread_too(fake, config):
    codes = []
    thread = threading.Thread(target=lambda: codes.append(main(["train", config])))
    thread.start()
    thread.join()

    assert codes == [0]


class Left(Exception):
    """Stands in for the end of the process."""


@pytest.mark.parametrize("code", [130, 143, 7])
def test_what_was_stopped_ends_at_once_since_threads_may_still_be_at_work(monkeypatch, code):
    """Ended by Python, they now and then abort the process: 134 instead of 143."""

    def leave(given):
        raise Left(given)

    monkeypatch.setattr(app, "main", lambda: code)
    monkeypatch.setattr(os, "_exit", leave)

    with pytest.raises(Left) as left:
        app.run()

    assert left.value.args == (code,)


@pytest.mark.parametrize("code", [0, 2, 5])
def test_what_came_to_its_end_ends_as_python_does(monkeypatch, code):
    monkeypatch.setattr(app, "main", lambda: code)

    with pytest.raises(SystemExit) as left:
        app.run()

    assert left.value.code == code

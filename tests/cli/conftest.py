"""Stand-ins for the commands, so that the command line is tested without doing any work."""

import sys
from types import ModuleType

import pytest

from cervseg.reports import Report


class Fake:
    """Takes the place of the commands; keeps what they were called with."""

    def __init__(self, monkeypatch):
        self.monkeypatch = monkeypatch
        self.calls = []
        self.answer = lambda progress: Report("train")
        for module, names in {
            "dataset_check": ["dataset_check"],
            "dataset_tile": ["dataset_tile"],
            "train": ["train"],
            "cross_validation": ["cross_validate"],
            "repeating": ["repeat"],
            "verifying": ["verify"],
            "evaluate": ["evaluate"],
            "infer": ["infer", "tiled_infer"],
        }.items():
            stand_in = ModuleType(f"cervseg.commands.{module}")
            for name in names:
                setattr(stand_in, name, self.command(name))
            monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)

    def command(self, name):
        def call(config=None, *, progress, **keywords):
            self.calls.append((name, config, keywords))
            return self.answer(progress)

        return call

    def raises(self, error):
        """Let every command raise this."""

        def answer(progress):
            raise error

        self.answer = answer

    def returns(self, report):
        """Let every command return this."""
        self.answer = lambda progress: report


@pytest.fixture
def fake(monkeypatch):
    return Fake(monkeypatch)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("train: {epochs: 3}\n")
    return str(path)

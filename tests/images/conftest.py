"""A file of every kind that is read in regions."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

REPOSITORY = Path(__file__).parents[2]
SAMPLES = SimpleNamespace(**runpy.run_path(str(REPOSITORY / "scripts" / "sample_images.py")))


@pytest.fixture(scope="session")
def samples():
    """The functions of scripts/sample_images.py."""
    return SAMPLES


@pytest.fixture(scope="session", params=SAMPLES.KINDS)
def sample(request, tmp_path_factory):
    """Each kind in turn: its path, its kind, and the pixels that were written."""
    kind, pixels = SAMPLES.KINDS[request.param], SAMPLES.smooth()
    path = tmp_path_factory.mktemp("sample") / f"image.{kind.suffix}"
    kind.write(path, pixels)
    return SimpleNamespace(path=path, kind=kind, pixels=pixels)

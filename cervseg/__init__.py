"""Segment Pap-smear images of any size: tile, train, score, infer.

What works on images and models is a function, `train --all-folds` too (`cross_validate`); each
takes a config, or the path of one, and returns a `Report`:

    import cervseg

    report = cervseg.tiled_infer("configs/metaplastic.yaml", images=["field.jpg"], output="masks")
    print(report.paths, report.failures)

Nothing heavy is imported before the first call.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cervseg.commands.cross_validation import cross_validate
    from cervseg.commands.dataset_check import dataset_check
    from cervseg.commands.dataset_tile import dataset_tile
    from cervseg.commands.evaluate import evaluate
    from cervseg.commands.export import export
    from cervseg.commands.infer import infer, tiled_infer
    from cervseg.commands.report import report
    from cervseg.commands.train import train
    from cervseg.config.loader import load_config

__version__ = "0.1.0"

__all__ = [
    "cross_validate",
    "dataset_check",
    "dataset_tile",
    "evaluate",
    "export",
    "infer",
    "load_config",
    "report",
    "tiled_infer",
    "train",
]

_HOMES = {
    "cross_validate": "cervseg.commands.cross_validation",
    "dataset_check": "cervseg.commands.dataset_check",
    "dataset_tile": "cervseg.commands.dataset_tile",
    "evaluate": "cervseg.commands.evaluate",
    "export": "cervseg.commands.export",
    "infer": "cervseg.commands.infer",
    "load_config": "cervseg.config.loader",
    "report": "cervseg.commands.report",
    "tiled_infer": "cervseg.commands.infer",
    "train": "cervseg.commands.train",
}


def __getattr__(name: str) -> object:
    """Import a command when it is first named."""
    if name not in _HOMES:
        raise AttributeError(f"module 'cervseg' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

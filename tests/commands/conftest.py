"""A small network for the commands that need one."""

import numpy as np
import pytest

from cervseg.classes import Classes
from cervseg.contract import Contract

CONTRACT = Contract(
    architecture="unet", classes=Classes.of({"cell": "#00ff00"}), activation="sigmoid",
    tile_size=64, align=4, receptive_field=16, margin=16,
    options={"base_filters": 3, "num_layers": 2, "normalization": "batch"},
)  # fmt: skip


@pytest.fixture(scope="session")
def model(started, tmp_path_factory):
    """A small network whose answers are spread around one half."""
    from cervseg import runtime
    from cervseg.models.folder import build_network, save_model

    runtime.seed_everything(0)
    network, rng = build_network(CONTRACT, where="here"), np.random.default_rng(3)
    for variable in network.weights:
        value = np.asarray(variable) + rng.normal(0, 0.1, variable.shape)
        variable.assign(np.abs(value) + 0.3 if "variance" in variable.path else value)
    folder = tmp_path_factory.mktemp("model")
    save_model(folder, network, CONTRACT)
    return folder

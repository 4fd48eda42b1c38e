"""Several trainings of one beginning become one model: the mean of their weights."""

import h5py
import numpy as np
import pytest
from pydantic import ValidationError

from cervseg.commands.train import train
from cervseg.config import Config
from cervseg.config.training import TrainConfig
from cervseg.errors import ConfigError
from cervseg.runs import Run

pytestmark = pytest.mark.usefixtures("started")

WITH_NORMS = {"base_filters": 2, "num_layers": 2, "normalization": "batch"}


@pytest.fixture(scope="module")
def beginning(make_setup, tmp_path_factory):
    """A model to start from."""
    from cervseg.models.folder import build_network, save_model, with_geometry
    from cervseg.training.trainer import untrained_contract

    folder = tmp_path_factory.mktemp("beginning")
    contract = untrained_contract(make_setup(folder, model=WITH_NORMS))
    network = build_network(contract, where="here")
    save_model(folder, network, with_geometry(contract, network))
    return folder


@pytest.fixture(scope="module")
def soup(make_setup, beginning, tmp_path_factory):
    """A soup of two trainings, its setup, contract and history."""
    from cervseg.training.averaging import fit_soup

    setup = make_setup(tmp_path_factory.mktemp("soup") / "run", model=WITH_NORMS,
                       start_from=beginning, epochs=2)  # fmt: skip
    return setup, *fit_soup(setup, 2)


def arrays(path):
    with h5py.File(path) as file:
        found = {}
        file.visititems(
            lambda name, item: found.update({name: item[...]}) if hasattr(item, "shape") else None
        )
    return found


def test_the_weights_are_the_means_and_the_seeds_are_the_soups_own(soup):
    setup, contract, state = soup
    members = [setup.run.member(seed) for seed in (10, 11)]  # of seed 5 and two trainings

    first, second = (arrays(run.best) for run in members)
    mean = arrays(setup.run.best)

    assert (contract.seed, state.epoch) == (10, 2)
    assert [run.folder for run in setup.run.members()] == [run.folder for run in members]
    assert any("moving_variance" in name for name in mean)
    for name, found in mean.items():
        np.testing.assert_allclose(found, (first[name] + second[name]) / 2, atol=1e-6)
    assert any(not np.allclose(first[name], second[name]) for name in first)


def test_a_finished_soup_is_made_again_without_training(soup, monkeypatch):
    from cervseg.training import trainer
    from cervseg.training.averaging import fit_soup

    setup, contract, _ = soup
    before = arrays(setup.run.best)
    monkeypatch.setattr(trainer, "_run_epochs", lambda *args, **keys: pytest.fail("it trains"))

    again, _ = fit_soup(setup, 2, resume=True)

    assert again == contract
    assert all(np.array_equal(found, before[n]) for n, found in arrays(setup.run.best).items())


def test_the_file_stop_of_the_whole_ends_it_after_an_epoch(make_setup, beginning, tmp_path):
    from cervseg.training.averaging import fit_soup

    setup = make_setup(tmp_path / "run", model=WITH_NORMS, start_from=beginning)
    setup.run.folder.mkdir()
    setup.run.stop.touch()

    _, state = fit_soup(setup, 3)

    assert (state.ended, state.epoch) == ("stop", 1)
    assert len(setup.run.members()) == 1
    setup.run.stop.unlink()
    _, state = fit_soup(setup, 3, resume=True)
    assert (state.ended, len(setup.run.members())) == ("epochs", 3)


def test_a_training_that_has_hardly_begun_is_not_averaged(make_setup, beginning, tmp_path):
    from cervseg.training.averaging import fit_soup

    setup = make_setup(tmp_path / "run", model=WITH_NORMS, start_from=beginning, epochs=1)
    setup.run.folder.mkdir()
    setup.run.stop.touch()

    _, state = fit_soup(setup, 3)  # the first comes to its end, since that is one epoch

    [first] = setup.run.members()
    assert state.ended == "stop"
    for name, found in arrays(setup.run.best).items():
        np.testing.assert_array_equal(found, arrays(first.best)[name])


def test_what_does_not_fit_the_beginning_is_one_for_all(make_setup, beginning, tmp_path):
    from cervseg.training.averaging import fit_soup

    deeper = {**WITH_NORMS, "num_layers": 3}
    keys = {"start_from": beginning, "epochs": 1, "learning_rate": 1e-9}
    setup = make_setup(tmp_path / "run", model=deeper, **keys)

    fit_soup(setup, 2)

    first, second = (arrays(run.best) for run in setup.run.members())
    for name, found in first.items():
        if "moving_" not in name:
            np.testing.assert_allclose(found, second[name], atol=1e-6)


def test_the_trainings_are_in_the_order_of_their_numbers(tmp_path):
    for seed in (10, 9, 11):
        (tmp_path / f"seed{seed}").mkdir()
        (tmp_path / f"seed{seed}" / "history.csv").touch()
    (tmp_path / "seedling").mkdir()

    assert [run.folder.name for run in Run(tmp_path).members()] == ["seed9", "seed10", "seed11"]


def test_a_soup_needs_one_beginning_and_one_process():
    with pytest.raises(ValidationError, match="`soup` needs `start_from`"):
        TrainConfig(soup=2)
    keys = {"train": {"soup": 2, "start_from": "m"}, "runtime": {"processes": 2, "process": 1}}
    with pytest.raises(ConfigError, match=r"'train.soup' is the work of one process"):
        train(Config.model_validate(keys))

"""Who a process is among those that train together."""

import pytest

from cervseg.errors import ConfigError, LostProcess
from cervseg.processes import ALONE, Team, team_of, together

SLURM = {"SLURM_NTASKS": "4", "SLURM_PROCID": "2", "SLURM_JOB_ID": "70001"}


@pytest.fixture
def below_jax(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")


@pytest.mark.parametrize(("count", "size"), [(1, 5), (2, 6), (3, 12)])
def test_the_shares_of_all_processes_are_the_batch(count, size):
    places = [list(range(size))[Team(number, count).share(size)] for number in range(count)]

    assert sum(places, []) == list(range(size))
    assert {len(part) for part in places} == {size // count}


def test_one_process_is_alone_whatever_else_is_said(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")

    assert team_of(1, 0, None) is ALONE
    assert ALONE.leads


@pytest.mark.parametrize(
    ("hosts", "first"),
    [("node7", "node7"), ("a3,b4", "a3"), ("node[001-004,9]", "node001"), ("n[5,7]", "n5"),
     ("a1,node[2-3]", "a1")],
)  # fmt: skip
def test_srun_says_who_is_who(*, monkeypatch, below_jax, hosts, first):
    for name, value in {**SLURM, "SLURM_STEP_NODELIST": hosts}.items():
        monkeypatch.setenv(name, value)

    team = team_of("slurm", 0, None)

    assert team == Team(2, 4, f"{first}:{61440 + 70001 % 4096}")
    assert not team.leads


def test_a_coordinator_that_is_given_is_taken(monkeypatch, below_jax):
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)

    assert team_of("slurm", 0, "head:99").coordinator == "head:99"


def test_without_srun_slurm_is_refused(monkeypatch, below_jax):
    monkeypatch.delenv("SLURM_PROCID", raising=False)

    with pytest.raises(ConfigError, match="'runtime.processes' is slurm, but SLURM_PROCID is ''"):
        team_of("slurm", 0, None)


@pytest.mark.parametrize(
    ("number", "coordinator", "told"),
    [(2, "a:1", "'runtime.process' is 2; of 2 the last is 1"),
     (1, None, "'runtime.coordinator' is None; it must be HOST:PORT of process 0"),
     (1, "head", "'runtime.coordinator' is 'head'; it must be HOST:PORT of process 0")],
)  # fmt: skip
def test_keys_that_do_not_go_together_are_refused(*, below_jax, number, coordinator, told):
    with pytest.raises(ConfigError) as caught:
        team_of(2, number, coordinator)

    assert str(caught.value) == told


def test_below_tensorflow_several_processes_are_refused(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")

    with pytest.raises(ConfigError, match="several train together below JAX only"):
        team_of(2, 0, "a:1")


@pytest.mark.parametrize(
    ("error", "lost"),
    [(ValueError("UNKNOWN: Gloo AllGather failed: Connection closed by peer [::1]:24"), True),
     (ValueError("shapes (3,) and (4,) do not go together"), False),
     (ConnectionResetError("Connection reset by peer"), False)],
)  # fmt: skip
def test_the_end_of_another_process_is_told_from_other_errors(monkeypatch, error, lost):
    import keras

    monkeypatch.setattr("cervseg.processes.devices", lambda: 2)
    monkeypatch.setattr(keras.distribution, "DataParallel", lambda **how: None)
    monkeypatch.setattr(keras.distribution, "set_distribution", lambda value: None)

    with pytest.raises(LostProcess if lost else type(error)), together():
        raise error

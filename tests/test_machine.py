import pytest

from cervseg import machine

PLENTY = "MemAvailable:    8000000 kB"
JOB = "/slurm/job_7/step_0"


@pytest.fixture
def system(monkeypatch):
    """What the files of the system say, by path."""
    files = {"/proc/meminfo": PLENTY}
    monkeypatch.setattr(machine, "read_lines", lambda p: files.get(str(p), "").splitlines())
    return files


def test_without_limits_it_is_what_the_machine_has(system):
    system["/proc/self/cgroup"] = "0::/"

    assert machine.available_memory() == 8_000_000 * 1024


@pytest.mark.parametrize("owner", [JOB, "/slurm/job_7", ""])
def test_the_limit_of_any_group_above_counts_less_what_is_used(system, owner):
    system |= {
        "/proc/self/cgroup": f"0::{JOB}",
        f"/sys/fs/cgroup{JOB}/memory.max": "max",
        f"/sys/fs/cgroup{owner}/memory.max": "3000000000",
        f"/sys/fs/cgroup{owner}/memory.current": "1200000000",
    }

    assert machine.available_memory() == 1_800_000_000


def test_pages_of_files_that_nobody_needs_are_free(system):
    system |= {
        "/proc/self/cgroup": f"0::{JOB}",
        f"/sys/fs/cgroup{JOB}/memory.max": "3000000000",
        f"/sys/fs/cgroup{JOB}/memory.current": "2900000000",
        f"/sys/fs/cgroup{JOB}/memory.stat": "anon 400000000\ninactive_file 2500000000",
    }

    assert machine.available_memory() == 2_600_000_000


def test_older_systems_have_a_tree_for_memory_alone(system):
    folder = f"/sys/fs/cgroup/memory{JOB}"
    system |= {
        "/proc/self/cgroup": f"5:cpu,cpuacct:/\n4:memory:{JOB}\n0::/",
        f"{folder}/memory.limit_in_bytes": "2000000000",
        f"{folder}/memory.usage_in_bytes": "500000000",
        f"{folder}/memory.stat": "inactive_file 1\ntotal_inactive_file 100000000",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes": "7000000000",
    }

    assert machine.available_memory() == 1_600_000_000

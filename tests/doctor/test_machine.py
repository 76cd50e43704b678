"""Cores and memory inside affinity and control groups, read from copies of the kernel's files."""

import os
from pathlib import Path

import pytest

from otreg.doctor.machine import Cores, cores, memory

GIB = 1 << 30


@pytest.fixture
def kernel(tmp_path):
    """Writes files below a folder that stands for /; returns what cores() and memory() take."""

    def write(files: dict[str, str]) -> dict[str, Path]:
        for name, text in {"proc/self/cgroup": "", **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return {"proc": tmp_path / "proc", "cgroups": tmp_path / "sys"}

    return write


MEMINFO = "MemTotal:       16777216 kB\nMemFree:  100 kB\nMemAvailable:    8388608 kB\nHugePages_Total:  0\n"


def test_without_limits_the_machine_is_all_there_is(kernel):
    where = kernel({"proc/meminfo": MEMINFO, "proc/self/cgroup": "0::/\n", "sys/cpu.max": "max 100000\n"})
    have = memory(**where)
    assert (have.total, have.limit, have.available) == (16 * GIB, None, 8 * GIB)
    assert cores(**where).quota is None
    assert cores(**where).pinned == len(os.sched_getaffinity(0))


def test_the_tightest_of_nested_groups_counts(kernel):
    where = kernel(
        {
            "proc/meminfo": MEMINFO,
            "proc/self/cgroup": "0::/slurm/job/step\n",
            "sys/slurm/cpu.max": "250000 100000\n",
            "sys/slurm/job/cpu.max": "400000 100000\n",
            "sys/slurm/job/memory.max": f"{4 * GIB}\n",
            "sys/slurm/job/memory.current": f"{3 * GIB}\n",
            "sys/slurm/job/memory.stat": f"anon 5\ninactive_file {1 * GIB}\n",
            "sys/slurm/memory.max": f"{6 * GIB}\n",
            "sys/slurm/memory.current": f"{3 * GIB}\n",
        }
    )
    have = memory(**where)
    assert (have.limit, have.available) == (4 * GIB, 2 * GIB)
    assert cores(**where).quota == 2.5


def test_the_first_version_of_control_groups_is_read_too(kernel):
    where = kernel(
        {
            "proc/meminfo": MEMINFO,
            "proc/self/cgroup": "4:memory:/docker/a\n2:cpu,cpuacct:/docker/a\n1:name=systemd:/\n",
            "sys/memory/docker/a/memory.limit_in_bytes": f"{2 * GIB}\n",
            "sys/memory/docker/a/memory.usage_in_bytes": f"{GIB}\n",
            "sys/memory/docker/a/memory.stat": f"inactive_file 0\ntotal_inactive_file {GIB // 2}\n",
            "sys/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/cpu/docker/a/cpu.cfs_quota_us": "150000\n",
            "sys/cpu/docker/a/cpu.cfs_period_us": "100000\n",
            "sys/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/cpu/cpu.cfs_period_us": "100000\n",
        }
    )
    have = memory(**where)
    assert (have.limit, have.available) == (2 * GIB, 3 * GIB // 2)
    assert cores(**where).quota == 1.5


def test_a_group_whose_folder_is_not_mounted_is_found_at_the_root(kernel):
    # In a container the path is that of the host, and the mount begins at the container's own group.
    where = kernel(
        {
            "proc/meminfo": MEMINFO,
            "proc/self/cgroup": "4:memory:/docker/unseen\n",
            "sys/memory/memory.limit_in_bytes": f"{GIB}\n",
            "sys/memory/memory.usage_in_bytes": f"{2 * GIB}\n",
        }
    )
    assert (memory(**where).limit, memory(**where).available) == (GIB, 0)


def test_where_the_kernel_says_nothing_nothing_is_claimed(tmp_path):
    nowhere = {"proc": tmp_path / "proc", "cgroups": tmp_path / "sys"}
    have = memory(**nowhere)
    assert have.limit is have.available is None and have.total is not None
    assert cores(**nowhere).quota is None


@pytest.mark.parametrize(
    ("pinned", "quota", "allowed"), [(8, None, 8), (8, 2.5, 3), (8, 0.4, 1), (2, 16.0, 2), (1, None, 1)]
)
def test_threads_that_can_work_at_once(pinned, quota, allowed):
    assert Cores(present=16, pinned=pinned, quota=quota).allowed == allowed

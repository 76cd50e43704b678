"""How many workers a batch gets, and what they may use."""

from pathlib import Path

import pytest

from otreg.batch import Job
from otreg.batch.crew import crew_for, slurm_cores
from otreg.config import RegisterConfig

GIGABYTE = 10**9


def jobs(count: int, **settings: object) -> list[Job]:
    config = RegisterConfig.model_validate(settings)
    return [Job(str(k), Path("a.ply"), Path("b.ply"), config, Path(str(k))) for k in range(count)]


@pytest.mark.parametrize(
    ("count", "settings", "workers", "memory", "expected"),
    [
        (100, {}, None, 64, (8, 1)),
        (3, {}, None, 64, (3, 2)),
        (1, {}, None, 64, (1, 8)),
        (100, {"threads": 4}, None, 64, (2, 4)),
        (100, {"threads": 16}, None, 64, (1, 16)),
        (100, {}, None, 5, (2, 4)),
        (100, {}, None, 1, (1, 8)),
        (100, {}, None, None, (8, 1)),
        (100, {}, 4, 5, (4, 2)),
        (2, {}, 4, 64, (2, 4)),
        (100, {}, 16, 64, (16, 1)),
    ],
)
def test_threads_are_never_more_than_cores_unless_somebody_asks_for_it(
    count, settings, workers, memory, expected
) -> None:
    crew = crew_for(
        jobs(count, **settings),
        workers=workers,
        cores=8,
        memory=None if memory is None else memory * GIGABYTE,
        needed=2 * GIGABYTE,
        gpus=(),
    )
    assert (crew.workers, crew.threads) == expected
    assert crew.environment(0)["OMP_NUM_THREADS"] == str(expected[1])
    assert "CUDA_VISIBLE_DEVICES" not in crew.environment(0)


def test_each_gpu_takes_one_job_at_a_time() -> None:
    crew = crew_for(jobs(10), workers=None, cores=8, memory=None, needed=0, gpus=("2", "3"))
    assert (crew.workers, crew.threads) == (2, 4)
    assert [crew.environment(k)["CUDA_VISIBLE_DEVICES"] for k in range(2)] == ["2", "3"]


def test_jobs_for_the_cpu_leave_the_gpus_alone() -> None:
    crew = crew_for(jobs(10, device="cpu"), workers=None, cores=8, memory=None, needed=0, gpus=("0",))
    assert (crew.workers, crew.threads, crew.gpus) == (8, 1, ())


def test_a_slurm_task_keeps_to_the_cores_that_it_was_given(monkeypatch) -> None:
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    monkeypatch.delenv("SLURM_CPUS_ON_NODE", raising=False)
    assert slurm_cores() > 10**6
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "64")
    assert slurm_cores() == 64
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "4")
    assert slurm_cores() == 4

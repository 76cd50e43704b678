"""How many workers a batch gets, and what each of them may use.

A job on two threads takes about as many seconds of the processor as on one (0.9 to 1.2 times as many in
``benchmarks/results/batch.json``), and its threads wait for each other now and then. So a core does most with a job of
its own: jobs get one thread each, and there are as many workers as cores, fewer when memory does not suffice for so
many; only when there are fewer jobs than cores do they share the cores out. A GPU takes one job at a time.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from otreg.batch.job import Job

NVIDIA = ("/dev/nvidiactl", "/dev/dxg")  # where they are missing there is no need to ask torch, which takes seconds
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class Crew:
    """How many workers run at once, with how many threads each; gpus: what CUDA_VISIBLE_DEVICES is for each of them."""

    workers: int
    threads: int
    gpus: tuple[str, ...] = ()

    def environment(self, worker: int) -> Mapping[str, str]:
        """What the process of a worker, counted from 0, has in its environment."""
        own = {name: str(self.threads) for name in THREADS} | {"OMP_WAIT_POLICY": "PASSIVE"}
        return own | {"CUDA_VISIBLE_DEVICES": self.gpus[worker % len(self.gpus)]} if self.gpus else own


def crew_for(
    jobs: Sequence[Job], *, workers: int | None, cores: int, memory: int | None, needed: int, gpus: Sequence[str]
) -> Crew:
    """The crew for some jobs on a machine.

    workers: as many as the user asked for, None to choose; memory: bytes that there are, None if nobody knows; needed:
    bytes that one job takes at most; gpus: what CUDA_VISIBLE_DEVICES is to be for each GPU, empty without one.
    """
    asked = max((job.config.threads or 0 for job in jobs), default=0)
    many = max(1, len(jobs))
    if gpus and any(job.config.device != "cpu" for job in jobs):
        count = min(workers or len(gpus), many)
        return Crew(count, asked or max(1, cores // count), tuple(gpus))
    if workers is None:
        workers = max(1, cores // max(1, asked))
        if memory is not None and needed:
            workers = min(workers, max(1, memory // needed))
    workers = min(workers, many)
    return Crew(workers, asked or max(1, cores // workers))


def visible_gpus() -> tuple[str, ...]:
    """The name of each GPU for CUDA_VISIBLE_DEVICES; empty where there is none that torch can use."""
    if not any(Path(device).exists() for device in NVIDIA):
        return ()
    import torch

    count = torch.cuda.device_count()
    given = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return tuple(given[:count]) if given else tuple(str(number) for number in range(count))


def slurm_cores() -> int:
    """Cores that Slurm gave this task, which not every cluster enforces; a very large number outside of Slurm."""
    given = os.environ.get("SLURM_CPUS_PER_TASK") or os.environ.get("SLURM_CPUS_ON_NODE", "")
    return int(given) if given.isdigit() else sys.maxsize

"""A batch on a cluster: an array of Slurm jobs, each of which runs a part of the plan as one machine would.

The scheduler sees as many tasks as there are parts, not as many as there are pairs: 10,000 pairs are an array of some
hundred tasks that run for half an hour or so, and every worker loads its libraries once. When a task is about to be
preempted or runs out of its time, submitit puts it into the queue again, and it goes on where it was, since what is
done is known from the folders of the jobs.
"""

from __future__ import annotations

import importlib.util
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from otreg.batch.folder import clear, locked
from otreg.batch.job import JobResult
from otreg.batch.plans import Plan, Shard
from otreg.batch.running import Event, hopeless_jobs, run
from otreg.batch.summary import summarise
from otreg.errors import ArgumentError, MissingDependencyError, ResourceError

if TYPE_CHECKING:
    import submitit

TASK_SECONDS = 1800.0  # of estimated work for one task: long against its start, short against a day in the queue
MOST_TASKS = 1000  # Slurm's arrays have at most 1001 tasks unless the administrator allows more
TIMES_REQUEUED = 100  # after time-outs; preemptions are not counted
MINUTES = 60  # that a task may take unless the options say otherwise; then it is queued again
LOGS = "slurm"
# A part is run by one process, which starts the workers itself.
REFUSED = ("nodes", "ntasks_per_node")

Options = Mapping[str, str | int | float | bool]
log = logging.getLogger("otreg.batch")


@dataclass(frozen=True)
class Submission:
    """What was put into the queue.

    array: number of the array of tasks; tasks: how many; logs: folder of what they print. summary: number of the task
    that writes the summary when all have ended, None where nothing can wait for others.
    """

    array: str
    tasks: int
    logs: Path
    summary: str | None = None


@dataclass(frozen=True)
class PartTask:
    """What one task of an array does; pickled by submitit, which calls it on a node of the cluster."""

    plan: Plan
    keep_going: bool

    def __call__(self) -> int:
        """The number of jobs, all done. Raises RuntimeError when some are not: Slurm shows the task as failed."""
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
        summary = run(self.plan, keep_going=self.keep_going, on_event=_log)
        if not summary.all_well:
            raise RuntimeError(f"{summary.count('failed', 'busy', 'stopped')} jobs are not done: see {summary.path}")
        return len(summary.results)

    def checkpoint(self) -> submitit.helpers.DelayedSubmission:
        """What is queued when this task has to make way: the same, since what is done is skipped."""
        import submitit

        return submitit.helpers.DelayedSubmission(self)


@dataclass(frozen=True)
class SummaryTask:
    """Writes the summary of all parts."""

    plan: Plan

    def __call__(self) -> str:
        """Where it is."""
        return str(summarise(self.plan).path)


def submit(
    plan: Plan,
    *,
    options: Options,
    tasks: int | None = None,
    force: bool = False,
    keep_going: bool = False,
    cluster: Literal["slurm", "local"] = "slurm",
) -> Submission:
    """Puts a plan into the queue of a cluster and returns at once.

    options: of the tasks, as submitit names those of Slurm: partition, account, time in minutes, cpus_per_task, mem,
    gpus_per_node, array_parallelism, and so on. tasks: how many there are to be, None to choose by the estimated time.
    force, keep_going: as in :func:`otreg.batch.run`.
    cluster: "local" runs the tasks on this machine, without a scheduler, to try things out.
    Raises PlanError when there are problems, ArgumentError about the options, MissingDependencyError without submitit,
    ResourceError where there is no Slurm.
    """
    if importlib.util.find_spec("submitit") is None:
        raise MissingDependencyError(
            "the executor slurm needs the package submitit; install it: pip install 'otreg[slurm]'"
        )
    import submitit

    hopeless_jobs(plan, keep_going=keep_going)  # before it waits in a queue for a day
    count = tasks or _tasks(plan)
    parts = [plan.part(Shard(number, count)) for number in range(1, count + 1)]
    parts = [part for part in parts if part.jobs]
    logs = plan.folder / LOGS
    try:
        executor = submitit.AutoExecutor(
            folder=logs,
            cluster=cluster,
            slurm_max_num_timeout=TIMES_REQUEUED,
            local_max_num_timeout=TIMES_REQUEUED,
        )
    except RuntimeError as error:
        raise ResourceError("there is no Slurm here (no srun); run this on a login node of a cluster") from error
    _set_options(executor, {"job_name": "otreg", "time": MINUTES, **options})
    if force:
        _forget(plan)
    with executor.batch():  # one array
        queued = [executor.submit(PartTask(part, keep_going)) for part in parts]
    array = queued[0].job_id.split("_")[0]
    summary = None
    if cluster == "slurm":
        _set_options(executor, {"dependency": f"afterany:{array}", "time": MINUTES, "cpus_per_task": 1})
        summary = executor.submit(SummaryTask(plan)).job_id
    return Submission(array=array, tasks=len(queued), logs=logs, summary=summary)


def _tasks(plan: Plan) -> int:
    seconds = sum(estimate.seconds for estimate in plan.estimates.values())
    return max(1, min(math.ceil(seconds / TASK_SECONDS), len(plan.jobs), MOST_TASKS))


def _set_options(executor: submitit.AutoExecutor, options: Mapping[str, Any]) -> None:
    for name in REFUSED:
        if name in options:
            raise ArgumentError(f"slurm: {name} cannot be set; a task is one process that starts its workers itself")
    minutes = options.get("time")
    if minutes is not None and not isinstance(minutes, int):
        raise ArgumentError(f"slurm: time must be a whole number of minutes; got {minutes!r}. Write 480 for 8 hours")
    try:
        executor.update_parameters(**{f"slurm_{name}": value for name, value in options.items()})
    except (ValueError, NameError, TypeError) as error:
        raise ArgumentError(f"slurm: {' '.join(str(error).split())}") from error


def _forget(plan: Plan) -> None:
    """Lets all jobs count as not done. Tasks must not do that: one that is queued again would start from nothing."""
    for job in plan.jobs:
        if job.folder.is_dir():
            with locked(job.folder) as ours:
                if ours:
                    clear(job.folder)


def _log(event: Event) -> None:
    result: JobResult | None = event.result
    if event.kind == "started":
        log.info("%s: started", event.job.name)
    elif result is not None:
        again = " (it will be tried again)" if event.kind == "again" else ""
        log.info("%s: %s%s%s", event.job.name, result.status, f", {result.error}" if result.error else "", again)

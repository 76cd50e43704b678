"""Runs the jobs of a plan in worker processes, and tells what becomes of each.

The parent only hands out jobs and collects answers. Whether a job is done already, or being done by another batch, is
decided by the worker that gets it, under the lock of the job's folder, so that two batches never disagree.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import Any, Literal

from otreg.batch.crew import Crew, crew_for, slurm_cores, visible_gpus
from otreg.batch.job import Job, JobResult, result_of
from otreg.batch.plans import Plan, PlanError
from otreg.batch.slot import Slot
from otreg.batch.summary import Summary, write_summary
from otreg.batch.worker import Task
from otreg.doctor.machine import cores, memory
from otreg.errors import ResourceError


@dataclass(frozen=True)
class Event:
    """Something that happened to a job.

    kind: "started", "step" with the ``stage``, ``blur`` (diagonals of the target) and ``fraction`` of the work done,
    "again" when it failed and will be tried again, or "ended"; the last two with its result.
    worker: which one it runs in, counted from 0; process: the number of its process, when it starts.
    """

    kind: Literal["started", "step", "again", "ended"]
    job: Job
    worker: int | None = None
    process: int | None = None
    result: JobResult | None = None
    stage: str | None = None
    blur: float | None = None
    fraction: float | None = None


def run(
    plan: Plan,
    *,
    force: bool = False,
    keep_going: bool = False,
    on_event: Callable[[Event], None] | None = None,
) -> Summary:
    """Registers the pairs of a plan and returns what became of each of them; the summary is written as a file, too.

    force: also jobs that were done before with the same inputs and settings; keep_going: although some jobs cannot
    work, which then count as failed.
    on_event: called in this thread for whatever happens to a job.
    Raises PlanError when there are problems; ResourceError on systems that are not like Unix. A job that fails is a
    result. When anything is raised meanwhile, KeyboardInterrupt above all, running jobs are stopped, the summary is
    written, and the same call resumes.
    """
    if os.name != "posix":
        raise ResourceError(
            "a batch needs Linux or macOS; run it there or in WSL, or call otreg register for each pair"
        )
    hopeless = hopeless_jobs(plan, keep_going=keep_going)
    tell = on_event or (lambda event: None)
    results: dict[str, JobResult] = {}

    def settle(job: Job, result: JobResult, worker: int | None = None) -> None:
        results[job.name] = result
        tell(Event("ended", job, worker, result=result))

    try:
        for job in plan.jobs:
            if job.name in hopeless:
                settle(job, result_of(job, "failed", error=hopeless[job.name], attempts=0))
        todo = [job for job in plan.jobs if job.name not in hopeless]
        if todo:
            _Dispatch(plan, todo, force=force, tell=tell, settle=settle).run()
    finally:
        stopped = (results.get(job.name) or result_of(job, "stopped", attempts=0) for job in plan.jobs)
        summary = Summary(tuple(stopped), plan.summary)
        write_summary(summary)
    return summary


def crew_of(plan: Plan, jobs: Iterable[Job] | None = None) -> Crew:
    """The workers that some jobs of a plan, all by default, get on this machine."""
    jobs = plan.jobs if jobs is None else tuple(jobs)
    needed = max((estimate.memory for estimate in plan.estimates.values()), default=0)
    return crew_for(
        jobs,
        workers=plan.workers,
        cores=min(cores().allowed, slurm_cores()),
        memory=memory().available,
        needed=needed if plan.memory is None else min(needed, plan.memory),
        gpus=visible_gpus(),
    )


def hopeless_jobs(plan: Plan, *, keep_going: bool) -> dict[str, str]:
    """The problem of each job that has one, by its name. Raises PlanError unless they may be passed over."""
    own = {problem.job: problem.sentence for problem in plan.problems if problem.job is not None}
    common = [problem.sentence for problem in plan.problems if problem.job is None]
    if common or (own and not keep_going):
        raise PlanError(*plan.sentences())
    return own


class _Dispatch:
    """Hands jobs to slots: failures that may pass go to the end of the queue, and jobs of other batches after that."""

    def __init__(
        self,
        plan: Plan,
        jobs: list[Job],
        *,
        force: bool,
        tell: Callable[[Event], None],
        settle: Callable[[Job, JobResult, int | None], None],
    ) -> None:
        self.plan = plan
        self.tell = tell
        self.settle = settle
        self.waiting = deque(Task(job, attempt=1, force=force) for job in jobs)
        self.elsewhere: list[Task] = []
        self.last_look = False
        self.running: dict[int, Task] = {}
        self.messages: SimpleQueue[tuple[int, dict[str, Any]]] = SimpleQueue()
        self.crew = crew_of(plan, jobs)
        self.free = list(reversed(range(self.crew.workers)))
        self.slots: dict[int, Slot] = {}

    def run(self) -> None:
        """Returns when every job has its result; stops the workers on any exception."""
        with self._stopping():
            while self.waiting or self.running or self.elsewhere:
                if not (self.waiting or self.running):
                    # The other batch may have ended meanwhile. What it has done is not done anew, not even by force.
                    self.waiting.extend(replace(task, force=False) for task in self.elsewhere)
                    self.elsewhere, self.last_look = [], True
                while self.waiting and self.free:
                    self._start(self.waiting.popleft())
                self._hear(*self.messages.get())

    @contextmanager
    def _stopping(self) -> Iterator[None]:
        try:
            yield
        finally:
            for slot in self.slots.values():
                slot.stop()
            for slot in self.slots.values():
                slot.wait()
            while not self.messages.empty():  # what ended in the last moment
                number, message = self.messages.get()
                if message["kind"] == "ended" and number in self.running:
                    self.settle(self.running.pop(number).job, message["result"], number)

    def _start(self, task: Task) -> None:
        number = self.free.pop()
        if number not in self.slots:
            self.slots[number] = Slot(
                number,
                environment=self.crew.environment(number),
                memory=self.plan.memory,
                timeout=self.plan.timeout,
                tell=lambda *message: self.messages.put(message),
            )
        self.running[number] = task
        self.slots[number].give(task)

    def _hear(self, number: int, message: dict[str, Any]) -> None:
        task = self.running[number]
        if message["kind"] != "ended":
            self.tell(Event(job=task.job, worker=number, **message))
            return
        del self.running[number]
        self.free.append(number)
        result: JobResult = message["result"]
        if result.status == "busy" and not self.last_look:
            self.elsewhere.append(task)
        elif result.status == "failed" and result.retriable and task.attempt <= self.plan.retries:
            self.tell(Event("again", task.job, number, result=result))
            self.waiting.append(replace(task, attempt=task.attempt + 1))
        else:
            self.settle(task.job, result, number)

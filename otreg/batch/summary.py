"""The table of what became of the jobs of a batch, in memory and as ``summary.csv``."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from otreg.batch.folder import read_record
from otreg.batch.job import Job, JobResult, result_of
from otreg.batch.plans import Plan
from otreg.io import atomic_write

COLUMNS = tuple(field.name for field in fields(JobResult) if field.name != "retriable")


@dataclass(frozen=True)
class Summary:
    """What became of the jobs, in the order of the plan; path: of the table as a file."""

    results: tuple[JobResult, ...]
    path: Path

    def count(self, *statuses: str) -> int:
        """How many jobs have one of the statuses."""
        return sum(result.status in statuses for result in self.results)

    @property
    def all_well(self) -> bool:
        """Whether the results of every job are there."""
        return all(result.well for result in self.results)

    @property
    def all_converged(self) -> bool:
        """Whether every registration that is there converged."""
        return all(result.converged for result in self.results if result.well)


def summarise(plan: Plan) -> Summary:
    """What the folders of all jobs say now, also those that other shards and machines did; writes ``summary.csv``."""
    summary = Summary(tuple(_state(job) for job in plan.jobs), plan.summary)
    write_summary(summary)
    return summary


def write_summary(summary: Summary) -> None:
    """Writes the table, whole or not at all, over that of an earlier run. Raises OutputFileError."""
    with atomic_write(summary.path, overwrite=True) as temporary:
        # Names of files need not be UTF-8; Python carries their other bytes as surrogates.
        with temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
            table = csv.writer(file)
            table.writerow(COLUMNS)
            table.writerows(_rows(summary.results))


def _rows(results: Iterable[JobResult]) -> Iterable[list[Any]]:
    for result in results:
        yield [getattr(result, column) for column in COLUMNS]


def _state(job: Job) -> JobResult:
    record = read_record(job.folder)
    if record is None:
        return result_of(job, "stopped", attempts=0, note="not done yet")
    # Inputs are not hashed again: for a table of 10,000 jobs that would read every file twice.
    if any(record.request.get(key) != value for key, value in job.choices().items()):
        return result_of(job, "stopped", attempts=0, note="not done yet with these settings")
    if record.result.status == "done" and not record.complete(job.folder):
        return result_of(job, "stopped", attempts=0, note="not done, since files of its result are missing or changed")
    return record.result.named(job)

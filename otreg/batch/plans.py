"""What a batch is going to do: its jobs, and everything that is already known to be wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from otreg.batch.estimate import Estimate
from otreg.batch.job import Job
from otreg.errors import ArgumentError, SettingsError


@dataclass(frozen=True)
class Problem:
    """One sentence about what is wrong; job: the name of the only job that it concerns, None when it is the batch."""

    sentence: str
    job: str | None = None


@dataclass(frozen=True)
class Shard:
    """The ``number``-th of ``count`` parts of a batch, counted from 1: every ``count``-th job.

    The parts of a plan have no job in common, together they are all of it, and they take about equally long.
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise ArgumentError(
                f"a shard is a number from 1 to the number of shards; got {self.number}/{self.count}. Write 1/4 to 4/4"
            )

    @staticmethod
    def parse(text: str) -> Shard:
        """The shard that "2/8" means. Raises ArgumentError."""
        number, slash, count = text.partition("/")
        if not (slash and number.isascii() and number.isdigit() and count.isascii() and count.isdigit()):
            raise ArgumentError(f"a shard is written NUMBER/COUNT, like 2/8; got {text!r}")
        return Shard(int(number), int(count))


@dataclass(frozen=True)
class Plan:
    """The jobs of a batch in their order, and how they are to be run.

    folder: of the batch, which receives the summary; estimates: what a job will take, by its name, for those whose
    files can be read.
    workers: processes at once, None to choose; timeout: seconds for each attempt at a job, None for no limit; retries:
    further attempts after a failure that may pass; memory: most bytes for each worker, None for no limit.
    shard: which part of a larger plan this is, None for a whole one.
    """

    jobs: tuple[Job, ...]
    problems: tuple[Problem, ...]
    folder: Path
    estimates: Mapping[str, Estimate]
    workers: int | None = None
    timeout: float | None = None
    retries: int = 0
    memory: int | None = None
    shard: Shard | None = None

    @property
    def summary(self) -> Path:
        """Where the table of results is written."""
        of = "" if self.shard is None else f"-{self.shard.number}-of-{self.shard.count}"
        return self.folder / f"summary{of}.csv"

    def part(self, shard: Shard) -> Plan:
        """A part of this plan, as a plan with a summary of its own."""
        jobs = self.jobs[shard.number - 1 :: shard.count]
        names = {job.name for job in jobs}
        return replace(
            self,
            jobs=jobs,
            problems=tuple(problem for problem in self.problems if problem.job is None or problem.job in names),
            estimates={name: estimate for name, estimate in self.estimates.items() if name in names},
            shard=shard,
        )

    def sentences(self) -> tuple[str, ...]:
        """What is wrong, every sentence once: a template that is missing is missing for every job."""
        return tuple(dict.fromkeys(problem.sentence for problem in self.problems))


class PlanError(SettingsError):
    """A batch cannot be run as it is planned, because of its files: one line for each problem."""

    exit_code = 3

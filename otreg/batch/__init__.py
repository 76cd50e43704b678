"""Many registrations: a plan of jobs, worker processes that crash alone, and what became of every job.

    plan = otreg.batch.plan(otreg.config.BatchConfig(all="scans/*.ply", to="template.ply"))
    summary = otreg.batch.run(plan, on_event=print)

The names below are imported when they are first used: a plan needs no torch.
"""

from typing import TYPE_CHECKING

from otreg.lazy import importer

# Public name -> the module that defines it.
_HOME = {
    "Crew": "otreg.batch.crew",
    "Estimate": "otreg.batch.estimate",
    "Event": "otreg.batch.running",
    "Job": "otreg.batch.job",
    "JobResult": "otreg.batch.job",
    "Plan": "otreg.batch.plans",
    "PlanError": "otreg.batch.plans",
    "Problem": "otreg.batch.plans",
    "Shard": "otreg.batch.plans",
    "Submission": "otreg.batch.slurm",
    "Summary": "otreg.batch.summary",
    "crew_of": "otreg.batch.running",
    "plan": "otreg.batch.planning",
    "run": "otreg.batch.running",
    "submit": "otreg.batch.slurm",
    "summarise": "otreg.batch.summary",
}

__all__ = [
    "Crew",
    "Estimate",
    "Event",
    "Job",
    "JobResult",
    "Plan",
    "PlanError",
    "Problem",
    "Shard",
    "Submission",
    "Summary",
    "crew_of",
    "plan",
    "run",
    "submit",
    "summarise",
]

if TYPE_CHECKING:
    from otreg.batch.crew import Crew
    from otreg.batch.estimate import Estimate
    from otreg.batch.job import Job, JobResult
    from otreg.batch.planning import plan
    from otreg.batch.plans import Plan, PlanError, Problem, Shard
    from otreg.batch.running import Event, crew_of, run
    from otreg.batch.slurm import Submission, submit
    from otreg.batch.summary import Summary, summarise


__getattr__ = importer(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted(__all__)

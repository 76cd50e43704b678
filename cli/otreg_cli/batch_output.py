"""What a batch says on stdout: its plan, its table of results, or where it was put into a queue."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from otreg_cli.output import print_json, print_rows
from otreg_cli.progress import duration

if TYPE_CHECKING:
    from otreg.batch import Job, JobResult, Plan, Submission, Summary
    from otreg.batch.sizes import Size

GIGABYTE = 1e9
WORDS = {
    "done": "done",
    "skipped": "done before",
    "failed": "failed",
    "busy": "another batch is at it",
    "stopped": "not done",
}


def print_plan(plan: Plan, *, as_json: bool) -> None:
    """The jobs with their sizes and what they will take, and how they would be run."""
    from otreg.batch import crew_of

    crew = crew_of(plan)
    seconds = sum(estimate.seconds for estimate in plan.estimates.values()) / crew.workers
    if as_json:
        print_json(
            {
                "schema": "otreg.batch-plan/1",
                "jobs": [_job_record(job, plan) for job in plan.jobs],
                "problems": list(plan.sentences()),
                "workers": crew.workers,
                "threads": crew.threads,
                "gpus": list(crew.gpus),
                "seconds": seconds,
                "summary": str(plan.summary),
            }
        )
        return
    width = max((len(job.name) for job in plan.jobs), default=0)
    for job in plan.jobs:
        estimate = plan.estimates.get(job.name)
        what = "cannot be read"
        if estimate is not None:
            sizes = f"{_points(estimate.source)} to {_points(estimate.target)}"
            what = f"{sizes:<32}  {estimate.memory / GIGABYTE:5.1f} GB  {duration(estimate.seconds):>7}"
        click.echo(f"{job.name:<{width}}  {what}  {job.folder}")
    threads = f"{crew.threads} thread{'s' if crew.threads > 1 else ''} each"
    gpus = f", on {len(crew.gpus)} GPUs" if crew.gpus else ""
    print_rows(
        [
            ("jobs", str(len(plan.jobs))),
            ("workers", f"{crew.workers}, {threads}{gpus}"),
            ("time", f"about {duration(seconds)}, if nothing is done yet; memory and time are rough"),
            ("summary", str(plan.summary)),
        ]
    )


def print_problems(plan: Plan) -> None:
    """What is wrong with a plan, a line each, on stderr."""
    for sentence in plan.sentences():
        click.echo(f"otreg: error: {' '.join(sentence.split())}", err=True)


def print_summary(summary: Summary, *, as_json: bool) -> None:
    """How many jobs ended how, each that is not done with its reason, and where the table is."""
    if as_json:
        print_json(
            {
                "schema": "otreg.batch/1",
                "summary": str(summary.path),
                "all_well": summary.all_well,
                "results": [asdict(result) for result in summary.results],
            }
        )
        return
    for result in summary.results:
        if not result.well:
            click.echo(describe(result))
    counts = [f"{count} {word}" for status, word in WORDS.items() if (count := summary.count(status))]
    rows = [("jobs", ", ".join(counts))]
    if unsure := sum(result.well and not result.converged for result in summary.results):
        rows.append(("not converged", f"{unsure}, see the table"))
    print_rows([*rows, ("summary", str(summary.path))])


def print_submission(submission: Submission, plan: Plan, *, as_json: bool) -> None:
    """What was put into the queue, and how to look at it."""
    if as_json:
        print_json({"schema": "otreg.batch-submission/1", **asdict(submission), "logs": str(submission.logs)})
        return
    print_rows(
        [
            ("jobs", f"{len(plan.jobs)} in {submission.tasks} tasks"),
            ("array", f"{submission.array}: squeue -j {submission.array}, scancel {submission.array}"),
            ("summary", f"{plan.summary}, written by job {submission.summary} when all have ended"),
            ("logs", str(submission.logs)),
        ]
    )


def describe(result: JobResult) -> str:
    """One line about a job that has ended."""
    parts = [f"{result.name}: {WORDS[result.status]}"]
    if result.well and result.converged is False:
        parts.append("not converged")
    if result.divergence is not None:
        parts.append(f"divergence {result.divergence:.4g}")
    if result.status == "done" and result.seconds is not None:
        parts.append(duration(result.seconds))
    if result.attempts > 1:
        parts.append(f"attempt {result.attempts}")
    parts += [text for text in (result.error, result.note) if text]
    return ", ".join(parts)


def _points(size: Size) -> str:
    return f"{size.bytes / 1e6:.1f} MB" if size.points is None else f"{size.points} points"


def _job_record(job: Job, plan: Plan) -> dict[str, object]:
    estimate = plan.estimates.get(job.name)
    return {
        "name": job.name,
        "source": str(job.source),
        "target": str(job.target),
        "folder": str(job.folder),
        "estimate": None if estimate is None else asdict(estimate),
    }

"""otreg batch: register many pairs."""

from __future__ import annotations

from pathlib import Path

import click

from otreg_cli.options import PATH, debug_option, json_option, strict_option
from otreg_cli.progress_option import ProgressMode, chosen_progress, progress_option

SOME_FAILED, PROBLEMS = 1, 3


@click.command("batch")
@click.argument("config", type=PATH)
@click.option("-n", "--dry-run", is_flag=True, help="Print the jobs and every problem; write and compute nothing.")
@click.option("--force", is_flag=True, help="Redo what is done.")
@click.option("--keep-going", is_flag=True, help="Start although some jobs have problems; those count as failed.")
@click.option("--shard", metavar="I/N", help="Run only the I-th of N parts of the jobs.")
@click.option(
    "--executor",
    type=click.Choice(["local", "slurm"]),
    default="local",
    show_default=True,
    help="Run the jobs here, or put them into the queue of a Slurm cluster.",
)
@click.option("--summary-only", is_flag=True, help="Write the summary of what is done so far; run nothing.")
@json_option
@strict_option
@progress_option
@debug_option
@click.pass_context
def command(
    context: click.Context,
    *,
    config: Path,
    dry_run: bool,
    force: bool,
    keep_going: bool,
    shard: str | None,
    executor: str,
    summary_only: bool,
    as_json: bool,
    strict: bool,
    progress: ProgressMode | None,
    quiet: bool,
    verbose: bool,
) -> None:
    """Register all pairs that the YAML file CONFIG names, several at the same time.

    Each job writes into a folder of its own, and summary.csv beside them says what became of all. What is done, with
    the same files and settings, is skipped, so the same command goes on with what was stopped. Exit code 1: not every
    job is done.
    """
    import os

    from otreg import batch
    from otreg.config import RegisterConfig, environment_layer, load_batch
    from otreg.errors import NotConvergedError
    from otreg_cli.batch_output import print_plan, print_problems, print_submission, print_summary
    from otreg_cli.batch_progress import batch_progress
    from otreg_cli.output import print_warnings

    part = None if shard is None else batch.Shard.parse(shard)
    queued = executor == "slurm"
    if (part is not None) + summary_only + queued > 1:
        raise click.UsageError("--shard, --summary-only and --executor slurm exclude each other; give one of them.")
    if queued and strict:
        raise click.UsageError("--strict needs results; give it with --summary-only when the Slurm jobs have ended.")
    settings = load_batch(config, environment=os.environ)
    if not quiet:
        print_warnings(environment_layer(RegisterConfig, os.environ).warnings)
    plan = batch.plan(settings)
    if part is not None:
        plan = plan.part(part)
    if dry_run:
        print_plan(plan, as_json=as_json)
        print_problems(plan)
        context.exit(PROBLEMS if plan.problems else 0)
    if queued:
        submission = batch.submit(
            plan, options=settings.slurm, tasks=settings.shards, force=force, keep_going=keep_going
        )
        if as_json or not quiet:
            print_submission(submission, plan, as_json=as_json)
        return
    if summary_only:
        summary = batch.summarise(plan)
    else:
        with batch_progress(chosen_progress(progress, verbose=verbose, quiet=quiet), plan) as on_event:
            summary = batch.run(plan, force=force, keep_going=keep_going, on_event=on_event)
    if as_json or not quiet:
        print_summary(summary, as_json=as_json)
    if not summary.all_well:
        context.exit(SOME_FAILED)
    if strict and not summary.all_converged:
        count = sum(not result.converged for result in summary.results)
        raise NotConvergedError(f"{count} of {len(summary.results)} jobs did not converge: see {summary.path}")

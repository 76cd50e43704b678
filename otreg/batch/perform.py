"""One job from its lock to its record, inside a worker process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from traceback import print_exc
from typing import TYPE_CHECKING, Any

from otreg.batch.folder import LOG, clear, finished, locked, write_record
from otreg.batch.job import Job, JobResult, result_of
from otreg.batch.memory import forget_peak_memory, peak_memory
from otreg.errors import OtregError, ResourceError, is_out_of_memory

if TYPE_CHECKING:
    from otreg.registration import Step

OUT_OF_MEMORY = "not enough memory; use fewer workers, fewer points (sampling: 10000) or a coarser blur"


def perform(
    job: Job,
    *,
    attempt: int,
    force: bool,
    on_start: Callable[[], None],
    on_step: Callable[[Step], None],
    interrupted: Callable[[], bool] = lambda: False,
) -> JobResult:
    """Registers, unless that was done before or another process is at it, and records what became of the job.

    attempt: which one this is; force: also when it was done before.
    on_start: called when the work begins, on_step: after every step of it.
    interrupted: whether this process was interrupted; compiled code may make another exception of that.
    Whatever goes wrong with the job is its result; only an interrupt is raised, as KeyboardInterrupt.
    """
    try:
        with locked(job.folder) as ours:
            if not ours:
                return result_of(job, "busy")
            # Before the work: inputs that change meanwhile leave the job unfinished, not finished with wrong hashes.
            request = job.request()
            known = None if force else finished(job, request)
            if known is not None:
                return known
            # Imports torch, which takes seconds, once, and not at all where everything is done.
            import otreg.jobs.register  # noqa: F401

            on_start()
            return _register(job, request, attempt=attempt, on_step=on_step, interrupted=interrupted)
    except Exception as failure:
        if interrupted():
            raise KeyboardInterrupt from failure
        return failed(job, failure, attempt)


def _register(
    job: Job,
    request: dict[str, Any],
    *,
    attempt: int,
    on_step: Callable[[Step], None],
    interrupted: Callable[[], bool],
) -> JobResult:
    from otreg.jobs import Outputs, register_files

    clear(job.folder)
    forget_peak_memory()
    started = time.perf_counter()
    files: list[str] = []
    try:
        report = register_files(
            job.source,
            job.target,
            job.config,
            Outputs(directory=job.folder, overwrite=True),
            landmarks=job.landmarks,
            reading=job.reading,
            on_step=on_step,
        )
    except Exception as failure:
        if interrupted():  # not a failure, so nothing is recorded
            raise
        result = failed(job, failure, attempt)
    else:
        files = [path.name for path in report.files.values()]
        divergence = report.divergence.to_dict()
        result = result_of(
            job,
            "done",
            converged=report.converged,
            answer=report.status,
            divergence=divergence["value"],
            lower=divergence["lower"],
            upper=divergence["upper"],
            attempts=attempt,
            note="; ".join(report.warnings) or None,
        )
    result = replace(result, seconds=time.perf_counter() - started, peak_memory=peak_memory())
    write_record(job, result, request=request, files=files)
    return result


def failed(job: Job, failure: Exception, attempt: int) -> JobResult:
    """A result that says in one line what went wrong; a traceback goes to stderr, which is the job's log."""
    print_exc()
    if is_out_of_memory(failure) and not isinstance(failure, OtregError):
        failure = ResourceError(OUT_OF_MEMORY)
    if isinstance(failure, OtregError):
        error = " ".join(str(failure).split())
    elif isinstance(failure, OSError) and failure.strerror:
        error = f"{failure.filename}: {failure.strerror}" if failure.filename else failure.strerror
    else:
        text = " ".join(str(failure).split())
        error = f"{type(failure).__name__}: {text}; this is a bug in otreg, report what {job.folder / LOG} says"
    # The same file and the same settings are refused again; disks, memory and devices have their moods.
    retriable = not isinstance(failure, OtregError) or isinstance(failure, (OSError, ResourceError))
    return result_of(job, "failed", attempts=attempt, error=error, retriable=retriable)

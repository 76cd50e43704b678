"""The folder of a job: who works there now, and what was finished there.

``job.json`` is written after everything else, so what it says is complete; it holds the request (hashes and settings)
that the files answer, and the hash of the report, so that files which somebody replaced later are not taken for them.
A lock on ``.lock`` is held while a job runs. It belongs to the process: when that dies, however, it is free.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

import otreg
from otreg.batch.job import Job, JobResult
from otreg.errors import OtregError, OutputFileError
from otreg.io import file_hash, read_json, write_json

RECORD, REPORT, LOG, LOCK = "job.json", "report.json", "log.txt", ".lock"
SCHEMA = "otreg.job/1"
# What an atomic write leaves when its process is killed: .NAME.TWELVE HEXADECIMAL DIGITS.SUFFIX
TEMPORARY = re.compile(r"\..+\.[0-9a-f]{12}(\.\w+)*")


@contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Whether the folder is this process' own inside the block; false when another process works there.

    The folder is created. Raises OutputFileError when it cannot be.
    """
    lock = FileLock(folder / LOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout:
        yield False
        return
    except OSError as error:
        raise OutputFileError(f"{folder}: cannot be used for results: {error.strerror or error}") from error
    try:
        yield True
    finally:
        lock.release()


@dataclass(frozen=True)
class Record:
    """The content of ``job.json``: what became of a job, and to which request its files are the answer.

    files: names of the files in the folder; report: hash of the report among them, None when there is none.
    version: of the otreg that wrote it.
    """

    result: JobResult
    request: dict[str, Any]
    files: tuple[str, ...]
    report: str | None
    version: str

    def complete(self, folder: Path) -> bool:
        """Whether every file is still there, and the report is still the one that was written with them."""
        there = all((folder / name).is_file() for name in self.files)
        return there and REPORT in self.files and file_hash(folder / REPORT) == self.report


def read_record(folder: Path) -> Record | None:
    """What a job's folder says about its last run; None when it says nothing that can be understood."""
    try:
        content = read_json(folder / RECORD)
        if content["schema"] != SCHEMA:
            return None
        return Record(
            result=JobResult(**content["result"]),
            request=content["request"],
            files=tuple(content["files"]),
            report=content["report"],
            version=content["otreg"],
        )
    except (OtregError, KeyError, TypeError):  # not there, or not ours: the job is done anew
        return None


def finished(job: Job, request: dict[str, Any]) -> JobResult | None:
    """What an earlier run found for exactly this request; None when there is none, or when anything differs."""
    record = read_record(job.folder)
    if record is None or record.result.status != "done" or record.request != request:
        return None
    if not record.complete(job.folder):
        return None
    note = record.result.note
    if record.version != otreg.__version__:
        older = f"found by otreg {record.version}, this is {otreg.__version__}; --force finds it anew"
        note = older if note is None else f"{older}; {note}"
    return replace(record.result.named(job), status="skipped", note=note)


def write_record(job: Job, result: JobResult, *, request: dict[str, Any], files: Sequence[str]) -> None:
    """Writes what became of a job into its folder; files: the names in it that the answer consists of."""
    content = {
        "schema": SCHEMA,
        "result": asdict(result),
        "request": request,
        "files": list(files),
        "report": file_hash(job.folder / REPORT) if REPORT in files else None,
        "otreg": otreg.__version__,
    }
    write_json(job.folder / RECORD, content, overwrite=True)


def clear(folder: Path) -> None:
    """Removes what says that a job is finished, and what writers that were killed left; other files stay."""
    for path in folder.iterdir():
        if path.name in (RECORD, REPORT) or TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)

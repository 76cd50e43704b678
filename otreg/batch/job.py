"""One registration of a batch: which files, which settings, which folder; and what became of it.

A job is its folder: whatever is known of it afterwards lies there, so that a batch can be stopped, resumed, cut into
shards and run twice at once without a central list that could be wrong.
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from otreg.config import INIT_WORDS, RegisterConfig
from otreg.io import file_hash
from otreg.jobs import Reading

Status = Literal["done", "skipped", "failed", "busy", "stopped"]


@dataclass(frozen=True)
class Job:
    """A registration of ``source`` onto ``target`` with ``config`` that writes into ``folder``.

    name: of the folder below that of the batch, so one of a kind.
    landmarks: files of corresponding points, of the source and of the target.
    place: where the pair stands in the user's files, for messages; empty when it stands in none.
    """

    name: str
    source: Path
    target: Path
    config: RegisterConfig
    folder: Path
    landmarks: tuple[Path, Path] | None = None
    reading: Reading = field(default_factory=Reading)
    place: str = ""

    @property
    def inputs(self) -> dict[str, Path]:
        """Every file that the answer depends on, by its role."""
        files = {"source": self.source, "target": self.target}
        if self.landmarks is not None:
            files["source landmarks"], files["target landmarks"] = self.landmarks
        if self.config.init not in INIT_WORDS:
            files["init"] = Path(self.config.init)
        return files

    def choices(self) -> dict[str, Any]:
        """Everything besides the files that the answer depends on, in pure JSON types."""
        return {
            "settings": self.config.model_dump(mode="json"),
            "reading": {
                "format": self.reading.format,
                "drop_invalid": self.reading.drop_invalid,
                "max_points": self.reading.max_points,
            },
        }

    def request(self) -> dict[str, Any]:
        """The hash of every input, and the choices: two equal requests have one answer.

        Raises InputFileError when an input cannot be read.
        """
        return {"inputs": {role: _hash(path) for role, path in self.inputs.items()}, **self.choices()}


@dataclass(frozen=True)
class JobResult:
    """What became of a job: one row of the summary.

    status: "done" now, "skipped" because it was done before, "failed" with an ``error``, "busy" because another batch
    is at it, or "stopped" because the batch ended before the job did.
    converged, answer: of the registration, whether and how it ended.
    divergence, lower, upper: in squared file units; seconds: of the job; peak_memory: in bytes, of the process that ran
    it; attempts: how often it was tried; retriable: whether another attempt could end otherwise; note: what else a user
    should know. None where there is nothing to say.
    """

    name: str
    source: str
    target: str
    folder: str
    status: Status
    converged: bool | None = None
    answer: str | None = None
    divergence: float | None = None
    lower: float | None = None
    upper: float | None = None
    seconds: float | None = None
    peak_memory: int | None = None
    attempts: int = 1
    error: str | None = None
    retriable: bool = False
    note: str | None = None

    @property
    def well(self) -> bool:
        """Whether the job's files are there."""
        return self.status in ("done", "skipped")

    def named(self, job: Job) -> JobResult:
        """The same with the names of a job: its files may have had others when it was done."""
        return replace(self, name=job.name, source=str(job.source), target=str(job.target), folder=str(job.folder))


def result_of(job: Job, status: Status, **others: Any) -> JobResult:
    """A result of a job; others: its other fields."""
    return JobResult("", "", "", "", status, **others).named(job)


def _hash(path: Path) -> str:
    """The hash of a file's bytes; a template that every job of a worker uses is read once."""
    try:
        status = os.stat(path)
    except OSError:
        return file_hash(path)  # which says what is wrong
    return _hash_of_version(path, status.st_ino, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _hash_of_version(path: Path, _inode: int, _size: int, _changed: int) -> str:
    return file_hash(path)

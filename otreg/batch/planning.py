"""From a batch's configuration to its jobs, with every problem that can be found without reading whole files.

A night is lost when the first error shows at two o'clock, so all files are looked at before the first job, and all
problems are told at once.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from otreg.batch.estimate import Estimate, estimate
from otreg.batch.folder import LOCK, REPORT
from otreg.batch.job import Job
from otreg.batch.plans import Plan, Problem
from otreg.batch.sizes import Size, size_of
from otreg.config import BatchConfig, BatchPair
from otreg.errors import OtregError
from otreg.io.source import regular_file
from otreg.jobs import Reading
from otreg.jobs.outputs import check_outputs

SUMMARY = re.compile(r"summary(-\d+-of-\d+)?\.csv")


def plan(config: BatchConfig) -> Plan:
    """The jobs that a configuration asks for, and what is wrong with them; nothing is written or computed.

    Pairs come first, then the rows of the table, then ``all`` onto ``to``, then ``every`` file onto every other; files
    of a pattern in the order of their names. What jobs wrote, and the file ``to`` itself, are no sources of a pattern.
    Raises SettingsError and InputFileError about the table.
    """
    problems: list[Problem] = []
    pairs = [*config.listed_pairs(), *_globbed(config, problems)]
    reading = Reading(format=config.format, drop_invalid=config.drop_invalid, max_points=config.max_points)
    jobs = tuple(_job(pair, index, config, reading) for index, pair in enumerate(pairs, start=1))
    if not jobs and not problems:
        problems.append(Problem("no pair is left; the patterns match nothing but the template and results"))
    problems += _clashes(jobs, config)
    estimates: dict[str, Estimate] = {}
    look = _each_file_once(reading)
    for job in jobs:
        found = [message for path in job.inputs.values() if isinstance(message := look(path, job), str)]
        source, target = look(job.source, job), look(job.target, job)
        if isinstance(source, Size) and isinstance(target, Size):
            estimates[job.name] = estimate(source, target, job.config)
        where = f"{job.place}: " if job.place else ""
        found += _unwritable(job)
        problems += [Problem(where + message, job.name) for message in dict.fromkeys(found)]
    return Plan(
        jobs=jobs,
        problems=tuple(problems),
        folder=config.output_dir,
        estimates=estimates,
        workers=config.workers,
        timeout=config.timeout,
        retries=config.retries,
        memory=config.memory,
    )


def _globbed(config: BatchConfig, problems: list[Problem]) -> Iterator[BatchPair]:
    if config.to is not None:
        for source in _files(config.all, "all", config, problems):
            if not _same(source, config.to):
                yield _pair(source, config.to, config)
    every = _files(config.every, "every", config, problems)
    if len(every) == 1:
        problems.append(Problem(f"every: needs two files at least; the patterns match only {every[0]}"))
    for source in every:
        yield from (_pair(source, target, config) for target in every if target != source)


def _files(patterns: tuple[str, ...], key: str, config: BatchConfig, problems: list[Problem]) -> list[Path]:
    """The files of some patterns, each once; a problem for every pattern without any."""
    found: dict[Path, None] = {}
    results = os.path.realpath(config.output_dir)

    def written(path: Path) -> bool:
        return (path.parent / LOCK).exists() or _is_summary(os.path.realpath(path), results)

    for pattern in patterns:
        paths = [Path(name) for name in sorted(glob.glob(pattern, recursive=True))]
        files = [path for path in paths if not path.is_dir() and not written(path)]
        if not files:
            problems.append(Problem(f"{key}: no file matches {pattern}; correct the pattern or leave it out"))
        found |= dict.fromkeys(files)
    return list(found)


def _pair(source: Path, target: Path, config: BatchConfig) -> BatchPair:
    stems = {"source": source.stem, "target": target.stem}
    landmarks = None
    if config.source_landmarks is not None and config.target_landmarks is not None:
        landmarks = (
            Path(config.source_landmarks.format(**stems)),
            Path(config.target_landmarks.format(**stems)),
        )
    return BatchPair(
        source=source,
        target=target,
        name=f"{source.stem}_to_{target.stem}",
        settings=config.settings,
        landmarks=landmarks,
    )


def _job(pair: BatchPair, index: int, config: BatchConfig, reading: Reading) -> Job:
    name = config.output.format(name=pair.name, source=pair.source.stem, target=pair.target.stem, index=index)
    return Job(
        name=name,
        source=pair.source,
        target=pair.target,
        config=pair.settings,
        folder=config.output_dir / name,
        landmarks=pair.landmarks,
        reading=reading,
        place=pair.where,
    )


def _clashes(jobs: tuple[Job, ...], config: BatchConfig) -> Iterator[Problem]:
    """Folders that two jobs have, that are not below that of the batch, or that hold an input."""
    results = os.path.realpath(config.output_dir)
    owners: dict[str, Job] = {}
    for job in jobs:
        folder = os.path.realpath(job.folder)
        if not folder.startswith(results + os.sep):
            yield Problem(f"{job.folder}: must be a folder below {config.output_dir}; choose another name for the job")
        if folder in owners:
            other = owners[folder]
            yield Problem(
                f"{job.folder}: is the output of two jobs, of {other.source} to {other.target} and of {job.source} to "
                f"{job.target}; give them different names, or write {{index}} into output"
            )
        owners.setdefault(folder, job)
    inputs = {os.path.realpath(path): path for job in jobs for path in job.inputs.values()}
    if config.table is not None:
        inputs[os.path.realpath(config.table)] = config.table
    for real, path in inputs.items():
        owner = next((owners[above] for above in _above(real) if above in owners), None)
        if owner is not None:
            yield Problem(
                f"{path}: is an input, and lies in the output folder of job {owner.name}; choose another output"
            )
        if _is_summary(real, results):
            yield Problem(f"{path}: is an input, and the summary is to be written there; choose another output_dir")


def _each_file_once(reading: Reading) -> Callable[[Path, Job], Size | str]:
    """A function from a file to its size, or to the sentence that says what is wrong with it."""
    known: dict[tuple[Path, bool], Size | str] = {}

    def look(path: Path, job: Job) -> Size | str:
        shape = path in (job.source, job.target)
        if (path, shape) not in known:
            try:
                known[path, shape] = size_of(path, reading) if shape else Size(regular_file(path), None)
            except OtregError as error:
                known[path, shape] = str(error)
        return known[path, shape]

    return look


def _unwritable(job: Job) -> list[str]:
    try:
        check_outputs([job.folder / REPORT], inputs=[], overwrite=True)
    except OtregError as error:
        return [str(error)]
    return []


def _same(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _is_summary(real: str, results: str) -> bool:
    folder, name = os.path.split(real)
    return folder == results and SUMMARY.fullmatch(name) is not None


def _above(real: str) -> list[str]:
    return [str(parent) for parent in Path(real).parents]

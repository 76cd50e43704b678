"""otreg batch as users run it: the installed command, on many small clouds, with whatever may happen to it."""

import csv
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from otreg.batch import plan
from otreg.config import load_batch
from otreg.jobs import Outputs, register_files

from .records import checked
from .signals import listening

OUTPUTS = ("registered.csv", "transform.json", "transform.txt", "brenier.vtu")
SETTINGS = "settings: {init: none, iterations: 3, threads: 1}\n"
SCRIPT = Path(sys.executable).parent / "otreg"


def batch_of(folder: Path, count: int, *, workers: int = 2, more: str = "") -> Path:
    """So many clouds, a template, and a configuration that registers them onto it."""
    rng = np.random.default_rng(0)
    (folder / "scans").mkdir(parents=True)
    for name in [f"scans/s{number:03d}.csv" for number in range(count)] + ["template.csv"]:
        np.savetxt(folder / name, rng.normal(size=(30, 3)) * [3.0, 2.0, 1.0], delimiter=",")
    path = folder / "batch.yaml"
    path.write_text(f"all: scans/*.csv\nto: template.csv\noutput: '{{source}}'\nworkers: {workers}\n{more}{SETTINGS}")
    return path


def rows(folder: Path, name: str = "summary.csv") -> dict[str, dict[str, str]]:
    with (folder / "results" / name).open(newline="", encoding="utf-8") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def counts(folder: Path, name: str = "summary.csv") -> dict[str, int]:
    found: dict[str, int] = {}
    for row in rows(folder, name).values():
        found[row["status"]] = found.get(row["status"], 0) + 1
    return found


@contextmanager
def running(path: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The command in a process group of its own, which it does not outlive."""
    with subprocess.Popen(
        [str(SCRIPT), "batch", str(path), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=listening,
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def events(child: subprocess.Popen[str]) -> Iterator[dict]:
    """What ``--progress json`` says, as it comes."""
    assert child.stderr is not None
    for line in child.stderr:
        if line.startswith("{"):
            yield checked(line)


def alive(process: int) -> bool:
    """Whether a process runs; one whose parent has not asked how it ended does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def check_same_as_alone(path: Path, tmp_path: Path, *, besides: frozenset[str] = frozenset()) -> None:
    """Every result of the batch is bit for bit that of a registration by itself."""
    for job in plan(load_batch(path)).jobs:
        if job.name not in besides:
            alone = tmp_path / "alone" / job.name
            register_files(job.source, job.target, job.config, Outputs(directory=alone))
            for name in OUTPUTS:
                assert (alone / name).read_bytes() == (job.folder / name).read_bytes(), (job.name, name)


def test_a_dry_run_prints_jobs_and_problems_and_writes_nothing(otreg_here, tmp_path) -> None:
    path = batch_of(tmp_path, 3)
    before = sorted(tmp_path.rglob("*"))
    answer = otreg_here("batch", path, "--dry-run")
    assert answer.returncode == 0 and answer.stderr == ""
    assert "s001" in answer.stdout and "2, 1 thread each" in answer.stdout
    (tmp_path / "scans" / "s001.csv").write_text("")
    (tmp_path / "template.csv").unlink()
    answer = otreg_here("batch", path, "--dry-run", "--json")
    assert answer.returncode == 3
    found = checked(answer.stdout)
    assert found["schema"] == "otreg.batch-plan/1" and len(found["jobs"]) == 3
    assert answer.stderr.count("\n") == len(found["problems"]) == 2
    assert "s001.csv: the file is empty" in answer.stderr and "template.csv: no such file" in answer.stderr
    answer = otreg_here("batch", path)
    assert answer.returncode == 3 and "s001.csv: the file is empty" in answer.stderr
    assert sorted(tmp_path.rglob("*")) == [found for found in before if found.name != "template.csv"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shard", "3/2"], "a shard is a number from 1"),
        (["--shard", "1/2", "--summary-only"], "exclude each other"),
        (["--summary-only", "--executor", "slurm"], "exclude each other"),
        (["--strict", "--executor", "slurm"], "needs results"),
    ],
)
def test_wrong_use_is_exit_code_2(otreg_here, tmp_path, arguments, message) -> None:
    answer = otreg_here("batch", batch_of(tmp_path, 1), *arguments)
    assert answer.returncode == 2 and message in answer.stderr


def test_a_batch_with_a_typo_is_exit_code_2_and_names_the_line(otreg_here, tmp_path) -> None:
    path = batch_of(tmp_path, 1, more="retrys: 3\n")
    answer = otreg_here("batch", path)
    assert answer.returncode == 2 and "batch.yaml:5" in answer.stderr and "retries" in answer.stderr


def test_a_batch_with_bad_files_and_a_killed_worker_is_killed_resumed_and_complete(otreg_here, tmp_path) -> None:
    """Twelve jobs: one has a point that is not finite, one's worker is killed, and then the batch itself is."""
    path = batch_of(tmp_path, 12)
    bad = tmp_path / "scans" / "s003.csv"
    bad.write_text("nan,0,0\n" + bad.read_text())
    with running(path, "--progress", "json") as child:
        ended, processes = 0, set()
        for event in events(child):
            processes |= {event["process"]} - {None}
            if event["kind"] == "started" and event["job"] == "s001":
                os.kill(event["process"], signal.SIGKILL)
            ended += event["kind"] == "ended"
            if ended == 5:
                child.kill()  # -9: it cannot tidy up
                break
    deadline = time.monotonic() + 20
    while any(alive(process) for process in processes):
        assert time.monotonic() < deadline, "workers must not outlive the batch"
        time.sleep(0.1)
    assert len(processes) >= 2 and not (tmp_path / "results" / "summary.csv").exists()
    answer = otreg_here("batch", path, "--summary-only")
    assert answer.returncode == 1 and counts(tmp_path)["done"] >= 3

    answer = otreg_here("batch", path)
    assert answer.returncode == 1
    assert counts(tmp_path).keys() == {"done", "skipped", "failed"}
    assert counts(tmp_path)["failed"] == 1 and counts(tmp_path)["skipped"] >= 3
    assert "s003: failed" in answer.stdout and "--drop-invalid" in rows(tmp_path)["s003"]["error"]
    check_same_as_alone(path, tmp_path, besides=frozenset({"s003"}))

    bad.write_text(bad.read_text().partition("\n")[2])
    answer = otreg_here("batch", path, "--json", "--strict")
    found = checked(answer.stdout)
    assert found["schema"] == "otreg.batch/1" and found["all_well"] and len(found["results"]) == 12
    converged = all(row["converged"] == "True" for row in rows(tmp_path).values())
    assert answer.returncode == (0 if converged else 4)
    assert [path for path in (tmp_path / "results").rglob(".*") if path.name != ".lock"] == []
    checked((tmp_path / "results" / "s000" / "job.json").read_text())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_the_workers_and_leaves_a_summary(tmp_path, number, code) -> None:
    path = batch_of(tmp_path, 40)
    with running(path, "--progress", "json") as child:
        processes = set()
        for event in events(child):
            processes |= {event["process"]} - {None}
            if event["kind"] == "ended":
                child.send_signal(number)
                break
        assert child.stderr is not None
        error = [line for line in child.stderr if not line.startswith("{")]
        assert child.wait(timeout=60) == code
    assert len(error) == 1 and error[0].startswith("otreg: error: ")
    assert counts(tmp_path).keys() == {"done", "stopped"} and len(rows(tmp_path)) == 40
    assert processes and not any(alive(process) for process in processes)
    assert [path for path in (tmp_path / "results").rglob(".*") if path.name != ".lock"] == []


def test_the_parts_of_a_batch_make_up_the_whole(otreg_here, tmp_path) -> None:
    path = batch_of(tmp_path, 5, workers=1)
    assert otreg_here("batch", path, "--shard", "1/2").returncode == 0
    assert counts(tmp_path, "summary-1-of-2.csv") == {"done": 3}
    assert otreg_here("batch", path, "--summary-only").returncode == 1
    assert counts(tmp_path) == {"done": 3, "stopped": 2}
    assert otreg_here("batch", path, "--shard", "2/2").returncode == 0
    assert otreg_here("batch", path, "--summary-only").returncode == 0
    assert counts(tmp_path) == {"done": 5}


def test_two_batches_at_once_share_the_jobs(otreg_here, tmp_path) -> None:
    path = batch_of(tmp_path, 12)
    with running(path) as first, running(path) as second:
        texts = [child.communicate(timeout=200) for child in (first, second)]
    # Each says of what the other one was still doing at its end that it is not known to be done.
    for child, (out, _) in zip((first, second), texts, strict=True):
        assert child.returncode == ("another batch is at it" in out), out
    together = "".join(error for _, error in texts)
    assert all(together.count(f"s{number:03d}: done, ") == 1 for number in range(12)), together
    assert otreg_here("batch", path, "--summary-only").returncode == 0
    check_same_as_alone(path, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_hundred_jobs_with_failures_are_killed_and_resumed_until_all_is_done(otreg_here, tmp_path) -> None:
    path = batch_of(tmp_path, 200, more="memory: 600 MB\nretries: 1\n")
    choose = random.Random(0)
    for name in ("s020", "s120"):
        bad = tmp_path / "scans" / f"{name}.csv"
        bad.write_text("nan,0,0\n" + bad.read_text())
    np.save(tmp_path / "huge.npy", np.zeros((8_000_000, 3)) + np.arange(3.0))
    with path.open("a") as file:
        file.write("pairs: [{source: huge.npy, target: template.csv, name: huge}]\n")
    victims = {f"s{choose.randrange(200):03d}" for _ in range(4)}
    for stop in [choose.randrange(5, 50) for _ in range(3)]:
        with running(path, "--progress", "json") as child:
            done = 0
            for event in events(child):
                if event["kind"] == "started" and event["job"] in victims:
                    victims.discard(event["job"])
                    os.kill(event["process"], signal.SIGKILL)
                done += event["kind"] == "ended" and event["result"]["status"] == "done"
                if done == stop:
                    time.sleep(choose.uniform(0, 0.3))
                    child.send_signal(choose.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
                    break
            child.wait(timeout=60)
    answer = otreg_here("batch", path)
    assert answer.returncode == 1
    found = rows(tmp_path)
    assert {name for name, row in found.items() if row["status"] == "failed"} == {"huge", "s020", "s120"}
    assert "memory" in found["huge"]["error"]
    assert len(found) == 201 and counts(tmp_path)["done"] + counts(tmp_path)["skipped"] == 198
    check_same_as_alone(path, tmp_path, besides=frozenset({"huge", "s020", "s120"}))
    alone = tmp_path / "command"
    one = [tmp_path / "scans" / "s000.csv", tmp_path / "template.csv", "-d", alone]
    assert otreg_here("register", *one, "--init", "none", "--iterations", 3, "--threads", 1).returncode == 0
    for name in OUTPUTS:
        results = [
            hashlib.sha256((folder / name).read_bytes()).digest() for folder in (alone, path.parent / "results/s000")
        ]
        assert results[0] == results[1], name

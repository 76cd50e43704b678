"""What happens to the jobs of a batch when all goes well, and when things go wrong around them."""

import csv
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from otreg.batch import Event, Shard, run, summarise
from otreg.batch.folder import locked, write_record
from otreg.batch.job import result_of
from otreg.batch.slot import Slot
from otreg.batch.worker import Task
from otreg.io import read_shape
from otreg.jobs import Outputs, register_files

from .clouds import cloud, planned, scans

OUTPUTS = ("registered.csv", "transform.json", "transform.txt", "brenier.vtu")


def statuses(summary) -> dict[str, str]:
    return {result.name: result.status for result in summary.results}


def table(path: Path) -> dict[str, dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def test_a_batch_gives_what_single_registrations_give_bit_for_bit_and_is_not_done_twice(tmp_path) -> None:
    found = planned(scans(tmp_path, 4), workers=2, settings={"init": "none", "iterations": 3, "threads": 1})
    events: list[Event] = []
    summary = run(found, on_event=events.append)
    assert set(statuses(summary).values()) == {"done"} and summary.all_well
    assert sum(event.kind == "started" for event in events) == 4
    for job in found.jobs:
        alone = tmp_path / "alone" / job.name
        register_files(job.source, job.target, job.config, Outputs(directory=alone))
        for name in OUTPUTS:
            assert (alone / name).read_bytes() == (job.folder / name).read_bytes(), name
    rows = table(summary.path)
    assert list(rows) == [job.name for job in found.jobs]
    report = json.loads((found.jobs[0].folder / "report.json").read_text())
    row = rows["s000"]
    assert float(row["divergence"]) == report["divergence"]["value"]
    assert float(row["lower"]) <= float(row["divergence"]) <= float(row["upper"])
    assert row["status"] == "done" and float(row["seconds"]) > 0 and int(row["peak_memory"]) > 50e6

    changed = {job.name: (job.folder / "report.json").stat().st_mtime_ns for job in found.jobs}
    again = run(found)
    assert set(statuses(again).values()) == {"skipped"} and again.all_well
    assert [result.divergence for result in again.results] == [result.divergence for result in summary.results]

    # Each of these makes exactly one job unfinished: another input, a lost file, a report that is not the job's.
    cloud(found.jobs[0].source, 77)
    (found.jobs[1].folder / "registered.csv").unlink()
    (found.jobs[2].folder / "report.json").write_text("{}")
    third = run(found)
    assert statuses(third) == {"s000": "done", "s001": "done", "s002": "done", "s003": "skipped"}
    assert (found.jobs[3].folder / "report.json").stat().st_mtime_ns == changed["s003"]

    forced = run(found.part(Shard(4, 4)), force=True)
    assert statuses(forced) == {"s003": "done"} and forced.path.name == "summary-4-of-4.csv"
    assert summarise(found).all_well
    other = planned(tmp_path, settings={"init": "none", "iterations": 4, "threads": 1})
    assert set(statuses(summarise(other)).values()) == {"stopped"}, "other settings are another request"


def test_a_failing_job_does_not_stop_the_others_and_only_it_is_done_again(tmp_path) -> None:
    scans(tmp_path, 3)
    bad = tmp_path / "scans" / "s001.csv"
    good = bad.read_text()
    bad.write_text(good.replace(good.split(",")[0], "nan", 1))
    found = planned(tmp_path, workers=1, retries=2)
    summary = run(found)
    assert statuses(summary) == {"s000": "done", "s001": "failed", "s002": "done"}
    failed = summary.results[1]
    assert "s001.csv" in (failed.error or "") and "--drop-invalid" in (failed.error or "")
    assert failed.attempts == 1, "the same file is refused again, so it is not tried again"
    assert "Traceback" in (found.jobs[1].folder / "log.txt").read_text()
    assert table(summary.path)["s001"]["error"] == failed.error
    assert statuses(summarise(found)) == {"s000": "done", "s001": "failed", "s002": "done"}
    bad.write_text("")
    summary = run(planned(tmp_path, workers=1), keep_going=True)
    assert statuses(summary) == {"s000": "skipped", "s001": "failed", "s002": "skipped"}
    assert "the file is empty" in (summary.results[1].error or "")
    bad.write_text(good)
    assert statuses(run(found)) == {"s000": "skipped", "s001": "done", "s002": "skipped"}


def test_a_worker_that_is_killed_takes_only_its_job_along_and_the_job_is_tried_again(tmp_path) -> None:
    scans(tmp_path, 3)
    found = planned(tmp_path, workers=1, retries=1)
    kills = {"s000": 1, "s001": 2}

    def kill(event: Event) -> None:
        if event.kind == "started" and kills.get(event.job.name):
            kills[event.job.name] -= 1
            assert event.process is not None
            os.kill(event.process, signal.SIGKILL)

    summary = run(found, on_event=kill)
    assert statuses(summary) == {"s000": "done", "s001": "failed", "s002": "done"}
    assert [result.attempts for result in summary.results] == [2, 2, 1]
    assert "SIGKILL" in (summary.results[1].error or "")
    assert statuses(summarise(found))["s001"] == "failed"


def test_a_process_that_is_lost_after_its_job_had_ended_takes_no_result_along(tmp_path) -> None:
    found = planned(scans(tmp_path, 1), workers=1)
    (job,) = found.jobs
    job.folder.mkdir(parents=True)
    (job.folder / "report.json").write_text("{}")
    done = result_of(job, "done", converged=True)
    write_record(job, done, request=job.request(), files=["report.json"])
    slot = Slot(0, environment={}, memory=None, timeout=None, tell=lambda *_: None)
    try:
        assert slot._lost(Task(job, 1, False), 0.0, -signal.SIGKILL) == done
        (job.folder / "job.json").unlink()
        lost = slot._lost(Task(job, 1, False), 0.0, -signal.SIGSEGV)
        assert lost.status == "failed" and "SIGSEGV" in (lost.error or "")
    finally:
        slot.stop()
        slot.wait()


def test_a_system_that_starts_no_more_processes_makes_jobs_fail_and_not_wait(tmp_path, monkeypatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("otreg.batch.slot.subprocess.Popen", refuse)
    summary = run(planned(scans(tmp_path, 2)))
    assert {result.status for result in summary.results} == {"failed"}
    assert "could not be started: Resource temporarily unavailable" in (summary.results[0].error or "")


def test_a_job_that_hangs_is_ended_after_its_time(tmp_path) -> None:
    scans(tmp_path, 1)
    slow = cloud(tmp_path / "slow.csv", 0, points=3000)
    endless = {"optimizer": "adam", "iterations": 10**6, "tolerance": 1e-12}
    files = {"source": slow, "target": tmp_path / "template.csv", "name": "slow", "settings": endless}
    summary = run(planned(tmp_path, pairs=[files], output="{name}", workers=1, timeout=10.0))
    assert [result.status for result in summary.results] == ["failed", "done"]
    assert "took longer than 10 s" in (summary.results[0].error or "")
    assert 10 <= (summary.results[0].seconds or 0) < 60


def test_a_job_that_wants_too_much_memory_fails_alone_and_says_so(tmp_path) -> None:
    scans(tmp_path, 1)
    big = tmp_path / "big.npy"
    np.save(big, np.arange(24e6).reshape(-1, 3))
    files = {"source": big, "target": tmp_path / "template.csv", "name": "big"}
    summary = run(planned(tmp_path, pairs=[files], output="{name}", workers=1, memory=600_000_000))
    assert [result.status for result in summary.results] == ["failed", "done"]
    assert "memory" in (summary.results[0].error or "")


def test_a_folder_where_another_process_is_at_work_is_left_alone(tmp_path) -> None:
    found = planned(scans(tmp_path, 2), workers=1)
    with locked(found.jobs[0].folder) as ours:
        assert ours
        (found.jobs[0].folder / "log.txt").write_text("of the other one")
        summary = run(found)
        assert statuses(summary) == {"s000": "busy", "s001": "done"} and not summary.all_well
        assert (found.jobs[0].folder / "log.txt").read_text() == "of the other one"


def test_what_killed_writers_left_is_removed_and_what_is_not_ours_stays(tmp_path) -> None:
    found = planned(scans(tmp_path, 1))
    folder = found.jobs[0].folder
    folder.mkdir(parents=True)
    (folder / ".registered.0123456789ab.csv").write_text("half")
    (folder / "notes.txt").write_text("mine")
    (folder / "registered.csv").write_text("half")
    assert run(found).all_well
    assert len(read_shape(folder / "registered.csv").points) == 30
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [*OUTPUTS, "report.json", "job.json", "log.txt", "notes.txt", ".lock"]
    )


def test_an_exception_meanwhile_stops_the_workers_and_the_rest_can_be_resumed(tmp_path) -> None:
    found = planned(scans(tmp_path, 6), workers=2)
    processes: set[int] = set()

    def stop(event: Event) -> None:
        if event.process is not None:
            processes.add(event.process)
        if event.kind == "ended":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(found, on_event=stop)
    rows = table(found.summary)
    assert len(rows) == 6 and {row["status"] for row in rows.values()} == {"done", "stopped"}
    assert processes and not any(Path(f"/proc/{process}").exists() for process in processes)
    assert [path for path in found.folder.rglob(".*") if path.name != ".lock"] == []
    before = {name for name, row in rows.items() if row["status"] == "done"}
    after = statuses(run(found))
    assert {name for name, status in after.items() if status == "skipped"} >= before
    assert set(after.values()) == {"done", "skipped"}

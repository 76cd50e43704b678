"""A batch in a queue: a real Slurm of one node where it can be started, submitit's own executor elsewhere."""

import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import jsonschema
import pytest

from otreg.batch import PlanError, submit, summarise
from otreg.errors import ArgumentError, MissingDependencyError, ResourceError
from otreg.records import record_schema

from .clouds import planned, scans

HELPER = Path(__file__).parents[1] / "slurm" / "single_node.py"

pytest.importorskip("submitit", reason="needs submitit (pip install 'otreg[slurm]')")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Mapping[str, str]]:
    """The environment of a Slurm cluster that is this machine."""
    spec = importlib.util.spec_from_file_location("single_node", HELPER)
    assert spec is not None and spec.loader is not None
    helper = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(helper)
    if reason := helper.why_not():
        pytest.skip(reason)
    with helper.single_node() as environment:
        yield environment


def wait(seconds: float, *, until) -> None:
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline, "not within its time"
        time.sleep(0.3)


def queue(environment: Mapping[str, str]) -> str:
    listed = subprocess.run(
        ["squeue", "--noheader", "--format=%i %T %r"], env=dict(environment), capture_output=True, text=True, check=True
    )
    return listed.stdout


BATCH = """
all: scans/*.csv
to: template.csv
output: '{source}'
shards: 2
workers: 1
slurm: {time: 30, partition: main}
settings: {init: none, iterations: 3}
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_array_does_all_jobs_on_a_real_slurm_and_goes_on_after_a_preemption(cluster, tmp_path) -> None:
    scans(tmp_path, 40)
    (tmp_path / "batch.yaml").write_text(BATCH)
    script = Path(sys.executable).parent / "otreg"
    command = [str(script), "batch", "batch.yaml", "--executor", "slurm", "--json"]
    asked = subprocess.run(command, cwd=tmp_path, env=dict(cluster), capture_output=True, text=True, check=False)
    assert asked.returncode == 0, asked.stderr
    submission = json.loads(asked.stdout)
    jsonschema.validate(submission, record_schema("otreg.batch-submission/1"))
    array = submission["array"]
    results = tmp_path / "results"
    logs = results / "slurm"
    first = logs / f"{array}_0_0_log.err"
    wait(120, until=lambda: first.exists() and first.read_text().count(": done") >= 2)
    # What Slurm sends before it preempts a task, or when the time of a task is nearly over.
    subprocess.run(["scancel", "--signal=USR2", f"{array}_0"], env=dict(cluster), check=True)
    wait(60, until=lambda: f"Requeued job {array}_0" in (logs / f"{array}_0_0_log.out").read_text())
    # So it is queued again after a time-out, too.
    assert "Calling checkpoint method" in (logs / f"{array}_0_0_log.out").read_text(), (
        "so it is also queued after a time-out"
    )
    wait(240, until=lambda: not queue(cluster).strip())
    assert "skipped" in first.read_text(), "the second run of the task finds what the first one did"
    found = planned(tmp_path, settings={"init": "none", "iterations": 3})
    assert (results / "summary.csv").read_text().count(",done,") == 40
    summary = summarise(found)
    assert summary.all_well and len(summary.results) == 40
    for name in ("summary-1-of-2.csv", "summary-2-of-2.csv"):
        assert (results / name).exists()


# submitit's local executor forgets processes that run on; Slurm's has none.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_tasks_of_an_array_do_all_jobs_and_a_failed_job_fails_its_task(tmp_path) -> None:
    scans(tmp_path, 4)
    bad = tmp_path / "scans" / "s001.csv"
    bad.write_text("nan,0,0\n" + bad.read_text())
    found = planned(tmp_path, workers=1)
    submission = submit(found, options={}, tasks=2, cluster="local")
    assert submission.tasks == 2 and submission.summary is None
    wait(120, until=lambda: all((found.folder / f"summary-{k}-of-2.csv").exists() for k in (1, 2)))
    assert [result.status for result in summarise(found).results] == ["done", "failed", "done", "done"]
    wait(60, until=lambda: len(list(submission.logs.glob("*_result.pkl"))) == 2)
    texts = [path.read_text() for path in sorted(submission.logs.glob("*.err"))]
    assert sum("1 jobs are not done: see" in text for text in texts) == 1


def test_what_cannot_work_is_refused_before_it_waits_in_a_queue(tmp_path, monkeypatch) -> None:
    found = planned(scans(tmp_path, 2))
    with pytest.raises(ArgumentError, match="one process"):
        submit(found, options={"nodes": 2}, cluster="local")
    with pytest.raises(ArgumentError, match="whole number of minutes"):
        submit(found, options={"time": "8:00:00"}, cluster="local")
    (tmp_path / "scans" / "s000.csv").write_text("")
    with pytest.raises(PlanError, match="is empty"):
        submit(planned(tmp_path), options={}, cluster="local")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ResourceError, match="no Slurm here"):
        submit(found, options={})
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match=r"otreg\[slurm\]"):
        submit(found, options={})
    assert not any(path.name != "slurm" for path in found.folder.glob("*"))

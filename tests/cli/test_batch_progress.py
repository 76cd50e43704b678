"""What a batch says while it works."""

import json
from pathlib import Path

import pytest

from otreg.batch import Event, Job, JobResult
from otreg.batch.job import result_of
from otreg.config import RegisterConfig
from otreg_cli.batch_output import describe
from otreg_cli.batch_progress import Board, batch_progress

from .records import checked


def job(name: str) -> Job:
    return Job(name, Path("a.ply"), Path("b.ply"), RegisterConfig(), Path("results") / name)


class Planned:
    """As much of a plan as progress looks at."""

    jobs = (job("one"), job("two"), job("three"))


def happened() -> list[Event]:
    one, two, three = Planned.jobs
    good = result_of(one, "done", converged=True, divergence=0.25, seconds=3.2)
    lost = result_of(two, "failed", error="its process was killed", retriable=True)
    return [
        Event("started", one, 0, process=17),
        Event("step", one, 0, stage="rigid", blur=0.04, fraction=0.5),
        Event("ended", one, 0, result=good),
        Event("started", two, 1, process=18),
        Event("again", two, 1, result=lost),
        Event("ended", two, 1, result=lost),
        Event("ended", three, 0, result=result_of(three, "skipped", converged=False, note="the pose is ambiguous")),
    ]


def test_a_board_knows_what_runs_and_what_has_ended() -> None:
    board = Board(3)
    started, step, ended, *others = happened()
    assert board.hear(started) is None and list(board.running) == ["one"]
    assert board.hear(step) is None and board.running["one"].fraction == 0.5
    assert board.hear(ended) is None and not board.running
    assert board.line().startswith("1 of 3 jobs, 0 failed, about")
    sentences = [board.hear(event) for event in others]
    assert sentences == [
        None,
        "two: failed, its process was killed; it will be tried again",
        "two: failed, its process was killed",
        "three: done before, not converged, the pose is ambiguous",
    ]
    assert board.line() == "3 of 3 jobs, 1 failed"


@pytest.mark.parametrize(
    ("mode", "lines"),
    [
        ("auto", 4),  # no terminal: three that ended, and one that is tried again
        ("plain", 6),  # and two that began
        ("json", 7),
        ("none", 0),
    ],
)
def test_each_mode_says_as_much_as_it_promises(capsys, mode, lines) -> None:
    with batch_progress(mode, Planned()) as show:
        for event in happened():
            if show is not None:
                show(event)
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == lines
    if mode == "json":
        records = [checked(line) for line in said.err.splitlines()]
        assert [record["kind"] for record in records] == [event.kind for event in happened()]
        assert json.loads(said.err.splitlines()[2])["result"]["divergence"] == 0.25
    elif lines:
        assert "[1/3] one: done, divergence 0.25, 3 s" in said.err and "[3/3] three: done before" in said.err


def test_a_sentence_about_a_job_says_how_often_it_was_tried() -> None:
    result = JobResult("a", "s", "t", "f", "failed", attempts=3, error="took longer than 5 s")
    assert describe(result) == "a: failed, attempt 3, took longer than 5 s"

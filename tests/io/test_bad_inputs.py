"""Every bad input is a right shape or one line, with its exit code, within 5 seconds and 2 GiB; nothing gets in."""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from .bad_inputs import cases, odd_paths

SECONDS = 5  # of computing; other programs may keep the clock from telling
WALL = 60
MEMORY = 2 << 30


def info(names: Iterable[Path | str]) -> list[dict[str, Any]]:
    """The answers of ``otreg info --json`` to the files, each of which must come in time."""
    names = [str(name) for name in names]
    ended = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("info_many.py")), str(MEMORY)],
        input=json.dumps(names),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    answers = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [answer["name"] for answer in answers] == names, ended.stderr[-2000:]
    for answer in answers:
        name = answer["name"]
        assert answer["cpu"] < SECONDS and answer["wall"] < WALL, (name, answer["cpu"], answer["wall"])
        if answer["code"] == 0:
            record = json.loads(answer["out"])
            assert record["points"] >= 1 and record["path"] == name
            assert all(line.startswith("otreg: warning: ") for line in answer["err"].splitlines()), name
        else:
            assert answer["code"] in (2, 3), answer
            assert answer["out"] == "" and answer["err"].count("\n") == 1, answer
            assert answer["err"].startswith("otreg: error: ") and len(answer["err"]) < 12_000, answer
            assert "Traceback" not in answer["err"] and "bug in otreg" not in answer["err"]
    return answers


@pytest.mark.slow
def test_every_bad_input_gets_its_answer(tmp_path: Path) -> None:
    listed = cases()
    for case in listed:
        (tmp_path / case.name).write_bytes(case.data)
    wrong = []
    for case, answer in zip(listed, info(tmp_path / case.name for case in listed), strict=True):
        if case.points:
            right = answer["code"] == 0 and json.loads(answer["out"])["points"] == case.points
        else:
            right = answer["code"] == 3 and case.words in answer["err"] and case.name in answer["err"]
        if not right:
            wrong.append((case.name, answer["code"], answer["err"] or answer["out"][:200]))
    assert wrong == []


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    odd = odd_paths(tmp_path)
    answers = info(path for path, _ in odd.values())
    for (name, (_, words)), answer in zip(odd.items(), answers, strict=True):
        assert answer["code"] == 3 and words in answer["err"], (name, answer["err"][:300])


@pytest.mark.slow
def test_every_evil_file_gets_its_answer(shared_data: Path) -> None:
    files = [path for path in sorted((shared_data / "evil").rglob("*")) if path.is_file()]
    answers = info(files)
    assert sum(answer["code"] == 0 for answer in answers) > 100
    assert not [answer["err"] for answer in answers if answer["code"] == 2], "an extra is missing"

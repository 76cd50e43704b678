"""Questions to a process of its own: answers, errors, crashes and hangs each become one sentence."""

import os
import time
from pathlib import Path

import pytest

from otreg.doctor.child import ask


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Makes a module out of a text, where children find it."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def make(text: str) -> str:
        (tmp_path / "question.py").write_text(text)
        return "question"

    return make


def test_the_last_line_is_the_answer(module):
    asked = ask(module("import sys\nprint('loading')\nprint('{\"got\": \"%s\"}' % sys.argv[1])"), "x", seconds=60)
    assert (asked.record, asked.reason) == ({"got": "x"}, "")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('print(\'{"error": "no compiler"}\')', "no compiler"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", "the process was ended by SIGSEGV"),
        ("import os\nos._exit(7)", "the process ended with code 7 and said nothing"),
        ("import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("print('not json')\nimport sys\nsys.stderr.write('libfoo.so: cannot open\\n')", "libfoo.so: cannot open"),
        ("print('[1]')", "[1]"),
    ],
)
def test_what_goes_wrong_is_one_sentence(module, text, reason):
    asked = ask(module(text), seconds=60)
    assert (asked.record, asked.reason) == (None, reason)


def test_a_hang_ends_in_time_with_all_that_it_started(module, tmp_path):
    text = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\ntime.sleep(60)"
    )
    started = time.monotonic()
    asked = ask(module(text), seconds=3)
    assert (asked.record, asked.reason) == (None, "no answer within 3 seconds")
    assert time.monotonic() - started < 30
    pid = int((tmp_path / "pid").read_text())
    for _ in range(500):
        try:
            if "State:\tZ" in Path(f"/proc/{pid}/status").read_text():
                break
        except OSError:
            break
        time.sleep(0.01)
    else:
        os.kill(pid, 9)
        pytest.fail("a compiler of the child would go on")


def test_modules_beside_the_user_are_not_taken_for_those_of_the_library(module, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "json.py").write_text("raise SystemExit('taken')")
    monkeypatch.chdir(tmp_path / "here")
    assert ask(module("import json\nprint(json.dumps({'fine': 1}))"), seconds=60).record == {"fine": 1}

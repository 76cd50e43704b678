"""Ctrl-C or SIGTERM at any moment: one line, nothing half written; and what else may end a command early."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from otreg.io import read_shape, write_shape
from otreg.shapes import Shape
from otreg_cli.main import run

from .signals import listening

# What the installed script does, with a sign that otreg's own code has begun: before it, Python itself answers signals.
COMMAND = (
    "import os, sys\nimport otreg_cli.start as start\nos.write(1, b'begun\\n')\n"
    "sys.argv = ['otreg', *sys.argv[1:]]\nstart.main()"
)


def interrupted(arguments: list[str], seconds: float, by: signal.Signals = signal.SIGINT) -> tuple[int, str, str]:
    """Exit code and texts of a command that gets Ctrl-C, or another signal, so long after it has begun."""
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=listening,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "begun\n"
        time.sleep(seconds)
        child.send_signal(by)
        out, err = child.communicate(timeout=60)
    return child.returncode, out, err


@pytest.mark.slow
def test_a_signal_at_any_moment_is_one_line_and_leaves_no_file(pair: tuple[Path, Path], tmp_path: Path) -> None:
    choose = random.Random(0)
    moments = [
        0.0,
        0.01,
        0.02,
        *(choose.uniform(0, 0.1) for _ in range(12)),
        *(choose.uniform(0.1, 4) for _ in range(11)),
    ]
    for k, moment in enumerate(moments):
        out = tmp_path / f"out{k}"
        by, code, word = ((signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated"))[k % 2]
        flags = ["--blur", "0.5%", "--tolerance", "1e-12", "--iterations", "100000", "--optimizer", "adam", "-q"]
        ended = interrupted(["register", *map(str, pair), "-d", str(out), *flags], moment, by)
        assert ended == (code, "", f"otreg: error: {word}\n"), moment
        assert not out.exists() or list(out.iterdir()) == []


@pytest.mark.slow
def test_an_interrupt_while_files_are_converted_leaves_a_whole_file_or_none(tmp_path: Path) -> None:
    n = 300_000
    write_shape(Shape(np.random.default_rng(0).normal(size=(n, 3))), tmp_path / "a.npy")
    choose = random.Random(1)
    ended = []
    for k in range(15):
        out = tmp_path / f"b{k}.ply"
        code, _, error = interrupted(["convert", str(tmp_path / "a.npy"), str(out)], choose.uniform(0, 0.5))
        ended.append(code)
        # When Python has let go of its handlers, at the very end, the system ends the process: a shell says 130, too.
        assert (code, error) in ((0, ""), (130, "otreg: error: interrupted\n"), (-signal.SIGINT, ""))
        assert code == 130 or out.exists()
        if out.exists():
            assert len(read_shape(out).points) == n
    left = [name for name in os.listdir(tmp_path) if name.startswith(".")]
    assert left == [] and 130 in ended


def test_sigterm_while_a_shape_goes_through_pipes_leaves_nothing_anywhere(pair, tmp_path) -> None:
    # An endless stream: the command waits for its end when the signal comes.
    spool = tmp_path / "spool"
    spool.mkdir()
    command = [sys.executable, "-c", COMMAND, "register", "-", str(pair[1]), "-o", "-", "--to", "ply", "-d", "out"]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(spool)},
    ) as child:
        assert child.stdin is not None and child.stdout is not None
        assert child.stdout.readline() == b"begun\n"
        child.stdin.write(pair[0].read_bytes())
        child.stdin.flush()
        deadline = time.monotonic() + 60
        while not list(spool.glob("otreg-*/stdin")) and time.monotonic() < deadline:
            time.sleep(0.01)
        child.send_signal(signal.SIGTERM)
        out, err = child.communicate(timeout=60)
    assert (child.returncode, out, err) == (143, b"", b"otreg: error: terminated\n")
    assert list(spool.iterdir()) == [] and not (tmp_path / "out").exists()


def test_sigterm_also_ends_the_parser_that_works_in_a_child(tmp_path) -> None:
    # The parser waits for a file that never ends, far below its limit of time.
    fifo = tmp_path / "a.vtu"
    write_shape(Shape(np.eye(3)), fifo)
    code = (
        "import otreg.io.guarded as guarded, subprocess, sys, os\n"
        "real = subprocess.run\n"
        "def run(command, **more):\n"
        "    os.write(1, b'begun\\n')\n"
        "    return real([sys.executable, '-c', 'import os, time; os.write(1, str(os.getpid()).encode()); "
        "time.sleep(60)'], **{**more, 'stdout': open(os.environ['PID'], 'wb')})\n"
        "guarded.subprocess.run = run\n"
        "from otreg_cli.main import main; main()"
    )
    pid = tmp_path / "pid"
    with subprocess.Popen(
        [sys.executable, "-c", code, "info", str(fifo)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PID": str(pid)},
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"begun\n"
        deadline = time.monotonic() + 60
        while not (pid.exists() and pid.read_bytes()) and time.monotonic() < deadline:
            time.sleep(0.01)
        child.terminate()
        _, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (143, b"otreg: error: terminated\n")
    assert _is_gone(int(pid.read_bytes()))


def _is_gone(pid: int) -> bool:
    """Whether a process ends within seconds; one whose exit code nobody has asked for is gone, too."""
    for _ in range(1000):
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return True
        if "State:\tZ" in status:
            return True
        time.sleep(0.01)
    return False


@pytest.fixture
def hears_interrupts() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background are born deaf to it
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("hears_interrupts")
def test_an_interrupt_that_a_library_turns_into_its_own_error_is_still_one(monkeypatch, capsys, pair) -> None:
    def read(*_: object, **__: object) -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
        except KeyboardInterrupt:
            raise ImportError("cannot import name 'x'") from None

    monkeypatch.setattr("otreg.jobs.reading.read_shape", read)
    assert run(["info", str(pair[0])]) == 130
    assert capsys.readouterr().err == "otreg: error: interrupted\n"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_ignored_signals_stay_ignored(pair, name) -> None:
    code = (
        f"import signal\nsignal.signal(signal.{name}, signal.SIG_IGN)\nimport otreg_cli.start\n"
        "from otreg_cli.main import run\nfrom unittest import mock\nimport os\n"
        "import otreg.jobs.info as info\nreal = info.describe\n"
        f"def describe(shape):\n    os.kill(os.getpid(), signal.{name})\n    return real(shape)\n"
        f"info.describe = describe\nraise SystemExit(run(['info', {str(pair[0])!r}]))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "") and "ply" in ended.stdout


@pytest.mark.parametrize("link", ["symbolic", "hard"])
def test_an_output_that_is_the_input_under_another_name_is_refused(otreg_here, tmp_path, link) -> None:
    write_shape(Shape(np.eye(3)), tmp_path / "a.ply")
    if link == "hard":
        os.link(tmp_path / "a.ply", tmp_path / "b.ply")
    else:
        (tmp_path / "b.ply").symlink_to(tmp_path / "a.ply")
    before = (tmp_path / "a.ply").read_bytes()
    answer = otreg_here("convert", tmp_path / "a.ply", tmp_path / "b.ply", "--overwrite")
    assert answer.returncode == 3 and "also an input" in answer.stderr
    assert (tmp_path / "a.ply").read_bytes() == before


def test_missing_folders_are_made_and_files_in_their_place_are_not(otreg_here, tmp_path) -> None:
    write_shape(Shape(np.eye(3)), tmp_path / "a.ply")
    assert otreg_here("convert", tmp_path / "a.ply", tmp_path / "x" / "y" / "b.npy").returncode == 0
    assert np.array_equal(np.load(tmp_path / "x" / "y" / "b.npy"), np.eye(3))
    answer = otreg_here("convert", tmp_path / "a.ply", tmp_path / "a.ply" / "b.npy")
    assert answer.returncode == 3 and answer.stderr.count("\n") == 1


def test_of_two_commands_with_one_output_one_wins_and_the_other_says_so(tmp_path) -> None:
    for k in range(2):
        write_shape(Shape(np.full((50_000, 3), float(k + 1))), tmp_path / f"{k}.npy")
    main = [sys.executable, "-c", "from otreg_cli.main import main; main()", "convert"]
    children = [
        subprocess.Popen(
            [*main, str(tmp_path / f"{k}.npy"), str(tmp_path / "out.ply")], stderr=subprocess.PIPE, text=True
        )
        for k in range(2)
    ]
    errors = [child.communicate(timeout=60)[1] for child in children]
    codes = [child.returncode for child in children]
    assert sorted(codes) == [0, 3]
    assert "exists already" in errors[codes.index(3)]
    assert (read_shape(tmp_path / "out.ply").points == codes.index(0) + 1).all()


def test_a_full_disk_is_exit_code_3(tmp_path) -> None:
    write_shape(Shape(np.random.default_rng(0).normal(size=(5000, 3))), tmp_path / "a.npy")
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "from otreg_cli.main import main; main()"
    )
    command = [sys.executable, "-c", code, "convert", str(tmp_path / "a.npy"), str(tmp_path / "a.ply")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 3
    assert ended.stderr == f"otreg: error: {tmp_path / 'a.ply'}: could not be written: File too large\n"
    assert sorted(os.listdir(tmp_path)) == ["a.npy"]

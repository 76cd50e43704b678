"""--progress: what stderr says while a registration works, in each of its modes."""

import io
import json

import numba
import pytest
from rich.console import Console

import otreg_cli.progress as module
from otreg.registration import Step
from otreg_cli.progress_option import chosen_progress

from .records import checked

STEP = Step(
    stage="rigid",
    index=3,
    blur=0.02,
    reach=None,
    divergence=1.25e-3,
    marginal_error=float("nan"),
    penalty=0.0,
    move=0.004,
    seconds=1.5,
    fraction=0.5,
)
FAST = ("--blur", "6%", "--init", "none")


@pytest.mark.parametrize(
    ("progress", "verbose", "quiet", "mode"),
    [
        (None, False, False, "auto"),
        (None, True, False, "plain"),
        (None, False, True, "none"),
        (None, True, True, "none"),
        ("json", False, True, "json"),
        ("none", True, False, "none"),
    ],
)
def test_the_short_flags_stand_for_modes_and_the_long_one_wins(progress, verbose, quiet, mode):
    assert chosen_progress(progress, verbose=verbose, quiet=quiet) == mode


def test_json_is_one_object_per_step_on_stderr_and_nothing_else(otreg_here, pair, tmp_path):
    flags = ("--progress", "json", "--json", "-m", "rigid,affine")
    answer = otreg_here("register", *pair, "-d", tmp_path / "out", *flags, *FAST)
    assert answer.returncode == 0, answer.stderr
    steps = [checked(line) for line in answer.stderr.splitlines()]
    record = checked(answer.stdout)
    told = [{key: value for key, value in step.items() if key != "schema"} for step in steps]
    assert told == [step for stage in record["stages"] for step in stage["steps"]]
    assert {step["stage"] for step in steps} == {"rigid", "affine"}


def test_a_number_that_is_not_finite_is_null(capsys):
    with module.progress("json") as shown:
        shown.step(STEP)
    record = checked(capsys.readouterr().err)
    assert record["marginal_error"] is None and record["move"] == 0.004


def test_auto_and_none_say_nothing_without_a_terminal(otreg_here, pair, tmp_path):
    for mode in ("auto", "none"):
        answer = otreg_here("register", *pair, "-o", tmp_path / f"{mode}.ply", "--progress", mode, *FAST)
        assert (answer.returncode, answer.stderr) == (0, "")
        assert answer.stdout


def test_plain_is_one_line_per_step_with_the_time_that_is_left(capsys):
    with module.progress("plain") as shown:
        shown.step(STEP)
    line = capsys.readouterr().err
    assert line.startswith("rigid step 3  blur 2.00%  divergence 1.250e-03  marginal error nan  moved 0.400%  ")
    assert line.endswith(" s left\n") and line.count("\n") == 1


def test_whoever_waits_for_loops_to_be_compiled_is_told_so_once(capsys):
    with module.progress("plain") as shown, module.compiling_told(shown.compiling):
        for increment in (1, 2):
            assert numba.njit(lambda x: x + increment)(1) == 1 + increment  # noqa: B023
    assert capsys.readouterr().err == module.COMPILING + "\n"
    with module.progress("plain") as shown, module.compiling_told(shown.compiling):
        pass
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("value", ["1", ""])
def test_no_color_takes_the_colour_from_the_live_line(monkeypatch, value):
    monkeypatch.setenv("NO_COLOR", value)
    monkeypatch.setenv("TERM", "xterm-256color")
    terminal = io.StringIO()
    monkeypatch.setattr(
        module, "stderr_console", lambda: Console(file=terminal, force_terminal=True, highlight=False, soft_wrap=True)
    )
    with module.progress("auto") as shown:
        shown.compiling()
        shown.step(STEP)
    assert module.COMPILING in terminal.getvalue()
    assert "rigid step 3" in terminal.getvalue()
    # An empty NO_COLOR asks for nothing: https://no-color.org
    assert ("\x1b[36m" in terminal.getvalue()) == (value == "")


def test_an_unknown_mode_is_wrong_usage(otreg_here, pair):
    answer = otreg_here("register", *pair, "--progress", "loud")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "'auto', 'plain', 'json', 'none'" in answer.stderr and answer.stderr.count("\n") == 1


def test_progress_does_not_mix_with_the_shape_on_stdout(otreg_here, pair):
    answer = otreg_here("register", *pair, "-o", "-", "--to", "ply", "--progress", "json", "-q", *FAST)
    assert answer.stdout.startswith("ply\n") and answer.stdout.endswith("\n")
    assert all(json.loads(line)["schema"] == "otreg.step/1" for line in answer.stderr.splitlines())
    assert answer.stderr

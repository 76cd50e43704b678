"""The door: answers quickly, one line per error, the right exit code."""

import os
import subprocess
import sys

import click
import pytest

from otreg.errors import (
    ArgumentError,
    FormatError,
    InputError,
    InputFileError,
    MissingDependencyError,
    NotConvergedError,
    OutputFileError,
    ResourceError,
)
from otreg_cli.main import COMMANDS, cli, explain, main, run

HEAVY = {"torch", "numba", "numpy", "scipy", "pydantic", "rich", "trimesh", "meshio", "pykeops"}


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom otreg_cli.main import run\nassert run(['--help']) == 0\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stderr.strip() == "[]"


# What a registration has no use for, of what its libraries or otreg itself would load.
UNUSED = {
    *("scipy.spatial", "scipy.sparse", "scipy.special", "scipy.optimize", "torch._dynamo", "torch._inductor", "sympy"),
    *(
        "networkx",
        "trimesh",
        "meshio",
        "pyvista",
        "nibabel",
        "laspy",
        "matplotlib",
        "plotly",
        "jinja2",
        "yaml",
        "pykeops",
    ),
    *("otreg.batch", "otreg.report", "otreg.doctor", "otreg.config.batch", "otreg.config.yaml_tree"),
}


def test_a_registration_imports_only_what_it_uses(pair, tmp_path):
    arguments = ["register", *map(str, pair), "-m", "similarity,spline", "-d", str(tmp_path / "out"), "-q"]
    code = (
        f"import sys\nfrom otreg_cli.main import run\nassert run({arguments!r}) == 0\n"
        f"print(sorted({UNUSED!r} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["register", "PAIR", "-o", "out"], "its extension must be that of a format that can be written"),
        (["register", "PAIR", "-o", "out.ply", "--format", "nope"], "format 'nope' is unknown"),
        (["register", "missing.ply", "missing.obj", "-d", "out"], "missing.ply: no such file"),
        (["register", "PAIR", "-o", __file__], "exists already"),
        (["distance", "missing.ply", "missing.obj"], "missing.ply: no such file"),
        (["map", "PAIR", "-o", "source.ply"], "the output is also an input"),
        (["apply", "t.json", "missing.ply", "-o", "out.ply"], "missing.ply: no such file"),
        (["apply", "t.json", "missing.ply", "-o", "out"], "its extension must be"),
    ],
)
def test_what_needs_no_torch_to_be_refused_is_refused_without_it(pair, tmp_path, arguments, part):
    words = [word for argument in arguments for word in (map(str, pair) if argument == "PAIR" else [argument])]
    code = (
        f"import sys\nfrom otreg_cli.main import run\nassert run({words!r}) == 3\n"
        "print(sorted({'torch', 'numba', 'scipy'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert answer.stdout.strip() == "[]"
    assert part in answer.stderr and answer.stderr.count("\n") == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_help_lists_each_command_with_the_line_of_the_command_itself(name, capsys):
    assert run(["--help"]) == 0
    assert COMMANDS[name][1] in capsys.readouterr().out
    command = cli.get_command(click.Context(cli), name)
    assert command is not None and command.help
    assert run([name, "--help"]) == 0
    assert "Usage: otreg " + name in capsys.readouterr().out


def test_version_is_the_package_s(otreg):
    import otreg as package

    assert otreg("--version").stdout.strip() == f"otreg, version {package.__version__}"


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["regster"], "No such command 'regster'. Did you mean 'register'?"),
        (["destroy"], "No such command 'destroy'"),
        (["register", "a", ""], "'TARGET': a path must not be empty"),
        (["register", "a", "b", "-d", ""], "'--output-dir': a path must not be empty"),
        (["register"], "Missing argument 'SOURCE'"),
        (["register", "a", "b", "--outpt", "c"], "--output"),
        (["register", "a", "b", "--device", "tpu"], "'tpu'"),
        (["register", "a", "b", "--blur", "wide"], "--blur must be a positive length; got 'wide'"),
        (["register", "a", "b", "-m", "spline,rigid"], "--model must name each model once"),
        (["register", "a", "b", "--iterations", "0"], "--iterations must be greater than or equal to 1; got '0'"),
        (["register", "a", "b", "--control-points", "x"], "--control-points must be a valid integer"),
        (["apply", "a", "b"], "Missing option '-o'"),
        (["distance", "a", "b", "--reach", "far"], "--reach must be a positive length"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(otreg_here, arguments, part):
    answer = otreg_here(*arguments)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.count("\n") == 1
    assert answer.stderr.startswith("otreg: error: ")
    assert part in answer.stderr


def test_no_command_shows_the_help_and_exits_with_2(otreg):
    answer = otreg()
    assert answer.returncode == 2
    assert "Usage: otreg" in answer.stderr


def caused(failure, cause):
    failure.__cause__ = cause
    return failure


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (ArgumentError("x"), 2),
        (MissingDependencyError("x"), 2),
        (InputError("x"), 3),
        (FormatError("x"), 3),
        (InputFileError("x"), 3),
        (OutputFileError("x"), 3),
        (NotConvergedError("x"), 4),
        (ResourceError("x"), 5),
        (MemoryError(), 5),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), 5),
        (RuntimeError("CUDA out of memory. Tried to allocate"), 5),
        (RuntimeError("cannot cache function 'f': no locator available for file 'g.py'"), 5),
        (OSError(28, "No space left on device", "out.ply"), 3),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
        (caused(SystemError("returned a result with an exception set"), KeyboardInterrupt()), 130),
        (ZeroDivisionError("division by zero"), 70),
        (RuntimeError("two\nlines"), 70),
    ],
)
def test_every_kind_of_failure_has_its_exit_code_and_one_line(failure, code):
    message, found = explain(failure)
    assert found == code
    assert message and "\n" not in message
    assert ("run with --debug" in message) == (code == 70)


def test_debug_shows_a_traceback_and_keeps_the_exit_code(otreg, tmp_path):
    quiet, loud = (otreg("info", tmp_path / "missing.ply", *flags) for flags in ([], ["--debug"]))
    assert (quiet.returncode, loud.returncode) == (3, 3)
    assert "Traceback" not in quiet.stderr
    assert "Traceback" in loud.stderr
    assert loud.stderr.splitlines()[-1] == quiet.stderr.strip()


def test_a_reader_that_stops_early_is_no_error(otreg, pair):
    script = f"set -o pipefail; '{sys.executable}' -c 'from otreg_cli.main import main; main()' info '{pair[0]}' | true"
    # `true` reads nothing, so that the pipe is closed before or while otreg writes.
    answer = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stderr) == (0, "")


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "10000"}),
        ({"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "7"}),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, {"OMP_WAIT_POLICY": "ACTIVE"}),
    ],
)
def test_idle_openmp_threads_soon_sleep_unless_the_user_says_otherwise(monkeypatch, given, wanted):
    monkeypatch.setattr(sys, "argv", ["otreg", "--version"])
    monkeypatch.setattr(os, "environ", dict(given))
    with pytest.raises(SystemExit):
        main()
    assert os.environ == wanted


@pytest.mark.parametrize(("arguments", "code"), [(["schema", "register"], 0), (["schema", "nothing"], 2)])
def test_the_installed_command_says_everything_and_then_ends_at_once(otreg_here, arguments, code):
    script = (
        "import atexit, sys\nfrom otreg_cli.start import main\n"
        "atexit.register(print, 'taken apart')\n"
        f"sys.argv = ['otreg', *{arguments!r}]\nmain()"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    expected = otreg_here(*arguments)
    assert (answer.returncode, expected.returncode) == (code, code)
    assert (answer.stdout, answer.stderr) == (expected.stdout, expected.stderr)


def test_a_closed_stdout_is_no_bug(pair):
    script = f"'{sys.executable}' -c 'from otreg_cli.main import main; main()' info '{pair[0]}' >&-"
    answer = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (answer.returncode, answer.stderr) == (0, "")

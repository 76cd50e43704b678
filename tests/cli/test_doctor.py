"""otreg doctor, as installed: what it says of this machine, and of one with something broken."""

import os
import subprocess
import sys

from .records import checked


def test_without_a_compiler_all_but_keops_works_agrees_with_float64_and_the_remedy_is_named(otreg, tmp_path):
    # No program is found, and nothing was compiled before.
    env = {**os.environ, "PATH": str(tmp_path), "KEOPS_CACHE_FOLDER": str(tmp_path / "keops")}
    answer = otreg("doctor", "--json", env=env)
    assert answer.returncode == 0, answer.stderr
    record = checked(answer.stdout)
    assert answer.stderr == "" and record["works"]
    assert os.path.samefile(record["executable"], sys.executable)
    default = record["trials"][0]
    assert default["is_default"] and default["points"] >= 300 and default["seconds"] > 0
    outcomes = {trial["reduction"]: trial["outcome"] for trial in record["trials"] if trial["device"] == "cpu"}
    assert outcomes == {"cpu": "works", "dense": "works", "keops": "fails"}
    assert all(trial["error"] < 1e-3 for trial in record["trials"] if trial["outcome"] == "works")
    assert record["compiler"] is None
    (problem,) = (problem for problem in record["problems"] if "keops on cpu" in problem["what"])
    assert "no C++ compiler was found" in problem["what"]
    assert "apt install g++" in problem["fix"] and not problem["fatal"]
    assert record["cores"]["pinned"] <= record["cores"]["present"]
    assert record["memory"]["available"] <= record["memory"]["total"]


def test_a_cache_that_cannot_be_written_is_explained_and_exit_code_5(otreg, tmp_path):
    (tmp_path / "file").touch()
    # As where otreg is installed in a folder, and for a user with a home, that cannot be written.
    broken = {"NUMBA_CACHE_DIR": str(tmp_path / "file" / "numba")}
    env = {**os.environ, **broken, "NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator"}
    answer = otreg("doctor", env=env)
    assert answer.returncode == 5
    assert answer.stderr.startswith("otreg: error: the default way of computing does not work here")
    assert answer.stderr.count("\n") == 1
    lines = answer.stdout.splitlines()
    advice = {line: lines[k + 1] for k, line in enumerate(lines) if line.startswith("problem")}
    for what in ("does not work: the default, ", "numba has no folder for compiled code"):
        (found,) = (line for line in advice if what in line)
        assert advice[found].startswith("  to do") and "set NUMBA_CACHE_DIR to a folder" in advice[found]


def test_trials_that_hang_end_in_time_and_count_as_failed(otreg):
    answer = otreg("doctor", "--timeout", "0.05")
    assert answer.returncode == 5
    assert (
        "does not work: the default, dense on cpu, cpu on cpu, keops on cpu: no answer within 0.05 s" in answer.stdout
    )


def test_a_wrong_timeout_is_wrong_usage(otreg_here):
    answer = otreg_here("doctor", "--timeout", "0")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "--timeout" in answer.stderr


def test_the_doctor_itself_imports_nothing_that_may_be_broken():
    code = (
        "import sys; from otreg_cli.main import run\nrun(['doctor', '--timeout', '0.01'])\n"
        "assert not {'torch', 'numba', 'pykeops'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)

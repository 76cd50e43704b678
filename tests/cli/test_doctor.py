"""otreg doctor, as installed: what it says of this machine, and of one with something broken."""

import os
import subprocess
import sys

from .records import checked


def test_this_machine_works_and_every_reduction_agrees_with_float64(otreg):
    answer = otreg("doctor", "--json")
    assert answer.returncode == 0, answer.stderr
    record = checked(answer.stdout)
    assert answer.stderr == "" and record["works"]
    assert record["executable"] == sys.executable
    default = record["trials"][0]
    assert default["is_default"] and default["outcome"] == "works"
    assert default["points"] >= 1000 and default["seconds"] > 0
    assert all(trial["error"] < 1e-3 for trial in record["trials"] if trial["outcome"] == "works")
    assert {trial["reduction"] for trial in record["trials"]} == {"cpu", "dense", "keops", "triton"}
    assert record["cores"]["pinned"] <= record["cores"]["present"]
    assert record["memory"]["available"] <= record["memory"]["total"]


def test_a_broken_compiler_is_found_explained_and_not_fatal(otreg, tmp_path):
    # Nothing on the path, and nothing compiled before.
    env = {**os.environ, "PATH": str(tmp_path), "KEOPS_CACHE_FOLDER": str(tmp_path / "keops")}
    answer = otreg("doctor", env=env)
    assert answer.returncode == 0, answer.stderr
    lines = answer.stdout.splitlines()
    problem = next(k for k, line in enumerate(lines) if line.startswith("problem") and "keops on cpu" in line)
    assert "no C++ compiler was found" in lines[problem]
    assert lines[problem + 1].startswith("  to do") and "apt install g++" in lines[problem + 1]
    assert "compiler     none" in lines


def test_caches_that_cannot_be_written_are_named_with_their_variables_and_exit_code_5(otreg, tmp_path):
    (tmp_path / "file").touch()
    env = {
        **os.environ,
        "KEOPS_CACHE_FOLDER": str(tmp_path / "file" / "keops"),
        "NUMBA_CACHE_DIR": str(tmp_path / "file" / "numba"),
        # As where otreg is installed in a folder, and for a user with a home, that cannot be written either.
        "NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator",
    }
    answer = otreg("doctor", env=env)
    assert answer.returncode == 5
    assert answer.stderr.startswith("otreg: error: the default way of computing does not work here")
    assert answer.stderr.count("\n") == 1
    assert "numba has no folder for compiled code" in answer.stdout
    assert "set NUMBA_CACHE_DIR to a folder that can be written" in answer.stdout
    assert f"keops has the folder {tmp_path / 'file' / 'keops'}, which cannot be written" in answer.stdout
    assert "set KEOPS_CACHE_FOLDER" in answer.stdout


def test_trials_that_hang_end_in_time_and_count_as_failed(otreg):
    answer = otreg("doctor", "--timeout", "0.05")
    assert answer.returncode == 5
    assert "the default does not work: no answer within 0.05 seconds" in answer.stdout


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

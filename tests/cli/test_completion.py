"""Shell completion: the scripts are there, words and files complete, and no answer needs torch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from otreg.config import DistanceConfig, RegisterConfig
from otreg_cli.completion import completer
from otreg_cli.main import COMMANDS

SCRIPT = Path(sys.executable).parent / "otreg"


def completed(line: str, shell: str = "fish") -> list[str]:
    """What the installed command offers for the last word of a line, as "type,value" and a help text."""
    words = line.split(" ")
    last = {"COMP_WORDS": line, "COMP_CWORD": words[-1] if shell == "fish" else str(len(words) - 1)}
    env = {**os.environ, "_OTREG_COMPLETE": f"{shell}_complete", **last}
    ended = subprocess.run([SCRIPT], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.splitlines()


def values(field: str, incomplete: str, schema=RegisterConfig) -> list[str]:
    """What a setting offers."""
    context = click.Context(click.Command("x"))
    found = completer(schema.model_fields[field])(context, click.Option([f"--{field}"]), incomplete)
    return [f"<{item.type}>" if item.type != "plain" else item.value for item in found]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(shell):
    env = {**os.environ, "_OTREG_COMPLETE": f"{shell}_source"}
    ended = subprocess.run([SCRIPT], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"_OTREG_COMPLETE={shell}_complete" in ended.stdout


def test_an_unknown_shell_is_one_line():
    env = {**os.environ, "_OTREG_COMPLETE": "tcsh_source"}
    ended = subprocess.run([SCRIPT], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "otreg: error: _OTREG_COMPLETE must be bash_source or zsh_source or fish_source; got " + (
        "'tcsh_source'\n"
    )


def test_commands_complete_with_their_lines_in_the_help():
    assert completed("otreg re")[0].startswith("plain,register\t" + COMMANDS["register"][1])
    offered = {line.split("\t")[0].removeprefix("plain,") for line in completed("otreg ")}
    assert set(COMMANDS) <= offered


def test_bash_itself_completes_commands_flags_words_and_files(tmp_path):
    (tmp_path / "skull.ply").touch()
    # What bash does when TAB is pressed, but for the keyboard.
    script = f"""
        PATH={SCRIPT.parent}:$PATH; cd {tmp_path}
        eval "$(_OTREG_COMPLETE=bash_source otreg)"
        compopt() {{ echo compopt "$@"; }}
        offered() {{
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
            _otreg_completion otreg
            echo "${{COMPREPLY[*]}}"
        }}
        offered otreg regi; offered otreg register a b --dev; offered otreg register a b --device cu
        offered otreg register sku
    """
    ended = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert ended.stderr == ""
    lines = ended.stdout.splitlines()
    assert lines[:3] == ["register", "--device", "cuda"]
    # Files are left to bash: it completes names as for any other program.
    assert lines[3:] == ["compopt -o default", ""]


def test_words_of_settings_complete():
    assert values("models", "") == ["rigid", "similarity", "affine", "spline", *values("models", "")[4:]]
    assert values("models", "rigid,s")[:2] == ["rigid,similarity", "rigid,spline"]
    assert "rigid,rigid" not in values("models", "rigid,")
    assert values("init", "se") == ["<file>", "search"]
    assert set(values("reach", "")) == {"auto", "none"}
    assert set(values("sampling", "f")) == {"faces"}
    assert values("p", "", DistanceConfig) == ["1", "2"]
    assert values("seed", "") == values("blur", "") == []


def test_formats_complete_with_those_that_can_be_written():
    def offered(line: str) -> set[str]:
        return {item.split("\t")[0].removeprefix("plain,") for item in completed(line)}

    assert offered("otreg info --format p") == {"ply", "pcd"}
    assert {"nifti", "npz", "npy"} == offered("otreg info --format n")
    assert {"npz", "npy"} == offered("otreg convert --to n")


@pytest.mark.parametrize("line", ["otreg ", "otreg register a b --reduction ", "otreg info --format "])
def test_no_answer_imports_what_computes(line):
    code = (
        "import sys\nfrom otreg_cli.main import main\n"
        "try:\n    main()\nfinally:\n    import json\n"
        "    print(json.dumps(sorted({'torch', 'numba', 'scipy', 'rich'} & set(sys.modules))), file=sys.stderr)"
    )
    env = {**os.environ, "_OTREG_COMPLETE": "fish_complete", "COMP_WORDS": line, "COMP_CWORD": ""}
    ended = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert ended.stdout and json.loads(ended.stderr) == []

"""KeOps stays silent on stdout, compiles once for several processes, and says what to do without a compiler."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.transport.conftest import require_keops

SOLVE = """
import torch
from otreg.measures import Measure
from otreg.transport import Sinkhorn
x = torch.arange(12, dtype=torch.float64).view(6, 2)
a = torch.full((6,), 1 / 6, dtype=torch.float64)
print(round(Sinkhorn(blur=1.0, reduction="keops")(Measure(x, a), Measure(x + 1, a)).value, 3))
"""


def start(code: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


@pytest.mark.slow
def test_two_processes_compile_at_once_and_print_nothing_but_their_answers(tmp_path):
    require_keops()
    both = [start(SOLVE, KEOPS_CACHE_FOLDER=str(tmp_path)) for _ in range(2)]
    assert [process.communicate(timeout=200) for process in both] == [("1.0\n", ""), ("1.0\n", "")]


ERROR = """
from otreg.errors import ResourceError
try:
    exec(SOLVE)
except ResourceError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("compiler", ["none", "broken"])
def test_without_a_working_compiler_the_error_says_what_to_do(tmp_path: Path, compiler):
    tools = tmp_path / "bin"
    tools.mkdir()
    if compiler == "broken":
        (tools / "g++").write_text("#!/bin/sh\necho no >&2\nexit 1\n")
        (tools / "g++").chmod(0o755)
    code = f"SOLVE = {SOLVE!r}\n{ERROR}"
    out, err = start(code, PATH=str(tools), CXX="", KEOPS_CACHE_FOLDER=str(tmp_path / "cache")).communicate(timeout=200)
    reason = {"none": "no C++ compiler was found", "broken": "the C++ compiler failed"}[compiler]
    assert out == (
        f"ResourceError reduction 'keops' could not compile its kernel: {reason}. "
        "Install g++ or use --reduction dense or cpu.\n"
    )
    assert err == ""


def test_a_cache_that_cannot_be_written_is_a_resource_error(tmp_path):
    (tmp_path / "file").touch()
    code = f"SOLVE = {SOLVE!r}\n{ERROR}"
    out, _ = start(code, KEOPS_CACHE_FOLDER=str(tmp_path / "file")).communicate(timeout=200)
    assert out.startswith("ResourceError reduction 'keops' could not compile its kernel: ")
    assert len(out.splitlines()) == 1


def test_the_library_does_not_import_keops_before_it_is_asked_for():
    code = "import sys, otreg.transport, otreg.transport.reductions.keops; print('pykeops' in sys.modules)"
    assert start(code).communicate(timeout=200) == ("False\n", "")

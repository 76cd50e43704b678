"""The installed console script, as a user runs it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from otreg_cli.main import run

from .shapes import ellipsoid_ply

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def otreg() -> Run:
    """Runs ``otreg ARGUMENTS`` in a child process and returns its exit code and texts."""
    script = Path(sys.executable).parent / "otreg"
    assert script.exists(), "the package is not installed: pip install -e ."

    def child(*arguments: object, cwd: Path | None = None, env: dict[str, str] | None = None):
        command = [str(script), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=env, timeout=240, check=False)

    return child


@pytest.fixture
def otreg_here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """The same inside this process: a second is saved by not importing torch again."""

    def here(*arguments: object, cwd: Path | None = None):
        if cwd is not None:
            monkeypatch.chdir(cwd)
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        texts = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, code, texts.out, texts.err)

    return here


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A small source and the same shape turned by 20 degrees and shifted."""
    source = ellipsoid_ply(tmp_path / "source.ply")
    return source, ellipsoid_ply(tmp_path / "target.ply", turn=20.0, shift=0.5)

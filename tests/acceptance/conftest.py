"""The console script on real files, once per pair, and what is known about the pairs."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class RealPair:
    """Two real files, and the entry of pairs.json that says how they lie to each other."""

    source: Path
    target: Path
    known: dict


@pytest.fixture(scope="session")
def real_pair(shared_data: Path) -> Callable[[str], RealPair]:
    """Finds a pair by its id."""
    pairs = {entry["id"]: entry for entry in json.loads((shared_data / "pairs.json").read_text())["pairs"]}

    def find(name: str) -> RealPair:
        known = pairs[name]
        return RealPair(shared_data / known["source"], shared_data / known["target"], known)

    return find


@pytest.fixture(scope="session")
def otreg() -> Callable[..., str]:
    """Runs ``otreg ARGUMENTS``, which must succeed, and returns what it prints on stdout."""
    script = Path(sys.executable).parent / "otreg"
    assert script.exists(), "the package is not installed: pip install -e ."

    def run(*arguments: object) -> str:
        answer = subprocess.run(
            [str(script), *map(str, arguments)], capture_output=True, text=True, timeout=280, check=False
        )
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    return run

"""A question to a process of its own, because the answer may be a crash, a hang or a failed import."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What a child said: its record, or, if there is none, the reason in a few words."""

    record: dict[str, Any] | None
    reason: str = ""


def ask(module: str, *arguments: str, seconds: float) -> Answer:
    """What ``python -m MODULE ARGUMENTS`` prints as JSON on its last line, within so many seconds.

    The child has the environment of this process, and is gone with all its own children when this function returns.
    """
    root = str(Path(__file__).parents[2])  # otreg must be found there, too, however it was found here
    search = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", module, *arguments],
            env={**os.environ, "PYTHONPATH": search},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        try:
            code = child.wait(seconds)
        except subprocess.TimeoutExpired:
            return Answer(None, f"no answer within {seconds:g} seconds")
        finally:
            _end(child)
        return _understood(_text(out), _text(err), code)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ends a child with the compilers that it may have started."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # nothing is left of the group
        pass
    child.wait()


def _text(file: Any) -> str:
    file.seek(0)
    return str(file.read().decode(errors="replace"))


def _understood(out: str, err: str, code: int) -> Answer:
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return Answer(None, f"the process was ended by {name}")
    try:
        record = json.loads(out.splitlines()[-1])
    except (IndexError, ValueError):
        said = [line for line in err.splitlines() if line.strip()]
        return Answer(None, said[-1].strip() if said else f"the process ended with code {code} and said nothing")
    if not isinstance(record, dict) or "error" in record:
        return Answer(None, str(record["error"]) if isinstance(record, dict) else out.splitlines()[-1])
    return Answer(record)

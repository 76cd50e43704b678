"""What the processes of the benchmarks' tools and their drivers share: JSON objects by the line, and peak memory.

Memory comes from Linux's /proc.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
from pathlib import Path
from typing import Any, TextIO


def answers_only() -> TextIO:
    """Standard output for answers alone: what tools print goes to stderr, so that it cannot come between them."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def send(answers: TextIO, row: dict[str, Any]) -> None:
    answers.write(json.dumps(row) + "\n")
    answers.flush()


def next_answer(process: subprocess.Popen[bytes], limit: float) -> dict[str, Any]:
    """What a process sends next; "over_seconds" when that takes more than ``limit`` seconds, "failed" at its end."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], limit)
    if not ready:
        return {"over_seconds": limit}
    line = process.stdout.readline()
    return json.loads(line) if line else {"failed": f"the process ended with {process.wait()}"}


def memory(key: str) -> float:
    """MiB of this process now (VmRSS) or at most since the last reset (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(key + ":"))


def reset_peak() -> None:
    """Forgets the peak so far: that of loading and warming up."""
    Path("/proc/self/clear_refs").write_text("5")

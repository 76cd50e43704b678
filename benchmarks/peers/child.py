"""The process of one tool, driven by benchmarks/registration.py.

    python -m peers.child TOOL ANSWER.npy

For each line that it is sent, the path of a case, it loads the pair, warms up on a part of one the first time (imports
and just-in-time compilation are not what is measured), says that it is ready, solves once, writes where the points
went, and says how long that took and how much memory. Cases are pickles of the driver's own; on Linux only, whose /proc
tells the peak memory of a solve.
"""

from __future__ import annotations

import pickle
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from children import answers_only, memory, reset_peak, send

from otreg import Shape
from peers.tools import TOOLS, Tool, Unavailable

WARM_UP_POINTS = 500


def main() -> None:
    name, answer = sys.argv[1], Path(sys.argv[2])
    answers = answers_only()
    try:
        TOOLS[name]().check()
    except Unavailable as failure:
        send(answers, {"unavailable": str(failure)})
        return
    held = None
    for line in sys.stdin:
        source, target = pickle.loads(Path(line.strip()).read_bytes())
        if held is None:
            warm_up(TOOLS[name](), source, target)
            held = memory("VmRSS")
        try:
            tool = TOOLS[name]()
            tool.load(source, target)
            send(answers, {"ready": True})
            row = solve(tool, answer, held)
        except Exception as failure:  # whatever a tool fails with is its answer
            row = {"failed": f"{type(failure).__name__}: {' '.join(str(failure).split())[:200]}"}
        send(answers, row)


def warm_up(tool: Tool, source: Shape, target: Shape) -> None:
    """Solves a part of the problem, whatever comes of it."""
    parts = []
    for shape in (source, target):
        step = max(1, len(shape.points) // WARM_UP_POINTS)
        parts.append(Shape(points=shape.points[::step].copy()))
    try:
        tool.load(*parts)
        tool.solve()
    except Exception as failure:
        warnings.warn(f"warming up failed: {failure}", stacklevel=1)


def solve(tool: Tool, answer: Path, held: float) -> dict[str, Any]:
    """One timed solve: seconds, peak memory above the MiB that were held before the first one, notes."""
    reset_peak()
    started = time.perf_counter()
    moved = tool.solve()
    seconds = time.perf_counter() - started
    peak = max(0, round(memory("VmHWM") - held))
    np.save(answer, np.asarray(moved, dtype=np.float64))
    return {"seconds": round(seconds, 3), "peak_mib": peak} | tool.notes()


if __name__ == "__main__":
    main()

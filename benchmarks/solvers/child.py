"""The process of one tool on one case, driven by benchmarks/transport.py.

It loads the clouds, warms up on smaller ones (imports and just-in-time compilation are not what is measured), says
that it is ready, and then solves once per line that it is sent: the name of a variant in, one JSON object out. On Linux
only, whose /proc tells the peak memory of each solve.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from children import answers_only, memory, reset_peak, send

from solvers.tools import TOOLS, Reference, Tool, Unavailable


def main() -> None:
    name, problem, reference = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    answers = answers_only()
    tool = Reference() if name == "reference" else TOOLS[name]()
    with np.load(problem) as arrays:
        source, target, blur = arrays["source"], arrays["target"], float(arrays["blur"])
    try:
        tool.check()
        warm_up(tool, source, target)
    except (Unavailable, ModuleNotFoundError) as failure:
        send(answers, {"unavailable": str(failure)})
        return
    tool.load(source, target, blur)
    truth = None
    if name != "reference" and reference.exists():
        with np.load(reference) as arrays:
            truth = float(arrays["value"]), arrays["displacement"]
    send(answers, {"ready": True})
    for line in sys.stdin:
        try:
            row = solve(tool, line.strip(), truth, keep=reference if name == "reference" else None)
        except (MemoryError, RuntimeError) as failure:
            row = {"failed": f"{type(failure).__name__}: {' '.join(str(failure).split())[:200]}"}
        send(answers, row)


def warm_up(tool: Tool, source: np.ndarray, target: np.ndarray) -> None:
    """Solves a part of the problem, at a blur that suits few points."""
    count = min(tool.warm_up_points, len(source))
    step = max(1, len(source) // count)
    tool.load(source[::step].copy(), target[::step].copy(), 0.05)
    tool.solve(**next(iter(tool.variants.values())))


def solve(tool: Tool, variant: str, truth: tuple[float, np.ndarray] | None, *, keep: Path | None) -> dict[str, Any]:
    """One timed solve: seconds, peak memory above what was held before, errors against the reference, notes."""
    before = memory("VmRSS")
    reset_peak()
    started = time.perf_counter()
    answer = tool.solve(**tool.variants[variant])
    seconds = time.perf_counter() - started
    peak = max(0, round(memory("VmHWM") - before))
    row: dict[str, Any] = {"seconds": round(seconds, 4), "peak_mib": peak, "value": answer.value}
    if truth is not None and answer.value is not None and answer.displacement is not None:
        value, displacement = truth
        row["value_error"] = answer.value / value - 1
        square = ((answer.displacement - displacement) ** 2).sum(1).mean()
        row["map_error"] = float(np.sqrt(square / (displacement**2).sum(1).mean()))
    row |= answer.notes()
    if keep is not None and answer.value is not None and answer.displacement is not None:
        np.savez(keep, value=answer.value, displacement=answer.displacement)
    return row


if __name__ == "__main__":
    main()

"""What a step of a registration costs after the first: warm started, with a target that stays where it is.

    cd benchmarks && python -m solvers.steps PROBLEM.npz      (as benchmarks/transport.py does; prints JSON)

The source turns by half a degree and moves by half a blur per step, as it does in the middle of a registration. Every
step is solved again from the start, to see that the answer is the same.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import torch

from otreg import Measure, Sinkhorn, Transport

STEPS = 5
DEGREES = 0.5
SHIFT_BLURS = 0.5


def main() -> None:
    with np.load(sys.argv[1]) as arrays:
        points, goal, blur = arrays["source"], arrays["target"], float(arrays["blur"])
    print(json.dumps(measure_steps(points, goal, blur)))


def measure_steps(points: np.ndarray, goal: np.ndarray, blur: float) -> dict[str, object]:
    """Seconds of a solve from the start and of each warm step (value and map of both), and how far these are off."""
    sinkhorn = Sinkhorn(blur=blur)
    target = cloud(goal)
    timed(lambda: sinkhorn(cloud(points), target))  # compiles
    cold = min(timed(lambda: sinkhorn(cloud(points), target))[0] for _ in range(3))
    prepared = sinkhorn.prepare(target)
    _, transport = timed(lambda: sinkhorn(cloud(points), prepared))
    angle = np.radians(DEGREES)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    steps = []
    for _ in range(STEPS):
        points = points @ turn.T + [SHIFT_BLURS * blur, 0, 0]
        source, start = cloud(points), transport.warm_start
        seconds, transport = timed(lambda source=source, start=start: sinkhorn(source, prepared, warm_start=start))
        again, fresh = timed(lambda source=source: sinkhorn(source, target))
        difference = float((transport.displacement - fresh.displacement).norm() / fresh.displacement.norm())
        steps.append(
            {
                "seconds": seconds,
                "cold_seconds": again,
                "value_difference": transport.signed_value / fresh.signed_value - 1,
                "map_difference": difference,
                "converged": transport.converged,
            }
        )
    ratios = sorted(step["seconds"] / step["cold_seconds"] for step in steps)
    return {
        "points": len(points),
        "blur": blur,
        "cold_seconds": cold,
        "steps": steps,
        "ratio": ratios[len(ratios) // 2],
    }


def cloud(points: np.ndarray) -> Measure:
    return Measure(torch.from_numpy(points), torch.full((len(points),), 1 / len(points), dtype=torch.float64))


def timed(solve) -> tuple[float, Transport]:
    """Seconds until the value and the map are there, and the transport."""
    started = time.perf_counter()
    transport = solve()
    _ = transport.signed_value, transport.displacement
    return time.perf_counter() - started, transport


if __name__ == "__main__":
    main()

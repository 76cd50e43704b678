"""What a step of a registration costs after the first one, against a solve that reuses nothing.

    python benchmarks/steps.py              (a minute; writes results/steps.json)
    python benchmarks/steps.py --quick      (fewer points, to see that everything runs; writes nothing)

Two closed surfaces (see solvers/shapes.py). From step to step the source turns by half a degree and moves by half a
blur, as it does in the middle of a registration. In the levels of a registration the cells of the source stay what they
are and the target is prepared; the solver by itself, asked for value and map at all points, sorts the moved points into
new cells. Every step is solved again from nothing, target included, to compare the cost and the answer.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from machine import describe_machine

from otreg_cli.main import WAITING

os.environ.update(WAITING)

import numpy as np
import torch
from solvers.shapes import closed_surfaces

from otreg import Measure, Sinkhorn, Transport
from otreg.models import start_model
from otreg.models.linear import LinearModel
from otreg.registration.cells import Cells
from otreg.registration.levels import Level, TargetLevel

HERE = Path(__file__).resolve().parent
STEPS = 7
DEGREES = 0.5
SHIFT_BLURS = 0.5
BLURS = (0.08, 0.04, 0.02, 0.01)
REACH_BLURS = (None, 2.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer points; writes nothing")
    parser.add_argument("--output", type=Path, default=HERE / "results" / "steps.json")
    options = parser.parse_args()
    points = 5_000 if options.quick else 100_000
    source, target = (cloud(side) for side in closed_surfaces(points, 0)[:2])
    rows = []
    for kind in (level_steps, solver_steps):
        for blur in BLURS[-1:] if kind is solver_steps else BLURS:
            for blurs in REACH_BLURS:
                reach = None if blurs is None else blurs * blur
                rows.append(kind(source, target, blur, reach) | {"blur": blur, "reach": reach})
                print(json.dumps(rows[-1]), flush=True)
    result = {
        "machine": describe_machine() | {"threads": torch.get_num_threads()},
        "command": " ".join(["python benchmarks/steps.py", *sys.argv[1:]]),
        "points": points,
        "degrees": DEGREES,
        "shift_blurs": SHIFT_BLURS,
        "rows": rows,
    }
    if not options.quick:
        options.output.write_text(json.dumps(result, indent=1) + "\n")


def level_steps(source: Measure, target: Measure, blur: float, reach: float | None) -> dict[str, Any]:
    """Steps on one level of a registration, as its optimiser takes them."""
    model = start_model("rigid", source.points, source.weights, previous=None)
    assert isinstance(model, LinearModel)

    def from_nothing(model: LinearModel) -> Transport:
        prepared = TargetLevel(Cells(target, blur=blur), blur=blur, reach=reach, reduction="auto")
        return Level(Cells(source, blur=blur), prepared, model).evaluate(model, None).transport

    from_nothing(model)  # compiles
    prepared = TargetLevel(Cells(target, blur=blur), blur=blur, reach=reach, reduction="auto")
    level = Level(Cells(source, blur=blur), prepared, model)
    state = level.evaluate(model, None)
    timings = []
    for _ in range(STEPS):
        model = model.after(turn(), torch.tensor([SHIFT_BLURS * blur, 0, 0], dtype=torch.float64))
        start = state.transport.warm_start
        seconds, state = timed(lambda model=model, start=start: level.evaluate(model, start))
        cold_seconds, fresh = timed(lambda model=model: from_nothing(model))
        timings.append((seconds, cold_seconds, state.transport.iterations, fresh.iterations))
    return {"kind": "registration level", "cells": len(level.points)} | summary(timings)


def solver_steps(source: Measure, target: Measure, blur: float, reach: float | None) -> dict[str, Any]:
    """Steps of the solver by itself: value, and map at all points."""
    sinkhorn = Sinkhorn(blur=blur, reach=reach)

    def answer(source: Measure, **options: Any) -> Transport:
        transport = sinkhorn(source, options.pop("target", target), **options)
        _ = transport.signed_value, transport.displacement
        return transport

    answer(source)  # compiles
    prepared = sinkhorn.prepare(target, as_target=True)
    transport = answer(source, target=prepared)
    timings, values, maps = [], [], []
    points = source.points
    for _ in range(STEPS):
        points = points @ turn().T + torch.tensor([SHIFT_BLURS * blur, 0, 0], dtype=torch.float64)
        moved, start = cloud(points), transport.warm_start
        seconds, transport = timed(lambda moved=moved, start=start: answer(moved, target=prepared, warm_start=start))
        cold_seconds, fresh = timed(lambda moved=moved: answer(moved))
        timings.append((seconds, cold_seconds, transport.iterations, fresh.iterations))
        values.append(abs(transport.signed_value / fresh.signed_value - 1))
        maps.append(float((transport.displacement - fresh.displacement).norm() / fresh.displacement.norm()))
    return {
        "kind": "solver",
        "largest_value_difference": max(values),
        "largest_map_difference": max(maps),
    } | summary(timings)


def summary(timings: list[tuple[float, float, int, int]]) -> dict[str, Any]:
    """Medians over the steps: seconds and sweeps of a step and of a solve from nothing, and their ratio."""
    seconds, cold_seconds, sweeps, cold_sweeps = (statistics.median(column) for column in zip(*timings, strict=True))
    ratio = statistics.median(step / cold for step, cold, *_ in timings)
    return {
        "seconds": seconds,
        "cold_seconds": cold_seconds,
        "ratio": ratio,
        "sweeps": sweeps,
        "cold_sweeps": cold_sweeps,
    }


def turn() -> torch.Tensor:
    """(3, 3) rotation about the z axis."""
    angle = np.radians(DEGREES)
    cos, sin = np.cos(angle), np.sin(angle)
    return torch.tensor([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]], dtype=torch.float64)


def cloud(points: Any) -> Measure:
    points = torch.as_tensor(points, dtype=torch.float64)
    return Measure(points, torch.full((len(points),), 1 / len(points), dtype=torch.float64))


def timed(solve: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    answer = solve()
    return time.perf_counter() - started, answer


if __name__ == "__main__":
    main()

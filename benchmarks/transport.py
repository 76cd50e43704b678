"""Error against time of optimal transport solvers, side by side in one run: otreg, GeomLoss, POT and FlashSinkhorn.

    python benchmarks/transport.py            (about 25 minutes; writes results/transport.json and the plot in docs/)
    python benchmarks/transport.py --quick    (a minute or two, to see that everything runs; writes nothing)

Each case is a geometry (see solvers/shapes.py), a blur and a number of points a side. All tools get the same clouds
and the same question (see solvers/tools.py), each in a process of its own that has warmed up, and take turns: round
after round each solves once, and the best time counts. A run over the limit is killed and recorded as such; more points
are then not tried. Errors are those of the value, and of the map (rms, relative to the rms displacement), against a
reference that is far more converged. Memory is the peak during a solve, above what the process held before it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from children import next_answer
from machine import describe_machine
from solvers.shapes import GEOMETRIES, missing
from solvers.tools import TOOLS

from otreg_cli.main import WAITING

ROOT = Path(__file__).resolve().parent.parent
HERE = Path(__file__).resolve().parent
CURVE_POINTS = 10_000  # up to here all variants run, for error against time
ROUNDS = 3
AGAIN = 0.25  # of the limit: a tool that took so long in all its turns gets no further one
FAST = 0.1  # of the limit: a tool that is slower does not show its other variants
REFERENCE_LIMIT = 120  # seconds
BLURS = (0.01, 0.05)


@dataclass(frozen=True)
class Case:
    """One problem. curve: whether all variants of the tools are tried."""

    geometry: str
    blur: float
    points: int
    curve: bool = False

    @property
    def labels(self) -> dict[str, Any]:
        return {"geometry": self.geometry, "blur": self.blur, "points": self.points}


@dataclass
class Run:
    """What a run of the benchmark knows while it goes on."""

    options: argparse.Namespace
    folder: Path
    started: float = field(default_factory=time.perf_counter)
    rows: list[dict[str, Any]] = field(default_factory=list)
    references: list[dict[str, Any]] = field(default_factory=list)
    unavailable: dict[str, str] = field(default_factory=dict)
    not_run: list[dict[str, Any]] = field(default_factory=list)
    # (tool, geometry, blur) -> why more points are not tried, and the last time by points.
    stopped: dict[tuple[str, str, float], str] = field(default_factory=dict)
    last: dict[tuple[str, str, float], tuple[int, float]] = field(default_factory=dict)

    @property
    def elapsed(self) -> float:
        return time.perf_counter() - self.started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few points, to see that everything runs")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of the real meshes")
    parser.add_argument("--output", type=Path, help="result file  [default: benchmarks/results/transport.json]")
    parser.add_argument("--plot", type=Path, help="picture  [default: docs/images/transport.png]")
    parser.add_argument("--limit", type=float, default=40, help="seconds that one solve may take")
    parser.add_argument("--budget", type=float, default=1380, help="seconds after which no case is begun")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of every tool")
    options = parser.parse_args()
    if not options.quick:
        options.output = options.output or HERE / "results" / "transport.json"
        options.plot = options.plot or ROOT / "docs" / "images" / "transport.png"
    # Idle processes wait for their turn: their threads must sleep meanwhile.
    for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(options.threads)
    os.environ.update(WAITING)  # all tools alike

    with tempfile.TemporaryDirectory() as folder:
        run = Run(options, Path(folder))
        for case in cases(quick=options.quick):
            reason = missing(case.geometry, options.data)
            if reason is None and run.elapsed > options.budget:
                reason = f"the time of the run ({options.budget:.0f} s) was over"
            if reason is not None:
                run.not_run.append(case.labels | {"reason": reason})
                continue
            measure_case(run, case)
        result = {
            "machine": describe_machine() | {"threads": options.threads, "peers": peer_versions()},
            "command": " ".join(["python benchmarks/transport.py", *sys.argv[1:]]),
            "limit_seconds": options.limit,
            "rounds": ROUNDS,
            "seconds": round(run.elapsed),
            "unavailable": run.unavailable,
            "not_run": run.not_run,
            "references": run.references,
            "rows": run.rows,
            "growth": growth(run.rows),
        }
    print(f"done in {run.elapsed:.0f} s; growth {json.dumps(result['growth'])}")
    if options.output is not None:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(result, indent=1) + "\n")
    if options.plot is not None:
        from solvers.plot import draw

        draw(result, options.plot)


def cases(*, quick: bool) -> Iterator[Case]:
    """The cases in the order of their importance: when time runs out, the last ones are left out."""
    if quick:
        for geometry in GEOMETRIES:
            yield Case(geometry, BLURS[0], 300, curve=True)
        yield Case("closed surfaces", BLURS[1], 2000)
        return
    for blur in BLURS:
        for geometry in GEOMETRIES:
            for n in (1000, CURVE_POINTS, 50_000, 100_000, 1_000_000):
                if n != 50_000 or geometry == "closed surfaces":
                    yield Case(geometry, blur, n, curve=n <= CURVE_POINTS)
            if (geometry, blur) == ("closed surfaces", BLURS[0]):
                yield Case(geometry, blur, 10_000_000)


def measure_case(run: Run, case: Case) -> None:
    """Runs all tools that can take the case, in turns, and appends their rows."""
    print(f"{case.geometry}, blur {case.blur:.0%}, {case.points:,} points ({run.elapsed:.0f} s so far)", flush=True)
    problem, truth = run.folder / "problem.npz", run.folder / "reference.npz"
    source, target = GEOMETRIES[case.geometry](case.points, run.options.data)
    np.savez(problem, source=source, target=target, blur=case.blur)
    truth.unlink(missing_ok=True)
    make_reference(run, case, problem, truth)
    children: dict[str, Child] = {}
    for name in TOOLS:
        reason = why_not(run, name, case)
        if reason is not None:
            run.rows.append(case.labels | {"tool": name, "skipped": reason})
        elif name not in run.unavailable and (TOOLS[name].blurred or case.blur == BLURS[0]):
            children[name] = Child(name, problem, truth)
    try:
        for name in list(children):
            ready = children[name].answer(120)
            if "unavailable" in ready:
                run.unavailable[name] = ready["unavailable"]
            if "ready" not in ready:
                if name not in run.unavailable:
                    run.rows.append(case.labels | {"tool": name, "failed": "did not start"})
                children.pop(name).close()
        take_turns(run, case, children)
    finally:
        for child in children.values():
            child.close()


def make_reference(run: Run, case: Case, problem: Path, truth: Path) -> None:
    """Writes the reference answer, where one can be had in a reasonable time."""
    if case.points > 1_000_000:
        return
    variant = "dense" if case.points <= 2000 else "cells 0.15" if case.points <= CURVE_POINTS else "cells 0.3"
    with child_of("reference", problem, truth) as child:
        child.answer(120)
        found = child.solve(variant, REFERENCE_LIMIT)
    kept = ("seconds", "value", "lower", "upper", "marginal_error", "converged", "sweeps")
    run.references.append(
        case.labels | {"variant": variant} | {key: found[key] for key in found if key in kept or "seconds" not in found}
    )
    print(f"  {'reference, ' + variant:40} {found}", flush=True)


def why_not(run: Run, name: str, case: Case) -> str | None:
    """The reason for which a tool is not tried on a case, if there is one."""
    tool = TOOLS[name]
    if case.points > tool.most_points:
        return tool.reason
    key = name, case.geometry, case.blur
    if key in run.stopped:
        return run.stopped[key]
    if key in run.last:
        points, seconds = run.last[key]
        if seconds * (case.points / points) ** tool.growth > run.options.limit:
            return f"would take more than {run.options.limit:.0f} s, since {points} points took {seconds:.1f} s"
    return None


def take_turns(run: Run, case: Case, children: dict[str, Child]) -> None:
    """Round after round, each tool solves once with each of its variants, until it has taken long enough."""
    best: dict[tuple[str, str], dict[str, Any]] = {}
    for _ in range(ROUNDS):
        for name in list(children):
            first = next(iter(TOOLS[name].variants))
            for k, variant in enumerate(TOOLS[name].variants):
                row = best.get((name, variant))
                if k > 0 and not (case.curve and is_fast(best.get((name, first)), run.options.limit)):
                    continue
                if row is not None and not sum(row["times"]) < AGAIN * run.options.limit:
                    continue
                found = children[name].solve(variant, run.options.limit)
                best[name, variant] = better(row, found)
                if "over_seconds" in found:  # its process is gone
                    if k == 0:
                        key = name, case.geometry, case.blur
                        run.stopped[key] = f"took more than {run.options.limit:.0f} s with {case.points} points"
                    children.pop(name).close()
                    break
    for (name, variant), row in best.items():
        if variant == next(iter(TOOLS[name].variants)) and "seconds" in row:
            run.last[name, case.geometry, case.blur] = case.points, row["seconds"]
        run.rows.append(case.labels | {"tool": name, "variant": variant} | row)
        print(f"  {name + ', ' + variant:40} {summary(row)}", flush=True)


def better(row: dict[str, Any] | None, found: dict[str, Any]) -> dict[str, Any]:
    """The faster of two solves, with the times of all, and the largest memory: a later one reuses what was freed."""
    if row is None or "seconds" not in row:
        return found | {"times": [found["seconds"]] if "seconds" in found else []}
    if "seconds" not in found:
        return row
    peak = max(row["peak_mib"], found["peak_mib"])
    times = [*row["times"], found["seconds"]]
    return (found if found["seconds"] < row["seconds"] else row) | {"peak_mib": peak, "times": times}


def is_fast(row: dict[str, Any] | None, limit: float) -> bool:
    """Whether a tool is fast enough for its other variants to be tried, which are slower."""
    return row is not None and row.get("seconds", math.inf) < FAST * limit


def summary(row: dict[str, Any]) -> str:
    if "seconds" not in row:
        return json.dumps({key: value for key, value in row.items() if key != "times"})
    parts = [f"{row['seconds']:8.3f} s"]
    if "value_error" in row:
        parts.append(f"value {row['value_error']:+.1e}  map {row['map_error']:.1e}")
    return "  ".join([*parts, f"{row['peak_mib']:.0f} MiB"])


def growth(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Slope of log time against log points (1 is linear) of otreg from 10,000 points on, by geometry and blur."""
    found = []
    default = next(iter(TOOLS["otreg"].variants))
    for geometry, blur in dict.fromkeys((row["geometry"], row["blur"]) for row in rows):
        series = sorted(
            (row["points"], row["seconds"])
            for row in rows
            if (row["geometry"], row["blur"], row["tool"], row.get("variant")) == (geometry, blur, "otreg", default)
            and "seconds" in row
            and row["points"] >= CURVE_POINTS
        )
        if len(series) >= 2:
            points, seconds = np.log(np.array(series)).T
            slope = float(np.polyfit(points, seconds, 1)[0])
            steps = (np.diff(seconds) / np.diff(points)).round(3).tolist()
            found.append({"geometry": geometry, "blur": blur, "slope": round(slope, 3), "slopes_between": steps})
    return found


def peer_versions() -> dict[str, str]:
    found = {}
    for name in ("geomloss", "pykeops", "POT", "flash-sinkhorn"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


class Child:
    """The process of one tool on one case (see solvers/child.py)."""

    def __init__(self, name: str, problem: Path, truth: Path) -> None:
        command = [sys.executable, "-m", "solvers.child", name, str(problem), str(truth)]
        self.process = subprocess.Popen(
            command, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def solve(self, variant: str, limit: float) -> dict[str, Any]:
        """The answer of one solve, or what went wrong; a process that takes too long is killed."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(f"{variant}\n".encode())
            self.process.stdin.flush()
        except OSError:
            return {"failed": "the process ended"}
        return self.answer(limit)

    def answer(self, limit: float) -> dict[str, Any]:
        """The next line of the process, waited for at most ``limit`` seconds."""
        row = next_answer(self.process, limit)
        if "over_seconds" in row:
            self.process.kill()
        return row

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def child_of(name: str, problem: Path, truth: Path) -> Iterator[Child]:
    child = Child(name, problem, truth)
    try:
        yield child
    finally:
        child.close()


if __name__ == "__main__":
    main()

"""otreg on a CUDA device, against the card's own limits and against other solvers, in one run.

    python benchmarks/gpu.py              (under 8 minutes; writes results/gpu-<device>.json)
    python benchmarks/gpu.py --rehearse   (a few points in main memory, to see that everything runs)
    make gpu                              (the tests on the device, then this)

Four parts. Ceilings: exp2 and bytes per second of the card, measured. Softmins: pairs per second of each reduction,
over all pairs and over active blocks of cells, with the row sums alone and with the barycentres. A registration of a
million points. Solves: value and map at all points for 1e4 to 1e7 points on two closed surfaces (see
solvers/shapes.py) at three blurs, by otreg with each reduction and, where they are installed, by GeomLoss and
FlashSinkhorn; errors against a far more converged answer in double precision, up to 100,000 points. A tool whose next
size would take too long, or the rest of the run, is left out, and the file says so. The file is written anew after
every figure, so a run that is cut short, or hangs in a tool, leaves what it had found. Without a CUDA device the script
ends with status 1 and measures nothing.
"""

from __future__ import annotations

import argparse
import faulthandler
import functools
import json
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from machine import describe_machine
from solvers.shapes import closed_surfaces
from solvers.timing import seconds_of, synchronise

from otreg import Measure, RegistrationSettings, Sinkhorn, register
from otreg.transport.reductions import select_reduction
from otreg.transport.reductions.base import Potential, Temperature

HERE = Path(__file__).resolve().parent
BLURS = (0.05, 0.01, 0.005)
# Time grows with this power of the points, where it is not 1: FlashSinkhorn sums over all pairs.
GROWTH = {"flash-sinkhorn": 2}
SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
REFERENCE_POINTS = 100_000
# Seconds after the budget at which a tool that hangs, or its last solve, is ended with the whole run.
GRACE = 45.0

Answer = tuple[float, torch.Tensor]


@dataclass
class Run:
    """What a run knows while it goes on.

    limit: seconds that one solve may take; budget: of the whole run; path: of the result file, None to write none;
    result: what it has found.
    """

    device: torch.device
    reductions: tuple[str, ...]
    limit: float
    budget: float
    path: Path | None
    result: dict[str, Any]
    started: float = field(default_factory=time.perf_counter)

    @property
    def left(self) -> float:
        return self.budget - (time.perf_counter() - self.started)

    def record(self, part: str, found: dict[str, Any] | list[dict[str, Any]]) -> None:
        """Adds what was found and writes the file, whole or not at all."""
        self.result[part] = found
        self.result["seconds"] = round(time.perf_counter() - self.started)
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.path.with_suffix(".tmp")
        unfinished.write_text(json.dumps(self.result, indent=1) + "\n")
        os.replace(unfinished, self.path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rehearse", action="store_true", help="a few points in main memory; writes --output alone")
    parser.add_argument("--output", type=Path, help="result file  [default: benchmarks/results/gpu-DEVICE.json]")
    parser.add_argument("--limit", type=float, default=20, help="seconds that one solve may take")
    parser.add_argument("--budget", type=float, default=400, help="seconds after which nothing is begun")
    options = parser.parse_args()
    if not options.rehearse and not torch.cuda.is_available():
        sys.exit("nothing was measured: PyTorch sees no CUDA device (try --rehearse)")
    device = torch.device("cpu" if options.rehearse else "cuda")
    name = "rehearsal in main memory" if options.rehearse else torch.cuda.get_device_name()
    label = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    path = options.output or (None if options.rehearse else HERE / "results" / f"gpu-{label}.json")
    reductions = ("dense", "keops") if options.rehearse else ("triton", "keops", "dense")
    command = "python benchmarks/gpu.py" + (" --rehearse" if options.rehearse else "")
    result = {"machine": describe_machine() | {"device": name}, "command": command}
    run = Run(device, reductions, options.limit, options.budget, path, result)
    # Nothing else ends work that hangs on a device. The file holds what was found before.
    faulthandler.dump_traceback_later(options.budget + GRACE, exit=True)
    if options.rehearse:
        measure_softmins(run, 500, 2000)
        run.record("registration", attempt(lambda: measure_registration(run, 500)))
        measure_solves(run, (300, 600), BLURS[:1])
    else:
        run.record("ceilings", attempt(lambda: measure_ceilings(run.device)))
        measure_softmins(run, 50_000, 1_000_000)
        run.record("registration", attempt(lambda: measure_registration(run, 1_000_000)))
        measure_solves(run, SIZES, BLURS)
    print(f"done in {run.result['seconds']} s" + (f"; wrote {path}" if path else ""))


def attempt(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What some work found, or why it did not: one failure does not end a run that cannot be had often."""
    try:
        found = work()
    except Exception as failure:  # whatever a tool, a compiler or a driver raises
        found = {"failed": f"{type(failure).__name__}: {' '.join(str(failure).split())[:300]}"}
    print(f"  {json.dumps(found)}", flush=True)
    return found


def measure_ceilings(device: torch.device) -> dict[str, Any]:
    from solvers.ceilings import bytes_per_second, exponentials_per_second

    return {
        "exponentials_per_second": exponentials_per_second(device),
        "bytes_per_second": bytes_per_second(device),
    }


def measure_softmins(run: Run, few: int, many: int) -> None:
    """Pairs per second: over all pairs of ``few`` points, and over active blocks of the cells of ``many`` points."""
    rows: list[dict[str, Any]] = []
    for name in run.reductions:
        for points, blur, sparse in ((few, 0.05, False), (many, 0.01, True)):
            if sparse and name == "dense":
                continue
            for moments in (0, 1):
                labels = {"reduction": name, "points": points, "blur": blur, "moments": moments}
                print(f"softmin {labels} ({run.left:.0f} s left)", flush=True)
                rows.append(labels | attempt(lambda call=(run, name, points, blur, moments, sparse): softmin(*call)))
                run.record("softmins", rows)


def softmin(run: Run, name: str, points: int, blur: float, moments: int, sparse: bool) -> dict[str, Any]:
    """One softmin around potentials that belong to the blur. Pairs are those of active blocks."""
    source, target = measures(run, points)
    reduction = select_reduction(name, source)
    pyramids = [reduction.pyramid(m, 0.7 * blur) for m in (source, target)]
    x, y = (p[p.level(0.7 * blur) if sparse else 0] for p in pyramids)
    at = Temperature(2, blur**2, 1.0, 1.0, 10.0 if sparse else 1e9)
    everything = Temperature(2, blur**2, 1.0, 1.0, 1e9)
    f, g = (Potential(torch.zeros_like(c.weights), c.points) for c in (x, y))
    if sparse:  # two sweeps from the points' own places: potentials with about the right slopes
        coupling = reduction.couple(x, y, f, g, everything)
        for _ in range(2):
            f = coupling.rows(g.values, f, moments=1)
            g = coupling.columns(f.values, g, moments=1)
    f = reduction.couple(x, y, f, g, everything).rows(g.values, f, moments=1)
    search = seconds_of(lambda: reduction.couple(x, y, f, g, at).rows(g.values, f, moments=0), run.device, repeats=3)
    coupling = reduction.couple(x, y, f, g, at)
    seconds = seconds_of(lambda: coupling.rows(g.values, f, moments=moments), run.device)
    found = getattr(coupling, "_search", None)
    share = 1.0 if found is None or coupling.dropped == 0 else found.rows.share(-(-len(y) // found.size))
    return {
        "rows": len(x),
        "columns": len(y),
        "share_of_pairs": share,
        "seconds": seconds,
        "seconds_with_search": search,
        "pairs_per_second": share * len(x) * len(y) / seconds,
    }


@functools.lru_cache(maxsize=2)  # to draw millions of points takes seconds
def clouds(points: int) -> tuple[torch.Tensor, torch.Tensor]:
    a, b = closed_surfaces(points, HERE)
    return torch.from_numpy(a), torch.from_numpy(b)


def measures(run: Run, points: int) -> tuple[Measure, Measure]:
    """The two closed surfaces, on the device, in double precision."""
    a, b = (cloud.to(run.device) for cloud in clouds(points))
    return Measure(a, torch.full_like(a[:, 0], 1 / len(a))), Measure(b, torch.full_like(b[:, 0], 1 / len(b)))


def measure_registration(run: Run, points: int) -> dict[str, Any]:
    """A rigid registration of a surface of that many points, turned by 20 degrees and moved."""
    target, _ = measures(run, points)
    angle = torch.deg2rad(torch.tensor(20.0, dtype=torch.float64))
    turn = torch.eye(3, dtype=torch.float64)
    turn[0, 0] = turn[1, 1] = angle.cos()
    turn[0, 1], turn[1, 0] = -angle.sin(), angle.sin()
    turn = turn.to(run.device)
    source = Measure((target.points - 0.1) @ turn.T, target.weights)
    settings = RegistrationSettings(models=("rigid",), init="centroid", reach=None)
    print(f"registration of {points:,} points ({run.left:.0f} s left)", flush=True)
    reset_peak(run)
    synchronise(run.device)
    started = time.perf_counter()
    registration = register(source, target, settings)
    synchronise(run.device)
    seconds = time.perf_counter() - started
    moved = registration.model(source.points)
    error = (moved - target.points).square().sum(1).mean().sqrt()
    return {"points": points, "seconds": seconds, "rms_error": float(error)} | peak(run)


def measure_solves(run: Run, sizes: tuple[int, ...], blurs: tuple[float, ...]) -> None:
    """Value and map by every tool, sizes outermost, so that what time does not allow are the largest ones."""
    tools = {f"otreg {name}": otreg_with(name) for name in run.reductions if name != "dense"}
    tools |= {"geomloss multiscale": geomloss, "flash-sinkhorn": flash_sinkhorn}
    last: dict[tuple[str, float], tuple[int, float]] = {}
    rows: list[dict[str, Any]] = []
    for points in sizes:
        source, target = measures(run, points)
        for blur in blurs:
            truth = reference(run, source, target, blur) if points <= REFERENCE_POINTS and run.left > 0 else None
            for name, tool in tools.items():
                labels = {"tool": name, "points": points, "blur": blur}
                before, seconds = last.get((name, blur), (points, 0.0))
                expected = seconds * (points / before) ** GROWTH.get(name, 1)
                if expected > min(run.limit, run.left) or run.left <= 0:
                    reason = f"expected {expected:.0f} s with {run.left:.0f} s left"
                    rows.append(labels | {"skipped": "it failed before" if expected == float("inf") else reason})
                    run.record("solves", rows)
                    continue
                print(f"solve {labels} ({run.left:.0f} s left)", flush=True)
                row = attempt(lambda call=(run, tool, source, target, blur, truth): solve(*call))
                last[name, blur] = points, row.get("seconds", float("inf"))
                rows.append(labels | row)
                run.record("solves", rows)


Tool = Callable[[Measure, Measure, float], Answer]


def solve(run: Run, tool: Tool, source: Measure, target: Measure, blur: float, truth: Answer | None) -> dict[str, Any]:
    """Time of the second call (the first one compiles), unless the first is slow; memory above what was held before."""
    times = []
    reset_peak(run)
    for _ in range(3):
        synchronise(run.device)
        started = time.perf_counter()
        value, displacement = tool(source, target, blur)
        synchronise(run.device)
        times.append(time.perf_counter() - started)
        if times[-1] > run.limit / 4:
            break
    row: dict[str, Any] = {"seconds": min(times), "times": times, "value": value} | peak(run)
    if truth is not None:
        miss = (displacement - truth[1]).square().sum(1).mean() / truth[1].square().sum(1).mean()
        row |= {"value_error": value / truth[0] - 1, "map_error": float(miss.sqrt())}
    return row


def reference(run: Run, source: Measure, target: Measure, blur: float) -> Answer | None:
    """A far more converged answer, None where it takes too long or fails."""
    found: list[Answer] = []

    def work() -> dict[str, Any]:
        settings = {"tolerance": 1e-6, "cell": 0.15, "map_tolerance": 0.0, "max_iterations": 600}
        transport = Sinkhorn(blur=blur, precision="float64", reduction=run.reductions[0], **settings)(source, target)
        found.append((transport.signed_value, transport.displacement))
        return {"value": transport.signed_value, "marginal_error": transport.marginal_error}

    print(f"reference for {len(source):,} points at blur {blur} ({run.left:.0f} s left)", flush=True)
    attempt(work)
    return found[0] if found else None


def otreg_with(reduction: str) -> Tool:
    def tool(source: Measure, target: Measure, blur: float) -> Answer:
        transport = Sinkhorn(blur=blur, reduction=reduction)(source, target)
        return transport.signed_value, transport.displacement

    return tool


def geomloss(source: Measure, target: Measure, blur: float) -> Answer:
    from geomloss import SamplesLoss

    loss = SamplesLoss("sinkhorn", p=2, blur=blur, backend="multiscale")
    x = source.points.float().requires_grad_()
    value = loss(source.weights.float(), x, target.weights.float(), target.points.float())
    (gradient,) = torch.autograd.grad(value, [x])
    return value.item(), -gradient.double() / source.weights[:, None]


def flash_sinkhorn(source: Measure, target: Measure, blur: float) -> Answer:
    from flash_sinkhorn import SamplesLoss

    loss = SamplesLoss("sinkhorn", p=2, blur=blur, half_cost=True, debias=True, scaling=0.5)
    x = source.points.float().requires_grad_()
    value = loss(x, target.points.float())
    (gradient,) = torch.autograd.grad(value, [x])
    return value.item(), -gradient.double() * len(source)


def reset_peak(run: Run) -> None:
    if run.device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak(run: Run) -> dict[str, Any]:
    """MiB of device memory at most since the last reset, the measures included."""
    return {"peak_mib": round(torch.cuda.max_memory_allocated() / 2**20)} if run.device.type == "cuda" else {}


if __name__ == "__main__":
    main()

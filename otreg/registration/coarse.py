"""Hundreds of poses of a small source against a small target at once: their divergences, and steps towards the target.

A few hundred cells stand for each shape, so the Gibbs kernel of every pose fits into memory and a Sinkhorn sweep is one
pass over it. That is not the engine's way (no levels, no truncation, float32, few sweeps), and it need not
be: the blur is a tenth of the shape, and what it decides is only which poses are worth a registration.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import torch

from otreg.measures import Measure
from otreg.registration.alignment import shape_metric, small_motion
from otreg.registration.coarse_kernels import SMALLEST_SUM, own_scalings, scalings
from otreg.transport.neighbours import nearest
from otreg.transport.pyramid import build_pyramid
from otreg.transport.relaxation import Relaxation

# A coarse cloud holds at most so many cells as asked, and at least this share of them where the shape allows it.
_FILLED = 0.8
# Sweeps for a pose that is new, and after a step from the potentials before it; self problems converge fast.
_SWEEPS, _WARM_SWEEPS, _SELF_SWEEPS = 8, 5, 20
# Entries of kernels that are held at a time: what the caches of a processor hold.
_KERNEL_ENTRIES = 1_000_000
# Smallest exponent, so that float32 needs no denormal numbers, which are slow: what is that far away has no partner.
_SMALLEST_EXPONENT = -60.0
# Sizes that differ by this share are one for the transport of a shape to itself, as those of all starts are.
_SAME_SIZE = 1e-4
# Edge of cells over the extent of a shape, at least; and of those that coarse ones are merged from.
_LEAST_EDGE = 1e-3
_FINE_EDGE = 1e-2
# Power of the overlap in the weight of a pair of points: one that keeps half of its mass counts a sixteenth.
OVERLAP_POWER = 4


@dataclass(frozen=True)
class Poses:
    """Linear maps x -> matrix @ x + offset: (s, d, d) rotations, possibly scaled, and (s, d)."""

    matrix: torch.Tensor
    offset: torch.Tensor

    def __len__(self) -> int:
        return len(self.matrix)

    def __getitem__(self, index: torch.Tensor | slice) -> Poses:
        return Poses(self.matrix[index], self.offset[index])

    @staticmethod
    def join(parts: list[Poses]) -> Poses:
        """All of them, one after the other."""
        return Poses(torch.cat([p.matrix for p in parts]), torch.cat([p.offset for p in parts]))

    def after(self, matrix: torch.Tensor, offset: torch.Tensor) -> Poses:
        """The poses that first apply x -> matrix @ x + offset, one per pose."""
        return Poses(self.matrix @ matrix, (self.matrix @ offset[..., None])[..., 0] + self.offset)

    def of(self, points: torch.Tensor) -> torch.Tensor:
        """(s, n, d) where the poses put (n, d) points."""
        return points @ self.matrix.mT + self.offset[:, None]


def fine_cells(measure: Measure, count: int) -> Measure:
    """What ``coarse_cells`` of up to ``count`` may be merged from: cells, where those are far fewer than the points."""
    extent = float((measure.points.max(0).values - measure.points.min(0).values).norm())
    found = cells(measure, _FINE_EDGE * extent) if extent > 0 else measure
    return found if _stand_for(found, measure, count) else measure


def coarse_cells(measure: Measure, count: int) -> Measure:
    """The measure on at most ``count`` cells of one size; itself when it has no more points than that."""
    return fitting_cells(measure, count)[0]


def fitting_cells(measure: Measure, count: int) -> tuple[Measure, float]:
    """The measure on at most ``count`` cells of one size, and their edge; of no more points than that, how far they are
    apart."""
    if len(measure) <= count:
        return Measure(measure.points.double(), measure.weights.double()), _spacing(measure.points)
    extent = float((measure.points.max(0).values - measure.points.min(0).values).norm())
    smallest, largest = extent * 1e-4, extent
    best: Measure | None = None
    for _ in range(16):
        edge = math.sqrt(smallest * largest)
        found = cells(measure, edge)
        if len(found) > count:
            smallest = edge
            if _stand_for(found, measure, count):  # the next cells are larger
                measure = found
            continue
        largest, best = edge, found
        if len(found) >= _FILLED * count:
            break
    assert best is not None  # one cell is never more than count
    return best, largest


def _stand_for(found: Measure, measure: Measure, count: int) -> bool:
    """Whether cells are fine enough to be merged into ``count`` instead of the points, and far fewer than those."""
    return 8 * count < len(found) < 0.5 * len(measure)


def cells(measure: Measure, edge: float) -> Measure:
    """Cells of that edge, or the points where cells would merge next to nothing."""
    pyramid = build_pyramid(measure, edge)
    level = pyramid[pyramid.level(1.001 * edge)]
    return Measure(level.points[:, : measure.dimension].contiguous(), level.weights.clone())


def _spacing(points: torch.Tensor) -> float:
    """How far points are apart: the median distance of the third nearest, as of neighbours in a grid on a surface."""
    every = torch.unique(points.double(), dim=0)  # points that are there several times are one
    third = every[nearest(every, every, min(len(every), 4))[:, -1]]
    distance = float(np.median((every - third).norm(dim=1).cpu().numpy()))
    extent = float((points.max(0).values - points.min(0).values).norm())
    # Where most points are there several times, they are apart by nothing: cells need an edge all the same.
    return max(distance, _LEAST_EDGE * extent) or _LEAST_EDGE


class CoarseProblem:
    """One coarse source, in many poses, against one coarse target, at one blur and reach (None conserves mass).

    Poses, points and scores are float32. scale: poses may differ in size, and steps may change it.
    """

    def __init__(
        self, source: Measure, target: Measure, *, blur: float, reach: float | None, scale: bool = False
    ) -> None:
        self.x, self.a = source.points.float(), (source.weights / source.mass).float()
        self.y, self.b = target.points.float(), (target.weights / target.mass).float()
        self._eps, self._relaxation = blur**2, Relaxation(None if reach is None else reach**2)
        self._power = np.float32(-self._relaxation.damping(self._eps))
        self._scale = scale
        self._metric = shape_metric(source.points.double()).float()
        self._own_target = self._self_problem(self.y[None], self.b)
        self._own = self._self_problem(self.x[None], self.a)

    def overlaps(self, poses: Poses) -> torch.Tensor:
        """(s,) share of the mass that keeps as much as in the transport to its own shape, of the side that keeps less.

        One for shapes that are the same, as far as the blur sees.
        """
        poses = Poses(poses.matrix.float(), poses.offset.float())
        plans = self._plans(poses, self._no_potential(poses), _SWEEPS)
        overlap, overlap_target = self._overlap(plans, self._own_of(poses)), self._overlap_target(plans.kept_target)
        return torch.minimum(overlap @ self.a, overlap_target @ self.b)

    def refine(self, poses: Poses, *, steps: int) -> tuple[Poses, torch.Tensor]:
        """The poses after some steps towards the target, and the debiased divergence (s,) of each."""
        poses = Poses(poses.matrix.float(), poses.offset.float())
        columns = self._no_potential(poses)
        for step in range(steps):
            plans = self._plans(poses, columns, _WARM_SWEEPS if step else _SWEEPS)
            poses, columns = self._step(poses, plans, self._own_of(poses)), plans.columns
        plans = self._plans(poses, columns, _WARM_SWEEPS if steps else _SWEEPS)
        score = self._value(plans) - (self._own_of(poses).value + self._own_target.value) / 2
        return poses, score.nan_to_num(nan=math.inf)

    def _step(self, poses: Poses, plans: _Plans, own: _Own) -> Poses:
        """Follow the plans where both sides overlap, in the metric of the source."""
        sums = plans.sums
        arrival = sums[..., 1:] / sums[..., :1].clamp_min(float(SMALLEST_SUM))
        ways = (arrival - poses.of(self.x)) @ torch.linalg.inv(poses.matrix).mT - own.way
        weights = self.a * plans.rows * sums[..., 0] * self._overlap(plans, own) ** OVERLAP_POWER
        new = poses.after(*small_motion(self.x, ways, weights, self._metric, scale=self._scale))
        # Where nothing at all is matched there is no step.
        good = torch.isfinite(new.offset).all(1) & torch.isfinite(new.matrix).flatten(1).all(1)
        return Poses(
            torch.where(good[:, None, None], new.matrix, poses.matrix),
            torch.where(good[:, None], new.offset, poses.offset),
        )

    def _no_potential(self, poses: Poses) -> torch.Tensor:
        """(s, m) scalings exp(g / eps) to start from, where g is zero."""
        return torch.ones(len(poses), len(self.b))

    def _plans(self, poses: Poses, columns: torch.Tensor, sweeps: int) -> _Plans:
        """The plans after some sweeps from scalings (s, m)."""
        found = []
        for some in _chunks(len(poses), len(self.x) * len(self.y)):
            kernel = self._kernel(poses[some].of(self.x), self.y[None])
            rows, kept, scaled, kept_target = map(
                torch.from_numpy,
                scalings(kernel.numpy(), self.a.numpy(), self.b.numpy(), columns[some].numpy(), self._power, sweeps),
            )
            trusted = (scaled * self.b * self._overlap_target(kept_target) ** OVERLAP_POWER)[..., None]
            sums = kernel @ torch.cat([trusted, trusted * self.y], 2)
            found.append(_Plans(rows, kept, scaled, kept_target, sums))
        return _Plans(*(torch.cat([getattr(plans, field.name) for plans in found]) for field in fields(_Plans)))

    def _kernel(self, points: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        """exp(-C / eps) between (s, n, d) points and others (s, m, d) or (1, m, d): (s, n, m)."""
        # One product of matrices: <x, y> / eps, less both halves of the squares.
        here, there = (v.square().sum(2, keepdim=True) / (-2 * self._eps) for v in (points, others))
        rows = torch.cat([points / self._eps, here, torch.ones_like(here)], 2)
        exponents = rows @ torch.cat([others, torch.ones_like(there), there], 2).mT
        return exponents.clamp_(_SMALLEST_EXPONENT, 0).exp_()

    def _overlap(self, plans: _Plans, own: _Own) -> torch.Tensor:
        """(s, n) what points keep over what they keep in the transport to their own shape, at most one."""
        return (plans.kept / own.kept).clamp(max=1)

    def _overlap_target(self, kept: torch.Tensor) -> torch.Tensor:
        """(s, m), the same of the target."""
        return (kept / self._own_target.kept).clamp(max=1)

    def _value(self, plans: _Plans) -> torch.Tensor:
        """(s,) dual value of the unbalanced problem (Sejourne et al. 2019), between probability measures."""
        f, g = (self._relaxation.conjugate(self._eps * scaling.log()) for scaling in (plans.rows, plans.columns))
        return f @ self.a + g @ self.b - self._eps * (plans.kept @ self.a - 1)

    def _own_of(self, poses: Poses) -> _Own:
        """The source's transport to itself in some poses, of which only the sizes count."""
        if not self._scale:
            return self._own
        logs = torch.linalg.det(poses.matrix.double()).abs().log() / self.x.shape[1]
        logs, member = (logs / _SAME_SIZE).round().unique(return_inverse=True)
        sizes = (logs * _SAME_SIZE).exp().float()[:, None, None]
        own = self._self_problem(sizes * self.x, self.a)
        return _Own(own.kept[member], (own.way / sizes)[member], own.value[member])

    def _self_problem(self, points: torch.Tensor, weights: torch.Tensor) -> _Own:
        """Of (s, n, d) points with themselves."""
        found = []
        for some in _chunks(len(points), points.shape[1] ** 2):
            kernel = self._kernel(points[some], points[some])
            scaling = torch.from_numpy(own_scalings(kernel.numpy(), weights.numpy(), self._power, _SELF_SWEEPS))
            masses = (scaling * weights)[..., None]
            sums = kernel @ torch.cat([masses, masses * points[some]], 2)
            kept = scaling * sums[..., 0]
            f = self._relaxation.conjugate(self._eps * scaling.log())
            value = 2 * (f @ weights) - self._eps * (kept @ weights - 1)
            found.append(_Own(kept, sums[..., 1:] / sums[..., :1] - points[some], value))
        return _Own(*(torch.cat([getattr(own, field.name) for own in found]) for field in fields(_Own)))


def _chunks(count: int, entries: int) -> list[slice]:
    """Ranges of so many kernels, of some entries each, as are held at a time."""
    step = max(1, _KERNEL_ENTRIES // entries)
    return [slice(start, start + step) for start in range(0, count, step)]


@dataclass(frozen=True)
class _Plans:
    """Plans a rows kernel columns b: rows exp(f / eps) (s, n), columns exp(g / eps) (s, m), and the shares of the
    points that they move. sums: (s, n, 1 + d) over the columns, by their overlap: of the plan, and of it times y."""

    rows: torch.Tensor
    kept: torch.Tensor
    columns: torch.Tensor
    kept_target: torch.Tensor
    sums: torch.Tensor


@dataclass(frozen=True)
class _Own:
    """Of transports of points to themselves: kept shares (s, n), ways to the barycentres (s, n, d), values (s,)."""

    kept: torch.Tensor
    way: torch.Tensor
    value: torch.Tensor

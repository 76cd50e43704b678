"""Hundreds of poses of a small source against a small target at once: their divergences, and steps towards the target.

A few hundred cells stand for each shape, so the Gibbs kernel of every pose fits into memory and a Sinkhorn sweep is two
batched matrix products. That is not the engine's way (no levels, no truncation, float32, few sweeps), and it need not
be: the blur is a tenth of the shape, and what it decides is only which poses are worth a registration.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree

from otreg.measures import Measure
from otreg.registration.alignment import shape_metric, small_motion
from otreg.registration.cover import angles
from otreg.transport.pyramid import build_pyramid
from otreg.transport.relaxation import Relaxation

# A coarse cloud holds at most so many cells as asked, and at least this share of them where the shape allows it.
_FILLED = 0.8
# Sweeps for a pose that is new, and after a step from the potentials before it; self problems converge fast.
_SWEEPS, _WARM_SWEEPS, _SELF_SWEEPS = 8, 5, 20
# Entries of kernels that are held at a time: what the caches of a processor hold.
_KERNEL_ENTRIES = 1_000_000
# Smallest exponent, so that float32 needs no denormal numbers, which are slow; and smallest sum, so that the product of
# a row's and a column's scaling stays finite. What is that far away has no partner anyway.
_SMALLEST_EXPONENT, _SMALLEST_SUM = -60.0, 1e-18
# Edge of cells over the extent of a shape, at least.
_LEAST_EDGE = 1e-3
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

    def apart(self, pose: int) -> torch.Tensor:
        """(s,) degrees between the rotations and that of one of them."""
        return angles(self.matrix, self.matrix[pose])


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
            # The next cells are larger: these are fine enough to be merged instead of all the points.
            if len(found) > 8 * count and len(found) < 0.5 * len(measure):
                measure = found
            continue
        largest, best = edge, found
        if len(found) >= _FILLED * count:
            break
    assert best is not None  # one cell is never more than count
    return best, largest


def cells(measure: Measure, edge: float) -> Measure:
    """Cells of that edge, or the points where cells would merge next to nothing."""
    levels = build_pyramid(measure, edge).levels
    level = levels[1] if len(levels) > 1 and levels[1].cell <= 1.001 * edge else levels[0]
    return Measure(level.points[:, : measure.dimension].contiguous(), level.weights.clone())


def _spacing(points: torch.Tensor) -> float:
    """How far points are apart: the median distance of the third nearest, as of neighbours in a grid on a surface."""
    distance, _ = cKDTree(points.cpu().numpy()).query(points.cpu().numpy(), min(len(points), 4))
    extent = float((points.max(0).values - points.min(0).values).norm())
    # Where most points are there several times, they are apart by nothing: cells need an edge all the same.
    return max(float(np.median(distance.reshape(len(points), -1)[:, -1])), _LEAST_EDGE * extent) or _LEAST_EDGE


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
        self._power = -self._relaxation.damping(self._eps)
        self._scale = scale
        self._metric = shape_metric(source.points.double()).float()
        self._own_target, self._target_value = self._self_problem(self.y[None], self.b)[0::2]
        self._own, self._own_way, self._own_value = self._self_problem(self.x[None], self.a)

    def overlaps(self, poses: Poses) -> torch.Tensor:
        """(s,) share of the mass that keeps as much as in the transport to its own shape, of the side that keeps less.

        One for shapes that are the same, as far as the blur sees.
        """
        moved = self.x @ poses.matrix.float().mT + poses.offset.float()[:, None]
        own = self._self_problem(moved, self.a)[0] if self._scale else self._own
        kernel = self._kernel(moved, self.y)
        kept, kept_target = self._kept(kernel, *self._sweep(kernel, None, _SWEEPS))
        return torch.minimum((kept / own).clamp(max=1) @ self.a, (kept_target / self._own_target).clamp(max=1) @ self.b)

    def refine(self, poses: Poses, *, steps: int) -> tuple[Poses, torch.Tensor]:
        """The poses after some steps towards the target, and the debiased divergence (s,) of each."""
        rows = max(1, _KERNEL_ENTRIES // (len(self.x) * len(self.y)))
        parts = [self._refine(poses[start : start + rows], steps) for start in range(0, len(poses), rows)]
        return Poses.join([part[0] for part in parts]), torch.cat([part[1] for part in parts])

    def _refine(self, poses: Poses, steps: int) -> tuple[Poses, torch.Tensor]:
        poses, columns, score = Poses(poses.matrix.float(), poses.offset.float()), None, None
        for step in range(steps + 1):
            moved = self.x @ poses.matrix.mT + poses.offset[:, None]
            if self._scale:
                self._own, self._own_way, self._own_value = self._self_problem(moved, self.a)
            kernel = self._kernel(moved, self.y)
            rows, columns = self._sweep(kernel, columns, _WARM_SWEEPS if step else _SWEEPS)
            kept, kept_target = self._kept(kernel, rows, columns)
            score = self._value(rows, columns, kept) - (self._own_value + self._target_value) / 2
            if step < steps:
                poses = self._step(poses, moved, kernel, (rows, columns), (kept, kept_target))
        assert score is not None
        return poses, score.nan_to_num(nan=math.inf)

    def _step(
        self,
        poses: Poses,
        moved: torch.Tensor,
        kernel: torch.Tensor,
        scalings: tuple[torch.Tensor, torch.Tensor],
        kept: tuple[torch.Tensor, torch.Tensor],
    ) -> Poses:
        """Follow the plan where both sides overlap, in the metric of the source."""
        rows, columns = scalings
        overlap, overlap_target = (kept[0] / self._own).clamp(max=1), (kept[1] / self._own_target).clamp(max=1)
        trusted = columns * self.b * overlap_target**OVERLAP_POWER
        sums = kernel @ torch.cat([trusted[..., None], trusted[..., None] * self.y], 2)
        arrival = sums[..., 1:] / sums[..., :1].clamp_min(_SMALLEST_SUM)
        own_way = self._own_way if self._scale else self._own_way @ poses.matrix.mT
        ways = (arrival - moved - own_way) @ torch.linalg.inv(poses.matrix).mT
        weights = self.a * rows * sums[..., 0] * overlap**OVERLAP_POWER
        new = poses.after(*small_motion(self.x, ways, weights, self._metric, scale=self._scale))
        # Where nothing at all is matched there is no step.
        good = torch.isfinite(new.offset).all(1) & torch.isfinite(new.matrix).flatten(1).all(1)
        return Poses(
            torch.where(good[:, None, None], new.matrix, poses.matrix),
            torch.where(good[:, None], new.offset, poses.offset),
        )

    def _kernel(self, points: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        """exp(-C / eps) between (s, n, d) points and others (m, d) or (s, m, d): (s, n, m)."""
        squares = torch.cdist(points, others.expand(len(points), -1, -1)).square_()
        return squares.mul_(-0.5 / self._eps).clamp_min_(_SMALLEST_EXPONENT).exp_()

    def _sweep(
        self, kernel: torch.Tensor, columns: torch.Tensor | None, sweeps: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Scalings exp(f / eps) (s, n) and exp(g / eps) (s, m) of the plan a rows kernel columns b."""
        if columns is None:
            columns = torch.ones(len(kernel), len(self.b))
        for _ in range(sweeps):
            rows = self._softmin(kernel, columns * self.b)
            columns = self._softmin(kernel.mT, rows * self.a)
        return rows, columns

    def _softmin(self, kernel: torch.Tensor, masses: torch.Tensor) -> torch.Tensor:
        return (kernel @ masses[..., None])[..., 0].clamp_min_(_SMALLEST_SUM).pow_(self._power)

    def _kept(
        self, kernel: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Shares of the source's and of the target's points that the plan moves, (s, n) and (s, m)."""
        source = rows * (kernel @ (columns * self.b)[..., None])[..., 0]
        return source, columns * (kernel.mT @ (rows * self.a)[..., None])[..., 0]

    def _value(self, rows: torch.Tensor, columns: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        """(s,) dual value of the unbalanced problem (Sejourne et al. 2019), between probability measures."""
        f, g = (self._relaxation.conjugate(self._eps * scaling.log()) for scaling in (rows, columns))
        return f @ self.a + g @ self.b - self._eps * (kept @ self.a - 1)

    def _self_problem(
        self, points: torch.Tensor, weights: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Of (s, n, d) points with themselves: kept shares (s, n), ways to the barycentres (s, n, d), values (s,)."""
        kernel = self._kernel(points, points)
        scaling = torch.ones(points.shape[:2])
        for _ in range(_SELF_SWEEPS):
            scaling = (scaling * self._softmin(kernel, scaling * weights)).sqrt()
        masses = (scaling * weights)[..., None]
        sums = kernel @ torch.cat([masses, masses * points], 2)
        kept = scaling * sums[..., 0]
        f = self._relaxation.conjugate(self._eps * scaling.log())
        value = 2 * (f @ weights) - self._eps * (kept @ weights - 1)
        return kept, sums[..., 1:] / sums[..., :1] - points, value

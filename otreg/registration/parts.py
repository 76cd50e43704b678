"""Poses in which parts of two shapes look alike: where to start when the shapes have no more than a part in common.

A search that lays mean on mean cannot find an object in a scene, or scans that share less than half. Here points that
look alike are matched, and of the matches those are kept that one motion can explain: matches whose distances among
themselves are the same on both sides, and which have many such partners in common (second order spatial
compatibility, Chen et al. 2022, SC2-PCR). Poses are ranked by how much surface they lay on surface. Nothing is random.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from otreg.measures import Measure
from otreg.registration.alignment import shape_metric, small_motion
from otreg.registration.coarse import Poses, cells, fitting_cells
from otreg.registration.cover import angles
from otreg.registration.descriptors import Array, descriptors_of, normals_of
from otreg.registration.surface_kernels import binned, laid, nearest_of

# Cells of the larger shape are at most so many times those of the smaller one.
_LARGER = 4
# Matches that are kept, and how many of the nearest descriptors of the other side a match must be among, on both sides.
_MATCHES, _NEAREST = 1000, 3
# Distances between matched points agree when they differ by less than so many edges; closer ones say nothing.
_AGREE, _APART = 1.5, 4.0
# Groups of matches that are tried, matches per group, and groups that are refined.
_SEEDS, _GROUP, _REFINED = 300, 12, 60
# Points per side that say how much surface lies on surface, and what counts as on it, in edges.
_PROBES, _ON = 600, 1.5
# Steps of a pose onto the nearest surface, from this distance (in edges) down to ``_ON``.
_STEPS, _CATCH = 6, 3.0
# Poses are one when they differ by less than this angle (degrees) and shift (in edges).
_SAME_DEGREES, _SAME_SHIFT = 10.0, 4.0


class Surfaces:
    """Two shapes as cells of one edge with normals: how much of one a pose lays on the other.

    count: cells of the smaller shape, about. size: of the source over what it is as given; poses hold it, too.
    """

    def __init__(self, source: Measure, target: Measure, *, count: int, size: float = 1.0) -> None:
        source = Measure(source.points.double() * size, source.weights.double())
        extents = [float((m.points.max(0).values - m.points.min(0).values).norm()) for m in (source, target)]
        small, large = (source, target) if extents[0] <= extents[1] else (target, source)
        # The same surface has the same cells on both sides.
        self.edge = max(fitting_cells(small, count)[1], fitting_cells(large, _LARGER * count)[1])
        coarse = [cells(measure, self.edge) for measure in (source, target)]
        self._size = size
        self._source, self._target = (_Surface(measure.points.numpy(), self.edge) for measure in coarse)
        # Masses of cells on a surface: the same in cells of one edge, but for how dense the shapes are.
        here, there = (_typical_mass(measure) for measure in coarse)
        self.density = there / here

    def alike(self, count: int) -> Poses:
        """At most ``count`` distinct poses in which parts look alike, those that share most surface first."""
        x, y = self._source.points, self._target.points
        matched = _matches(*(descriptors_of(s.points, s.normals, self.edge) for s in (self._source, self._target)))
        d = x.shape[1]
        if len(matched) < d:
            return Poses(torch.empty(0, d, d, dtype=torch.float64), torch.empty(0, d, dtype=torch.float64))
        poses = _consistent(x[matched[:, 0]], y[matched[:, 1]], self.edge)
        # Most groups agree on one of a few motions.
        poses = self._best(poses[self.distinct(poses, _SEEDS)], _REFINED)
        poses = self._best(self._refined(poses), count)
        return Poses(poses.matrix * self._size, poses.offset)

    def refined(self, poses: Poses) -> Poses:
        """The poses after some steps onto the nearest surface, as far as that is near."""
        poses = self._refined(Poses(poses.matrix.double() / self._size, poses.offset.double()))
        return Poses(poses.matrix * self._size, poses.offset)

    def shared(self, poses: Poses) -> torch.Tensor:
        """(s,) surface that the poses lay on surface and alongside it, over that of the shape that has less."""
        return self._shared(Poses(poses.matrix.double() / self._size, poses.offset.double()))

    def distinct(self, poses: Poses, count: int) -> torch.Tensor:
        """Indices of the first poses, at most ``count``, no two of which are the same."""
        places = poses.matrix @ torch.from_numpy(self._source.points.mean(0)) + poses.offset
        turned = angles(poses.matrix[:, None], poses.matrix) > _SAME_DEGREES
        other = (turned | (torch.cdist(places, places) > _SAME_SHIFT * self.edge)).numpy()
        kept: list[int] = []
        for index in range(len(poses)):
            if len(kept) == count:
                break
            if other[index, kept].all():
                kept.append(index)
        return torch.tensor(kept, dtype=torch.int64)

    def _best(self, poses: Poses, count: int) -> Poses:
        """Those that share most surface, at most ``count``, no two of them the same."""
        poses = poses[self._shared(poses).argsort(descending=True, stable=True)]
        return poses[self.distinct(poses, count)]

    def _shared(self, poses: Poses) -> torch.Tensor:
        matrix, offset = poses.matrix.numpy(), poses.offset.numpy()
        size = np.abs(np.linalg.det(matrix)) ** (1 / matrix.shape[1])
        inverse = np.linalg.inv(matrix)
        bound = np.full(len(matrix), _ON * self.edge)
        forth = self._source.on(self._target, matrix, offset, matrix / size[:, None, None], bound)
        offset = -(inverse @ offset[..., None])[..., 0]
        back = self._target.on(self._source, inverse, offset, inverse * size[:, None, None], bound / size)
        total = (size**2 * forth + back) / 2
        return torch.from_numpy(total / min(len(self._source.points), len(self._target.points)))

    def _refined(self, poses: Poses) -> Poses:
        probes = self._source.probes
        points = torch.from_numpy(self._source.points[probes])
        metric = shape_metric(torch.from_numpy(self._source.points))[probes]
        goals = torch.from_numpy(self._target.points)
        for k in range(_STEPS):
            bound = self.edge * (_CATCH + (_ON - _CATCH) * k / (_STEPS - 1))
            moved = poses.of(points)
            nearest, distance = self._target.nearest(moved.numpy(), bound)
            weights = torch.from_numpy((1 - (distance / bound) ** 2) ** 2)
            ways = (goals[torch.from_numpy(nearest)] - moved) @ torch.linalg.inv(poses.matrix).mT
            new = poses.after(*small_motion(points, ways, weights, metric, scale=False))
            enough = torch.from_numpy((distance < bound).sum(1) > 2 * points.shape[1])
            poses = Poses(
                torch.where(enough[:, None, None], new.matrix, poses.matrix),
                torch.where(enough[:, None], new.offset, poses.offset),
            )
        return poses


class _Surface:
    """The cells of one shape and their normals, (n, d), sorted into bins for the compiled loops."""

    def __init__(self, points: Array, edge: float) -> None:
        self.points, self.normals = points, normals_of(points, edge)
        # Some of the cells, evenly spread.
        self.probes = slice(None, None, max(1, len(points) // _PROBES))
        self._bins = binned(_in_space(points), _CATCH * edge)

    def nearest(self, places: Array, bound: float) -> tuple[npt.NDArray[np.int64], Array]:
        """(s, k) indices of the cells nearest to (s, k, d) places, and how far they are, or where that is beyond the
        bound, some index and the bound."""
        return nearest_of(_in_space(places), bound, _in_space(self.points), *self._bins)

    def on(self, others: _Surface, matrix: Array, offset: Array, turn: Array, bound: Array) -> Array:
        """(s,) how many cells poses, (s, d, d) and (s, d), lay on those of another shape, nearer than bounds (s,).

        turn: (s, d, d) of the normals.
        """
        counts = laid(
            _in_space(self.points[self.probes]),
            _in_space(self.normals[self.probes]),
            _in_space(matrix, axes=2),
            _in_space(offset),
            _in_space(turn, axes=2),
            bound,
            _in_space(others.points),
            _in_space(others.normals),
            *others._bins,
        )
        return np.asarray(counts * self.probes.step)


def _in_space(values: Array, *, axes: int = 1) -> Array:
    """(..., d) numbers as (..., 3), or (..., d, d) as (..., 3, 3): zeros for what the plane lacks."""
    missing = 3 - values.shape[-1]
    width = [(0, 0)] * (values.ndim - axes) + [(0, missing)] * axes
    return np.ascontiguousarray(np.pad(values, width) if missing else values)


def _typical_mass(measure: Measure) -> float:
    """The mass of a cell that half of the mass lies in smaller ones of: stray points do not count."""
    masses = measure.weights.sort().values
    masses = masses / masses.sum()
    return float(masses[int((masses.cumsum(0) < 0.5).sum())])


def _matches(x: Array, y: Array) -> npt.NDArray[np.int64]:
    """(k, 2) indices of descriptors (n, f) and (m, f) that are among the nearest of each other, best first."""
    apart = torch.cdist(torch.from_numpy(x).float(), torch.from_numpy(y).float())
    n, m = apart.shape
    there = apart.topk(min(_NEAREST, m), dim=1, largest=False).indices
    back = apart.topk(min(_NEAREST, n), dim=0, largest=False).indices
    chosen = torch.zeros(n, m, dtype=torch.int8)
    chosen[torch.arange(n)[:, None], there] += 1
    chosen[back, torch.arange(m)[None]] += 1
    pairs = (chosen == 2).nonzero()
    # What looks like everything else says little: the more unusual a point is, the more its match counts.
    unusual = torch.from_numpy(np.linalg.norm(x - x.mean(0), axis=1)).float()
    rank = apart[pairs[:, 0], pairs[:, 1]] / unusual[pairs[:, 0]].clamp_min(1e-6)
    return np.asarray(pairs[rank.argsort(stable=True)[:_MATCHES]].numpy())


def _consistent(x: Array, y: Array, edge: float) -> Poses:
    """The poses that groups of agreeing matches x -> y (k, d) ask for."""
    near, far = (torch.cdist(points, points) for points in (torch.from_numpy(x), torch.from_numpy(y)))
    agree = (1 - ((near - far) / (_AGREE * edge)).square()).clamp_min(0).float()
    agree *= (near > _APART * edge) & (far > _APART * edge)
    second = agree * (agree @ agree)
    seeds = second.sum(1).argsort(descending=True, stable=True)[:_SEEDS]
    weights, group = second[seeds].topk(min(_GROUP, second.shape[1]), dim=1)
    group = torch.cat([seeds[:, None], group], 1)
    weights = torch.cat([weights[:, :1], weights], 1).double()
    return _motions(torch.from_numpy(x)[group], torch.from_numpy(y)[group], weights)


def _motions(x: torch.Tensor, y: torch.Tensor, weights: torch.Tensor) -> Poses:
    """The rigid motions that best lay (s, k, d) points on others, by Procrustes."""
    weights = (weights / weights.sum(1, keepdim=True).clamp_min(1e-300))[..., None]
    here, there = ((weights * points).sum(1, keepdim=True) for points in (x, y))
    u, _, vt = torch.linalg.svd((y - there).mT @ (weights * (x - here)))
    u = torch.cat([u[..., :-1], u[..., -1:] * torch.linalg.det(u @ vt)[:, None, None]], 2)
    matrix = u @ vt
    return Poses(matrix, (there - here @ matrix.mT)[:, 0])

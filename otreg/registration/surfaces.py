"""Two shapes as surfaces: how much of one a pose lays on the other, and what that says for the pose.

Where shapes have no more than a part in common, the divergence says which pose moves least mass, not which one is
right: a pose that lays cut on cut finds a partner for nearly everything. What is right shows where surfaces meet. In
the true pose they lie closely on each other, and what lies on nothing is beyond a border of the other shape; in a wrong
one they cross, or lie beside each other in the middle. Nothing is random.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from otreg.measures import Measure
from otreg.models.linear import LinearModel
from otreg.registration.alignment import shape_metric, small_motion
from otreg.registration.coarse import Poses, cells, fitting_cells
from otreg.registration.cover import angles
from otreg.registration.descriptors import Array, at_border, normals_of
from otreg.registration.surface_kernels import binned, laid, nearest_of

# Cells of the smaller shape that tell poses apart which differ in details.
_FINE_CELLS = 5000
# Cells of the larger shape are at most so many times those of the smaller one.
_LARGER = 4
# Points per side that say how much surface lies on surface, and what counts as on it, in edges.
_PROBES, _ON = 600, 1.5
# Of that, how far apart surfaces are, across them, that lie closely on each other, and that lie beside each other; the
# latter are looked for as far as so many times that.
_CLOSELY, _BESIDE, _NEAR = 1 / 6, 0.5, 3.0
# Power of the share that lies right in what speaks for a pose: one that lays a tenth of what is near beside the other
# surface must share half as much again as one that does not.
_AGAINST = 4
# Steps of a pose onto the nearest surface, from this distance (in edges) down to ``_ON``.
_STEPS, _CATCH = 6, 3.0
# Poses are one when they differ by less than this angle (degrees) and shift (in edges).
_SAME_DEGREES, _SAME_SHIFT = 10.0, 4.0


@dataclass(frozen=True)
class Contact:
    """What poses lay on each other: (s,) surface on surface and alongside it, the same of what lies there closely, both
    over that of the shape that has less, and (s,) the share that lies closely on the other surface of what lies so or
    beside it."""

    shared: torch.Tensor
    closely: torch.Tensor
    right: torch.Tensor

    @property
    def score(self) -> torch.Tensor:
        """(s,) what speaks for each pose, from 0 to about 1."""
        return self.closely * self.right**_AGAINST


class Surfaces:
    """Two shapes as cells of one edge with normals.

    count: cells of the smaller shape, about. size: of the source over what it is as given; poses hold it, too.
    """

    def __init__(self, source: Measure, target: Measure, *, count: int = _FINE_CELLS, size: float = 1.0) -> None:
        source, target = (
            Measure(m.points.detach().cpu().double() * factor, m.weights.detach().cpu().double())
            for m, factor in ((source, size), (target, 1.0))
        )
        extents = [float((m.points.max(0).values - m.points.min(0).values).norm()) for m in (source, target)]
        small, large = (source, target) if extents[0] <= extents[1] else (target, source)
        # The same surface has the same cells on both sides.
        self.edge = max(fitting_cells(small, count)[1], fitting_cells(large, _LARGER * count)[1])
        coarse = [cells(measure, self.edge) for measure in (source, target)]
        self.size = size
        self.source, self.target = (Surface(measure.points.numpy(), self.edge) for measure in coarse)
        # Masses of cells on a surface: the same in cells of one edge, but for how dense the shapes are.
        here, there = (_typical_mass(measure) for measure in coarse)
        self.density = there / here

    def contact(self, poses: Poses) -> Contact:
        """What the poses lay on surface, and what beside it."""
        poses = self._of_cells(poses)
        matrix, offset = poses.matrix.numpy(), poses.offset.numpy()
        size = np.abs(np.linalg.det(matrix)) ** (1 / matrix.shape[1])
        inverse = np.linalg.inv(matrix)
        bound = np.full(len(matrix), _ON * self.edge)
        forth = self.source.on(self.target, matrix, offset, matrix / size[:, None, None], bound)
        offset = -(inverse @ offset[..., None])[..., 0]
        back = self.target.on(self.source, inverse, offset, inverse * size[:, None, None], bound / size)
        least = min(len(self.source.points), len(self.target.points))
        shared, closely, _ = torch.from_numpy((size[:, None] ** 2 * forth + back) / 2 / least).unbind(1)
        # One side may see more than the other: inner walls, the back of a scan, what stands around an object.
        right = [side[:, 1] / np.maximum(side[:, 1] + side[:, 2], 1e-12) for side in (forth, back)]
        return Contact(shared, closely, torch.from_numpy(np.maximum(*right)))

    def refined(self, poses: Poses, *, scale: bool = False) -> Poses:
        """The poses after some steps onto the nearest surface, as far as that is near.

        scale: may their sizes change.
        """
        poses = self._of_cells(poses)
        probes = self.source.probes
        points = torch.from_numpy(self.source.points[probes])
        metric = shape_metric(torch.from_numpy(self.source.points))[probes]
        goals = torch.from_numpy(self.target.points)
        for k in range(_STEPS):
            bound = self.edge * (_CATCH + (_ON - _CATCH) * k / (_STEPS - 1))
            moved = poses.of(points)
            nearest, distance = self.target.nearest(moved.numpy(), bound)
            weights = torch.from_numpy((1 - (distance / bound) ** 2) ** 2)
            ways = (goals[torch.from_numpy(nearest)] - moved) @ torch.linalg.inv(poses.matrix).mT
            new = poses.after(*small_motion(points, ways, weights, metric, scale=scale))
            enough = torch.from_numpy((distance < bound).sum(1) > 2 * points.shape[1])
            poses = Poses(
                torch.where(enough[:, None, None], new.matrix, poses.matrix),
                torch.where(enough[:, None], new.offset, poses.offset),
            )
        return Poses(poses.matrix * self.size, poses.offset)

    def distinct(self, poses: Poses, count: int) -> torch.Tensor:
        """Indices of the first poses, at most ``count``, no two of which are the same."""
        poses = self._of_cells(poses)
        places = poses.matrix @ torch.from_numpy(self.source.points.mean(0)) + poses.offset
        turned = angles(poses.matrix[:, None], poses.matrix) > _SAME_DEGREES
        other = (turned | (torch.cdist(places, places) > _SAME_SHIFT * self.edge)).numpy()
        kept: list[int] = []
        for index in range(len(poses)):
            if len(kept) == count:
                break
            if other[index, kept].all():
                kept.append(index)
        return torch.tensor(kept, dtype=torch.int64)

    def _of_cells(self, poses: Poses) -> Poses:
        """Poses of the shape as poses of its cells."""
        return Poses(poses.matrix.double() / self.size, poses.offset.double())


def poses_of(models: list[LinearModel]) -> Poses:
    """Linear models as poses, in the units of the measures that they map."""
    maps = [model.linear() for model in models]
    return Poses(*(torch.stack([one[part].cpu().double() for one in maps]) for part in (0, 1)))


class Surface:
    """The cells of one shape and their normals, (n, d), sorted into bins for the compiled loops."""

    def __init__(self, points: Array, edge: float) -> None:
        self.points, self.normals = points, normals_of(points, edge)
        self._edge = edge
        # Some of the cells, evenly spread.
        self.probes = slice(None, None, max(1, len(points) // _PROBES))
        self._bins = binned(_in_space(points), _CATCH * edge)

    @cached_property
    def inner(self) -> npt.NDArray[np.bool_]:
        """(n,) whether a cell has neighbours all around."""
        return ~at_border(self.points, self.normals, self._edge)

    def nearest(self, places: Array, bound: float) -> tuple[npt.NDArray[np.int64], Array]:
        """(s, k) indices of the cells nearest to (s, k, d) places, and how far they are, or where that is beyond the
        bound, some index and the bound."""
        return nearest_of(_in_space(places), bound, _in_space(self.points), *self._bins)

    def on(self, others: Surface, matrix: Array, offset: Array, turn: Array, bound: Array) -> Array:
        """(s, 3) how many cells poses, (s, d, d) and (s, d), lay on those of another shape, nearer than bounds (s,),
        how many of them closely, and how many beside it.

        turn: (s, d, d) of the normals.
        """
        counts = laid(
            _in_space(self.points[self.probes]),
            _in_space(self.normals[self.probes]),
            _in_space(matrix, axes=2),
            _in_space(offset),
            _in_space(turn, axes=2),
            bound,
            (_CLOSELY, _BESIDE, _NEAR),
            _in_space(others.points),
            _in_space(others.normals),
            others.inner,
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
    masses = np.sort(measure.weights.numpy())
    masses /= masses.sum()
    return float(masses[int((np.cumsum(masses) < 0.5).sum())])

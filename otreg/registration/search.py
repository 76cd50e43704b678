"""Where to start: a search over all poses, so that a source may come in any orientation and at any place.

Rotations that cover all of them, the principal axes and the pose as given are scored by the divergence of a few hundred
cells with a long reach; the promising ones follow it, at smaller and smaller blurs and in smaller and smaller numbers.
A pose is dropped when its divergence is well above the best one, never because a number is full of its own neighbours:
of poses that are nearly the same only the best goes on. Where even the best one leaves much of a shape without a
partner, the shapes have a part in common only, and poses in which parts look alike (see parts) join those few; then the
surface that lies on surface says which are worth a registration. Nothing here is random.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from otreg.measures import Measure
from otreg.models.linear import LinearModel
from otreg.registration.coarse import CoarseProblem, Poses, coarse_cells, fine_cells
from otreg.registration.cover import angles, cover, principal_rotations
from otreg.registration.parts import Surfaces

# Scores closer than this share of the squared reach, which is what a pose without any partner scores, are one: another
# sampling of the shapes changes them by as much.
NOISE = 0.005
# Starts have not moved when they are first compared. One that is 14 degrees off its place scores as much by that alone,
# and must not lose to principal axes that lie exactly on each other in a pose that is nearly as good.
_NOT_MOVED = 0.02
# Rotations of the cover; the nearest is at most about 25 degrees (in the plane 3) away, within what a step follows.
_COVER = {2: 64, 3: 512}


@dataclass(frozen=True)
class _Round:
    """Cells per shape, blur and reach over the shape's radius, steps, and who starts: the poses whose score is at most
    ``ratio`` times the best of the round before, or above it by ``slack`` squared reaches, ``most`` of them."""

    cells: int
    blur: float
    reach: float
    steps: int
    ratio: float
    most: int
    slack: float = NOISE

    def sees_as(self, other: _Round) -> bool:
        """Whether the shapes are compared as in another round."""
        return (self.cells, self.blur, self.reach) == (other.cells, other.blur, other.reach)


# The radius is the root mean square distance from the mean, about a quarter of the diagonal. Real scans that overlap by
# two thirds score up to 1.8 times as much as the best wrong pose in the first round, and less than it in the third.
_ROUNDS = (
    _Round(cells=130, blur=0.3, reach=1.0, steps=0, ratio=math.inf, most=10_000),
    _Round(cells=400, blur=0.15, reach=0.3, steps=4, ratio=2.5, most=64, slack=_NOT_MOVED),
    _Round(cells=800, blur=0.08, reach=0.16, steps=2, ratio=1.8, most=20),
    _Round(cells=800, blur=0.08, reach=0.16, steps=3, ratio=1.5, most=4),
)
# Shapes whose best pose keeps less of one of them than this have a part in common only.
_WHOLE = 0.9
# Poses in which parts look alike that join the others, and the sizes of the source that are tried for a similarity,
# over the one that gives both shapes one radius.
_ALIKE = 12
# An object in a scene is much smaller than the scene; but where a pose of equal radii lays this much of each shape on
# the other, neither is a small part of the other.
_SIZES = (1.0, 0.8, 1.25, 0.64, 1.5625, 0.512, 0.41)
_NEAR_SIZES, _MOST_OF_IT = _SIZES[:3], 0.75
# Cells of the smaller shape in which parts are matched, and in which the surface is measured that poses share.
_CELLS, _FINE_CELLS = 1500, 5000
# Poses that go on are at most so many, and share at least this part of what the best one does.
_MOST, _RATIO = 5, 0.75
# Densities closer than this are one: another sampling of a shape changes them by as much.
_DENSITY = 1.2
# Poses are one when they differ by less than this angle (degrees) and shift (over the radius).
_SAME_TURN, _SAME_SHIFT = 12.0, 0.3
# Another pose is another answer, not a neighbour, from this angle on.
OTHER_DEGREES = 20.0


@dataclass(frozen=True)
class Found:
    """The poses that are worth a registration.

    models: best first; scores: their divergences on coarse cells, in squared frame units; given: index of the model
    that the start as given led to; blur, reach: what the scores compared; starts: how many poses were tried.
    shared: None, or where only parts match: the surface that the first pose lays on surface, over that of the shape
    that has less; a score is then the squared reach times the surface that is not shared over the one that is.
    density: mass of the target per surface over that of the source, other than 1 where only parts match.
    """

    models: tuple[LinearModel, ...]
    scores: tuple[float, ...]
    given: int
    blur: float
    reach: float
    starts: int
    density: float = 1.0
    shared: float | None = None


def search(source: Measure, target: Measure, start: LinearModel) -> Found:
    """The best poses of a source against a target, from everywhere and from ``start``, a rigid or similarity model."""
    scale = start.name == "similarity"
    source, target = (
        Measure(m.points.detach().cpu().double(), m.weights.detach().cpu().double()) for m in (source, target)
    )
    normal = _Normalised(source, target, scale=scale)
    poses, as_given = _starts(normal, start), normal.pose(start)
    given, scores, reach, tried = 0, torch.empty(0), 0.0, len(poses)
    fine_source, fine_target = (
        fine_cells(measure, max(stage.cells for stage in _ROUNDS)) for measure in (normal.source, normal.target)
    )
    for k, stage in enumerate(_ROUNDS):
        if k > 0:
            kept = _worth_a_step(poses, scores, stage, given=given, reach=reach, radius=normal.radius)
            poses, given = poses[kept], int((kept == given).nonzero()[0, 0])
        reach = stage.reach * normal.radius
        if k == 0 or not stage.sees_as(_ROUNDS[k - 1]):
            problem = CoarseProblem(
                coarse_cells(fine_source, stage.cells),
                coarse_cells(fine_target, stage.cells),
                blur=stage.blur * normal.radius,
                reach=reach,
                scale=scale,
            )
        poses, scores = problem.refine(poses, steps=stage.steps)
        if stage is not _ROUNDS[-1]:
            # A start that is right already must not be led astray by coarse cells: it waits for the last round.
            poses.matrix[given], poses.offset[given] = as_given.matrix[0].float(), as_given.offset[0].float()
    density, shared = 1.0, None
    overlap = float(problem.overlaps(poses[scores.argmin()[None]]))
    if overlap < _WHOLE:
        parts = _with_parts(normal, poses, given, overlap)
        poses, given, density = parts.poses, parts.given, parts.density
        tried += parts.tried
        # Both sides share as much as the smaller one has, but their cells do not count exactly alike.
        part = parts.shared.clamp(1e-6, 1)
        shared, scores = float(part[0]), reach**2 * (1 / part - 1)
    order = scores.argsort(stable=True)
    return Found(
        models=tuple(normal.model(start, poses, int(index)) for index in order),
        scores=tuple(float(score) for score in scores[order]),
        given=int((order == given).nonzero()[0, 0]),
        blur=_ROUNDS[-1].blur * normal.radius,
        reach=reach,
        starts=tried,
        density=density,
        shared=shared,
    )


def _with_parts(normal: _Normalised, poses: Poses, given: int, overlap: float) -> _Parts:
    """The poses and those in which parts look alike, as far as they share enough surface.

    overlap: of the best of the poses.
    """
    found = [Poses(poses.matrix.double(), poses.offset.double())]
    sizes = _SIZES if overlap < _MOST_OF_IT else _NEAR_SIZES
    for size in sizes if normal.scale else sizes[:1]:
        found.append(Surfaces(normal.source, normal.target, count=_CELLS, size=size).alike(_ALIKE))
    every = Poses.join(found)
    # The best of them differ in details that coarse cells do not show.
    fine = Surfaces(normal.source, normal.target, count=_FINE_CELLS)
    refined = fine.refined(every)
    shared = fine.shared(refined)
    order = shared.argsort(descending=True, stable=True)
    kept = [int(index) for index in order[fine.distinct(refined[order], _MOST)]]
    kept = [index for index in kept if shared[index] >= _RATIO * shared[kept[0]]]
    kept = kept if given in kept else [*kept, given]
    return _Parts(
        refined[torch.tensor(kept)],
        shared[kept],
        given=kept.index(given),
        tried=len(every) - len(poses),
        density=fine.density if max(fine.density, 1 / fine.density) > _DENSITY else 1.0,
    )


@dataclass(frozen=True)
class _Parts:
    """Poses and the surface that each shares; given: index of the start as given; tried: poses that were new."""

    poses: Poses
    shared: torch.Tensor
    given: int
    tried: int
    density: float


class _Normalised:
    """Both measures about their means, the source scaled to the target's size for a similarity."""

    def __init__(self, source: Measure, target: Measure, *, scale: bool) -> None:
        self.scale = scale
        self._mean, self._target_mean = source.mean, target.mean
        radii = [_radius(source), _radius(target)]
        self._factor = radii[1] / radii[0] if scale and min(radii) > 0 else 1.0
        self.source = Measure((source.points - self._mean) * self._factor, source.weights)
        self.target = Measure(target.points - self._target_mean, target.weights)
        self.radius = min(radii[0] * self._factor, radii[1]) or max(radii) or 1.0

    def pose(self, model: LinearModel) -> Poses:
        """A model as a pose of these measures."""
        matrix, offset = model.linear()
        return Poses(
            matrix[None].cpu() / self._factor, (matrix.cpu() @ self._mean + offset.cpu() - self._target_mean)[None]
        )

    def model(self, start: LinearModel, poses: Poses, index: int) -> LinearModel:
        """A pose as a model of the class of ``start``, with a rotation to the last bit."""
        matrix, offset = poses.matrix[index].double(), poses.offset[index].double()
        u, singular, vt = torch.linalg.svd(matrix)
        rotation = u @ vt
        size = self._factor * (float(singular.mean()) if start.name == "similarity" else 1.0)
        matrix = size * rotation
        offset = offset + self._target_mean - matrix @ self._mean
        return start.with_map(matrix.to(start.device), offset.to(start.device))


def _radius(measure: Measure) -> float:
    spread = (measure.points - measure.mean).square().sum(1)
    return float(((measure.weights * spread).sum() / measure.mass).sqrt())


def _starts(normal: _Normalised, start: LinearModel) -> Poses:
    """As given (first, and once more to be moved), the same with the means on each other, principal axes on each other,
    and the cover."""
    d = start.dimension
    given = normal.pose(start)
    turned = torch.cat(
        [given.matrix, principal_rotations(_covariance(normal.source), _covariance(normal.target)), cover(d, _COVER[d])]
    )
    return Poses.join([given, given, Poses(turned, torch.zeros(len(turned), d, dtype=turned.dtype))])


def _covariance(measure: Measure) -> torch.Tensor:
    return measure.points.T @ (measure.weights[:, None] * measure.points) / measure.mass


def _worth_a_step(
    poses: Poses, scores: torch.Tensor, stage: _Round, *, given: int, reach: float, radius: float
) -> torch.Tensor:
    """Indices of the poses that go on: with a good score, no two of them alike, and always the one as given."""
    best = float(scores.min())
    limit = max(stage.ratio * best, best + stage.slack * reach**2)
    kept: list[int] = []
    for index in scores.argsort(stable=True).tolist():
        if len(kept) == stage.most or float(scores[index]) > limit:
            break
        others = torch.tensor(kept, dtype=torch.int64)
        turned = angles(poses.matrix[others], poses.matrix[index]) > _SAME_TURN
        shifted = (poses.offset[others] - poses.offset[index]).norm(dim=1) > _SAME_SHIFT * radius
        if bool((turned | shifted).all()):
            kept.append(index)
    return torch.tensor(kept if given in kept else [*kept, given])

"""Rounds over all poses: coarse cells of two shapes, in every pose at first and then in the best of them, ever finer.

Rotations that cover all of them, the principal axes and the pose as given are scored by the divergence of a few hundred
cells with a long reach; the promising ones follow it, at smaller and smaller blurs and in smaller and smaller numbers.
A pose is dropped when its divergence is well above the best one, never because a number is full of its own neighbours:
of poses that are nearly the same only the best goes on. Nothing here is random.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass

import torch

from otreg.measures import Measure
from otreg.models.linear import LinearModel
from otreg.registration.coarse import CoarseProblem, Poses, coarse_cells, fine_cells
from otreg.registration.cover import angles, cover, principal_rotations

# Scores closer than this share of the squared reach, which is what a pose without any partner scores, are one: another
# sampling of the shapes changes them by as much.
NOISE = 0.005
# Starts have not moved when they are first compared. One that is 14 degrees off its place scores as much by that alone,
# and must not lose to principal axes that lie exactly on each other in a pose that is nearly as good.
_NOT_MOVED = 0.02
# Rotations of the cover; the nearest is at most about 25 degrees (in the plane 3) away, within what a step follows.
_COVER = {2: 64, 3: 512}
# Poses are one when they differ by less than this angle (degrees) and shift (over the radius).
_SAME_TURN, _SAME_SHIFT = 12.0, 0.3


@dataclass(frozen=True)
class Round:
    """Cells per shape, blur and reach over the shape's radius, steps, and who starts: the poses whose score is at most
    ``ratio`` times the best of the round before, or above it by ``slack`` squared reaches, ``most`` of them."""

    cells: int
    blur: float
    reach: float
    steps: int
    ratio: float
    most: int
    slack: float = NOISE

    def sees_as(self, other: Round) -> bool:
        """Whether the shapes are compared as in another round."""
        return (self.cells, self.blur, self.reach) == (other.cells, other.blur, other.reach)


# The radius is the root mean square distance from the mean, about a quarter of the diagonal. Real scans that overlap by
# two thirds score up to 1.8 times as much as the best wrong pose in the first round, and less than it in the third.
ROUNDS = (
    Round(cells=130, blur=0.3, reach=1.0, steps=0, ratio=math.inf, most=10_000),
    Round(cells=400, blur=0.15, reach=0.3, steps=4, ratio=2.5, most=64, slack=_NOT_MOVED),
    Round(cells=800, blur=0.08, reach=0.16, steps=2, ratio=1.8, most=20),
    Round(cells=800, blur=0.08, reach=0.16, steps=3, ratio=1.5, most=4),
)


@dataclass(frozen=True)
class Outcome:
    """The poses of a round and their scores there.

    given: index of the pose that the one as given led to; problem, blur, reach: what the scores compared.
    """

    poses: Poses
    scores: torch.Tensor
    given: int
    problem: CoarseProblem
    blur: float
    reach: float

    @property
    def best(self) -> float:
        """The least score."""
        return float(self.scores.min())

    @property
    def overlap(self) -> float:
        """Of the best pose, as ``CoarseProblem.overlaps`` says it."""
        return float(self.problem.overlaps(self.poses[self.scores.argmin()[None]]))


def play_rounds(normal: Normalised, start: LinearModel) -> Iterator[Outcome]:
    """One round after the other, from everywhere and from ``start``, a rigid or similarity model."""
    poses, as_given = _starts(normal, start), normal.pose(start)
    given, scores, reach = 0, torch.empty(0), 0.0
    fine_source, fine_target = (
        fine_cells(measure, max(stage.cells for stage in ROUNDS)) for measure in (normal.source, normal.target)
    )
    for k, stage in enumerate(ROUNDS):
        if k > 0:
            kept = worth_a_step(poses, scores, stage, given=given, reach=reach, radius=normal.radius)
            poses, given = poses[kept], int((kept == given).nonzero()[0, 0])
        reach = stage.reach * normal.radius
        if k == 0 or not stage.sees_as(ROUNDS[k - 1]):
            problem = CoarseProblem(
                coarse_cells(fine_source, stage.cells),
                coarse_cells(fine_target, stage.cells),
                blur=stage.blur * normal.radius,
                reach=reach,
                scale=normal.scale,
            )
        poses, scores = problem.refine(poses, steps=stage.steps)
        yield Outcome(poses, scores, given, problem, blur=stage.blur * normal.radius, reach=reach)
        if stage is not ROUNDS[-1]:
            # A start that is right already must not be led astray by coarse cells: it waits for the last round.
            poses.matrix[given], poses.offset[given] = as_given.matrix[0].float(), as_given.offset[0].float()


class Normalised:
    """Both measures about their means, the source scaled to the target's size for a similarity."""

    def __init__(self, source: Measure, target: Measure, *, scale: bool) -> None:
        self.scale = scale
        self._mean, self._target_mean = source.mean, target.mean
        radii = [_radius(source), _radius(target)]
        self._factor = radii[1] / radii[0] if scale and min(radii) > 0 else 1.0
        self.source = Measure((source.points - self._mean) * self._factor, source.weights)
        self.target = Measure(target.points - self._target_mean, target.weights)
        self.radius = min(radii[0] * self._factor, radii[1]) or max(radii) or 1.0

    def mirrored(self) -> Normalised:
        """The same with the source's mirror image."""
        other = copy(self)
        flip = torch.ones_like(self.source.points[0])
        flip[0] = -1
        other.source = Measure(self.source.points * flip, self.source.weights)
        return other

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


def _starts(normal: Normalised, start: LinearModel) -> Poses:
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


def worth_a_step(
    poses: Poses, scores: torch.Tensor, stage: Round, *, given: int, reach: float, radius: float
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

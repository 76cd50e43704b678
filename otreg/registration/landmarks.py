"""Landmarks: pairs of points that are known to belong together, as springs between the moved source and the target.

The loss becomes S + w M mean_k |phi(p_k) - q_k|^2 / 2, with the mass M of the source: all landmarks together pull as
the share w of the source would, were its partners known. So a weight means the same for few and for many landmarks, in
any unit and at any blur. In a least-squares step they are further rows beside the points of the shape. Enough of them
also say where to start (Procrustes), which no search can know for a shape with symmetries.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch

from otreg.errors import ArgumentError
from otreg.measures import Measure
from otreg.models import start_model
from otreg.models.linear import LinearModel

# Landmarks determine a pose when they spread by this share of the shape's radius in all directions but one: closer
# together, or on a line, an error of each turns the shape by a multiple of itself.
_SPREAD = 0.1
# They contradict each other when a pose leaves them this far apart (rms), over their own spread.
_CONTRADICTION = 0.5
# A landmark stands out when it ends so many times as far from its partner as the median does. Normal errors, alike in
# all directions, do so in 2 of 10,000 cases in the plane and in 2 of a million in space.
_OUTLIER = 3.5
# Fewer landmarks do not say which of them is wrong.
_FEWEST = 4


@final
@dataclass(frozen=True)
class LandmarkReport:
    """How far each landmark is from its partner, in frame units, in their order.

    weight: share of the source's mass that all of them pull with; before, after: as given, and after the registration;
    outliers: indices of those that end much farther away than the others, and farther than the blur.
    """

    weight: float
    before: tuple[float, ...]
    after: tuple[float, ...]
    outliers: tuple[int, ...]


@final
@dataclass(frozen=True)
class Pose:
    """Where landmarks put the source. error: about how far that is off at the points of the source (rms), judged by how
    well they agree; None when there are too few of them to tell."""

    model: LinearModel
    error: float | None


@final
@dataclass(frozen=True, eq=False)
class Springs:
    """Landmarks ``points`` of the source and their partners ``targets``, (k, d) float64 each, in frame units.

    share: of the source's mass, that all of them pull with; mass: of the source.
    """

    points: torch.Tensor
    targets: torch.Tensor
    share: float
    mass: float

    @staticmethod
    def of(landmarks: tuple[torch.Tensor, torch.Tensor], source: Measure, share: float) -> Springs:
        """Springs between the two lists of points. Raises ArgumentError when they do not make pairs."""
        points, targets = (part.detach().to(source.points.device, torch.float64) for part in landmarks)
        d = source.dimension
        if points.shape != targets.shape or points.ndim != 2 or points.shape[1] != d or not len(points):
            raise ArgumentError(
                f"landmarks must be two lists of as many points, (k, {d}) each with k >= 1; got shapes "
                f"{tuple(points.shape)} and {tuple(targets.shape)}."
            )
        if not bool(torch.isfinite(points).all() and torch.isfinite(targets).all()):
            raise ArgumentError("landmarks must be finite; got NaN or infinity. Leave these pairs out.")
        return Springs(points, targets, share, float(source.weights.double().sum()))

    def __len__(self) -> int:
        return len(self.points)

    @cached_property
    def weights(self) -> torch.Tensor:
        """(k,) mass that each of them stands for in a least-squares step."""
        return torch.full_like(self.points[:, 0], self.share * self.mass / len(self))

    def energy(self, moved: torch.Tensor) -> torch.Tensor:
        """What the springs add to the loss with the landmarks at ``moved`` (k, d): squared frame units times mass."""
        return (self.weights @ (moved - self.targets).square().sum(1)) / 2

    def pose(self, name: str, source: Measure, target: Measure) -> Pose | None:
        """The rigid motion or similarity, by ``name``, that lays the landmarks on their partners best (Procrustes).

        None when they leave a turn open (too few, or on a line) or contradict each other.
        """
        k, d = self.points.shape
        # The source's radius over the extent of its landmarks across their longest axis, the lever of their errors.
        lever = 0.0
        for points, shape in ((self.targets, target.points), (self.points, source.points)):
            radius, across = float(_spreads(shape).norm()), float(_spreads(points)[d - 2])
            # A turn is determined when all directions but one are.
            if not across > _SPREAD * radius:
                return None
            lever = radius / across
        model = start_model(name, source.points, source.weights)
        assert isinstance(model, LinearModel)
        model = model.fit(self.points, self.targets, torch.ones_like(self.points[:, 0]))
        missed = float((model(self.points) - self.targets).square().sum())
        if missed / k > _CONTRADICTION**2 * float(_spreads(self.targets).square().sum()):
            return None
        free = k * d - model.parameter_count
        if free <= 0:
            return Pose(model, None)
        # Least squares: the variance of one landmark, over their number, and more the farther away from their mean.
        return Pose(model, math.sqrt(missed / free * d * (1 + lever**2) / k))

    def report(self, moved: torch.Tensor, *, blur: float) -> LandmarkReport:
        """The distances before, and with the landmarks at ``moved``."""
        before, after = ((points - self.targets).norm(dim=1) for points in (self.points, moved.detach()))
        return LandmarkReport(self.share, tuple(before.tolist()), tuple(after.tolist()), outliers(after, blur=blur))


def outliers(distances: torch.Tensor, *, blur: float) -> tuple[int, ...]:
    """Indices of the (k,) distances that are much larger than the median and larger than the blur, largest first."""
    if len(distances) < _FEWEST:
        return ()
    limit = max(_OUTLIER * float(distances.quantile(0.5)), blur)
    order = distances.argsort(descending=True, stable=True).tolist()
    return tuple(k for k in order if float(distances[k]) > limit)


def _spreads(points: torch.Tensor) -> torch.Tensor:
    """(d,) root mean square extents about the mean along the principal axes, largest first."""
    centred = (points - points.mean(0)).double()
    values: torch.Tensor = torch.linalg.eigvalsh(centred.T @ centred / len(points)).flip(0)
    return values.clamp_min(0).sqrt()

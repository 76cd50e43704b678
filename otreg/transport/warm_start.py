"""Where a problem starts that is near a solved one: its potentials, carried along with the points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch

from otreg.errors import ArgumentError
from otreg.measures import Measure
from otreg.transport.reductions.base import Potential

# Directions in which images spread by less than this share of their largest spread do not say how a motion varies.
_FLAT = 1e-9


@final
@dataclass(frozen=True)
class WarmStart:
    """Potentials at the points of two measures, in their order, from which a nearby problem starts.

    source_points, target_points: (n, D), (m, D) coordinates where they hold; source, target: cross potentials f, g;
    source_self: the source's self potential, None if it was never needed.
    """

    source_points: torch.Tensor
    target_points: torch.Tensor
    source: Potential
    target: Potential
    source_self: Potential | None

    def motion(self, source: Measure, target: Measure) -> float:
        """How far the points have moved since, root mean square, of the measure that moved more."""
        sides = (self.source_points, source), (self.target_points, target)
        return max(
            float(((measure.weights * _step(origin, measure).square().sum(1)).sum() / measure.mass).sqrt())
            for origin, measure in sides
        )

    def potentials(self, source: Measure, target: Measure, *, p: int, balanced: bool) -> tuple[Potential, Potential]:
        """A guess of the cross potentials at the points of both measures.

        The plan that they describe still joins the same points. Where mass is conserved and p = 2, the part of the
        motion that is the gradient of a quadratic moves from one potential to the other: they have no reach, so sweeps
        would take many to do so.
        """
        x, y = self.source_points, self.target_points
        f, g = self.source, self.target
        step = _step(x, source)
        if bool(step.any()):
            f = f.upper_bound(x, x + step, p)
            if p == 2 and balanced:
                f, g = _shared(f, g, y, source.weights.double(), step)
        back = _step(y, target)
        if bool(back.any()):
            g = g.upper_bound(y, y + back, p)
            if p == 2 and balanced:
                g, f = _shared(g, f, x + step, target.weights.double(), back)
        return f, g

    def self_potential(self, source: Measure) -> Potential | None:
        """A guess of the source's self potential: near points are still near, so it and its image go along."""
        own = self.source_self
        return None if own is None else Potential(own.values, own.image + _step(self.source_points, source))


def padded_coordinates(measure: Measure, width: int) -> torch.Tensor:
    """(n, width) positions, padded with zeros, and features: where a reduction of that width sees the points."""
    missing = width - measure.coordinates.shape[1]
    points = torch.nn.functional.pad(measure.points.double(), (0, missing))
    return points if measure.features is None else torch.cat([points, measure.features.double()], 1)


def _step(origin: torch.Tensor, measure: Measure) -> torch.Tensor:
    """(n, D) way of the points of a measure from where they were."""
    if len(origin) != len(measure):
        raise ArgumentError(f"a warm start needs as many points as before; got {len(measure)}, had {len(origin)}.")
    width = measure.coordinates.shape[1]
    if origin.shape[1] not in (width, width + max(3 - measure.dimension, 0)):
        raise ArgumentError("a warm start needs points of the same dimension with the same features as before.")
    return padded_coordinates(measure, origin.shape[1]) - origin


def _shared(
    own: Potential, other: Potential, points: torch.Tensor, weights: torch.Tensor, step: torch.Tensor
) -> tuple[Potential, Potential]:
    """Two potentials after the points of the first have moved by ``step``, with its share of the motion in the second.

    own: at the moved points, with the images T that it had; other: at ``points``. If T is still where mass goes, the
    gradient of ``other`` must lose v(S(y)), v the motion and S the inverse of T, and ``own`` must gain at x what
    ``other`` loses at T(x). The potential is that of t + M (y - c), M symmetric, the least-squares fit of v(S(y)).
    """
    share = weights / weights.sum()
    centre = share @ own.image
    mean = share @ step
    z = own.image - centre
    spread, axes = torch.linalg.eigh((share[:, None] * z).T @ z)
    both = axes.T @ ((share[:, None] * (step - mean)).T @ z) @ axes
    sums = spread[:, None] + spread[None, :]
    known = sums > _FLAT * spread[-1].clamp_min(1e-300)
    slope = ((both + both.T) / sums).masked_fill(~known, 0.0)
    slope = axes @ slope @ axes.T

    def gained(at: torch.Tensor) -> torch.Tensor:
        return (at - centre) @ mean + (((at - centre) @ slope) * (at - centre)).sum(1) / 2

    moved = mean + (points - centre) @ slope
    return (
        Potential(own.values + gained(own.image), own.image),
        Potential(other.values - gained(points), other.image + moved),
    )

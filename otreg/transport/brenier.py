"""The Brenier map: where each point asks to go, from the potentials of the cross and of the self problem."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch

from otreg.transport.reductions.base import Potential
from otreg.transport.relaxation import Relaxation

# A point whose mass stays almost wholly behind has no reliable direction: its displacement is damped, not amplified.
_SMALLEST_MATCHED_SHARE = 0.03
# Where nothing at all is matched, against what the source matches of itself.
_NOTHING_MATCHED = 1e-6


@final
@dataclass(frozen=True)
class BrenierMap:
    """The map at some points.

    displacement: (n, d) where each asks to go; for p = 1, where there is no map, the direction of steepest descent, at
    most of length two. matched_mass: (n,) share of its mass that the plan moves, 1 when balanced. overlap: (n,) the
    same over its share in the plan of the source with itself, 1 where the target is just as there and 0 where nothing
    is within reach. potential: (n,) the debiased potential F = f_ab - f_aa, whose gradient is -displacement when
    balanced.
    """

    displacement: torch.Tensor
    matched_mass: torch.Tensor
    overlap: torch.Tensor
    potential: torch.Tensor


@final
@dataclass(frozen=True)
class Pieces:
    """What map and gradients are made of, at some points.

    f, own: (n,) damped potentials f_ab and f_aa; kept, kept_own: (n,) shares m_ab and m_aa of the mass that the plans
    move; gradient: (n, D) m_ab grad f_ab - m_aa grad f_aa.
    """

    f: torch.Tensor
    own: torch.Tensor
    kept: torch.Tensor
    kept_own: torch.Tensor
    gradient: torch.Tensor

    @staticmethod
    def of(points: torch.Tensor, cross: Potential, own: Potential, relaxation: Relaxation, eps: float) -> Pieces:
        """points: (n, D); cross, own: softmins there; relaxation: of the points' side."""
        damping = relaxation.damping(eps)
        f, g = damping * cross.values, damping * own.values
        if relaxation.rho is None:  # the points themselves cancel
            one = torch.ones_like(f)
            return Pieces(f, g, one, one, own.image - cross.image)
        kept, kept_own = relaxation.kept(f), relaxation.kept(g)
        gradient = kept[:, None] * (points - cross.image) - kept_own[:, None] * (points - own.image)
        return Pieces(f, g, kept, kept_own, gradient)

    def map(self, d: int, shift: float) -> BrenierMap:
        """The map in the first d coordinates; shift: constant of the potential."""
        floor = torch.maximum(_SMALLEST_MATCHED_SHARE * self.kept.max(), _NOTHING_MATCHED * self.kept_own.max())
        return BrenierMap(
            displacement=-self.gradient[:, :d] / torch.maximum(self.kept, floor)[:, None],
            matched_mass=self.kept,
            overlap=self.kept / self.kept_own.clamp_min(1e-300),
            potential=self.f - self.own + shift,
        )

    def by_weights(self, relaxation: Relaxation, eps: float) -> torch.Tensor:
        """dS/dweights (n,)."""
        if relaxation.rho is None:
            return self.f - self.own
        return (relaxation.rho + eps) * (self.kept_own - self.kept)

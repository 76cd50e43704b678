"""How strictly the plan must keep the two measures: exactly (balanced) or up to a Kullback-Leibler price (reach)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch


@final
@dataclass(frozen=True)
class Relaxation:
    """The marginal penalty rho KL(plan marginal | measure) of one side, rho = reach^p; None keeps the mass exactly.

    Chizat et al. 2018 (unbalanced transport); Sejourne et al. 2019 (debiased), equations of section 3.
    """

    rho: float | None

    def damping(self, eps: float) -> float:
        """Factor of the softmin in an update: 1 / (1 + eps / rho)."""
        return 1.0 if self.rho is None else 1.0 / (1.0 + eps / self.rho)

    def conjugate(self, f: torch.Tensor) -> torch.Tensor:
        """-phi*(-f), what a potential earns in the dual: rho (1 - exp(-f / rho)), or f when balanced."""
        return f if self.rho is None else -self.rho * torch.expm1(-f / self.rho)

    def kept(self, f: torch.Tensor) -> torch.Tensor:
        """Share of each point's mass that the optimal plan moves: exp(-f / rho), or 1 when balanced."""
        return torch.ones_like(f) if self.rho is None else torch.exp(-f / self.rho)

    def marginal_price(self, marginal: torch.Tensor, measure: torch.Tensor) -> torch.Tensor:
        """rho KL(marginal | measure), 0 when balanced (where the marginal must be the measure)."""
        if self.rho is None:
            return torch.zeros((), dtype=measure.dtype, device=measure.device)
        return (
            self.rho * (torch.special.xlogy(marginal, marginal / measure.clamp_min(1e-300)) - marginal + measure).sum()
        )


def best_shift(
    f: torch.Tensor, g: torch.Tensor, a: torch.Tensor, b: torch.Tensor, sides: tuple[Relaxation, Relaxation]
) -> torch.Tensor:
    """The constant s that maximises the dual at (f + s, g - s); 0 if balanced (Sejourne et al. 2022, prop. 4).

    It removes the slowest mode of unbalanced Sinkhorn iterations. Where only one side is relaxed, it gives the plan the
    mass of the other.
    """
    inverses = [0.0 if side.rho is None else 1.0 / side.rho for side in sides]
    if not any(inverses):
        return torch.zeros((), dtype=f.dtype, device=f.device)
    log_a = torch.logsumexp(a.log() - f * inverses[0], 0)
    log_b = torch.logsumexp(b.log() - g * inverses[1], 0)
    return (log_a - log_b) / sum(inverses)

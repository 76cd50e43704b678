"""The iterations at the last blur: from potentials that are nearly right to potentials within the tolerance.

The cross problem (source, target) is swept by Gauss-Seidel updates, the self problems of the debiasing by their
averaged symmetric map; both are accelerated by the same loop. Active blocks are searched for potentials that then move;
an answer is believed only on blocks that were searched for potentials near it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import torch

from otreg.transport.anderson import Anderson
from otreg.transport.certificate import LARGEST_EXPONENT, Bounds, Plan, bounds, dual_value
from otreg.transport.pyramid import Cloud
from otreg.transport.reductions.base import Coupling, Potential, Reduction, Temperature
from otreg.transport.relaxation import Relaxation, best_shift
from otreg.transport.rules import Rules

# An accelerated iterate this much worse than the best one so far is thrown away with the memory that made it.
_WORSE = 4.0
# The first sweep of a self problem starts from a zero potential, up to this far (in units of eps) below the solution.
_SELF_HEADROOM = 12.0
# Searches for active blocks at one level: the second one mends what moving potentials made the first one miss.
_SEARCHES = 12
# Iterations end early when potentials have risen by this much since the search; truncation deeper by this much where
# what was left out keeps the marginals from converging.
_STALE, _DEEPER = 3.0, 4.0
# How far the potentials may rise above those that active blocks were searched for, in units of eps: what was dropped is
# then up to e times as much as it says.
_DRIFT = 1.0
# A plan with less mass than this is empty: nothing lies within reach, and nothing is in the wrong place.
_NO_MASS = 1e-200


@dataclass(frozen=True)
class FixedPoint:
    """Potentials between two clouds at the last blur, with what certifies them.

    g: what the rows see on the columns, f = softmin(g) on the rows. plan, coupling: for the value and its bounds, on
    demand. marginal_error: mass that the plan puts in the wrong place, over the mass that it moves. drift: how far the
    potentials have risen since blocks were searched, in units of eps. iterations: sweeps.
    """

    f: Potential
    g: Potential
    plan: Plan
    coupling: Coupling
    rules: Rules
    marginal_error: float
    drift: float
    iterations: int

    @cached_property
    def value(self) -> float:
        """The dual value."""
        return dual_value(self.plan, self.rules.sides)

    @cached_property
    def bounds(self) -> Bounds:
        """Lower and upper bound of the optimal cost between the two clouds, truncation included; one more softmin."""
        return bounds(self.plan, self.coupling, self.f, self.rules.sides, self.dropped)

    @property
    def dropped(self) -> float:
        """Bound on the relative mass lost to truncation."""
        return (
            0.0
            if self.coupling.complete
            else self.coupling.dropped * math.exp(min(max(self.drift, 0.0), LARGEST_EXPONENT))
        )

    @property
    def settled(self) -> bool:
        """True when the active blocks were searched for potentials near these."""
        return _searched_near(self.coupling, self.drift)


def solve_cross_level(
    source: Cloud, target: Cloud, f: Potential, g: Potential, rules: Rules, reduction: Reduction
) -> FixedPoint:
    """Gauss-Seidel sweeps at the last blur, with Anderson acceleration of g -> f -> g.

    Active blocks are searched for the potentials at hand, which move; an answer is believed on blocks that were
    searched for potentials not far from it.
    """
    at = rules.temperature(rules.blur)
    a, b = source.weights, target.weights
    eps, source_damping, target_damping = at.eps, at.source_damping, at.target_damping
    moments = max(_moments(source), _moments(target))
    iterations = 0
    for search in range(_SEARCHES):
        coupling = reduction.couple(source, target, f, g, at)
        searched = f.values, g.values
        state = [f]  # the last rows

        def sweep(
            values: torch.Tensor, coupling: Coupling = coupling, g: Potential = g, state: list[Potential] = state
        ) -> torch.Tensor:
            state[0] = row = coupling.rows(target_damping * values, state[0], moments=0)
            seen = source_damping * row.values
            seen = seen + best_shift(seen, target_damping * values, a, b, rules.sides)
            return coupling.columns(seen, replace(g, values=values), moments=0).values

        def rise(
            values: torch.Tensor,
            searched: tuple[torch.Tensor, torch.Tensor] = searched,
            state: list[Potential] = state,
        ) -> torch.Tensor:
            return _rise(searched[0], state[0].values, searched[1], values, target_damping)

        values, sweeps = _fixed_point(g.values, sweep, rise, coupling, b, rules, rules.target, iterations, share=1.0)
        # One more sweep with derivatives: the plan whose rows are exact, and its error in the columns.
        g = replace(g, values=values)
        f = coupling.rows(target_damping * values, state[0], moments=moments)
        seen_f, seen_g = source_damping * f.values, target_damping * values
        new = coupling.columns(seen_f, g, moments=moments)
        error, *rises = _numbers(
            _marginal_error(values, new.values, b, rules.target, at),
            _rise(searched[0], f.values, searched[1], new.values, target_damping),
            _rise(searched[1], new.values, searched[0], f.values, source_damping),
        )
        iterations += sweeps + 1
        drift = max(rises) / eps
        good = error <= rules.tolerance and _searched_near(coupling, drift)
        if good or iterations >= rules.max_iterations or search == _SEARCHES - 1:
            break
        at = _deepened(at, coupling, error, rules)
        g = new
    rows = a * rules.source.kept(seen_f)
    columns = b * rules.target.kept(seen_g) * torch.exp(((g.values - new.values) / eps).clamp_max(LARGEST_EXPONENT))
    plan = Plan(source, target, seen_f, seen_g, rows, columns, eps, rules.p)
    g = replace(new, values=g.values)
    return FixedPoint(f, g, plan, coupling, rules, error, drift, iterations)


def solve_self_level(cloud: Cloud, f: Potential | None, rules: Rules, reduction: Reduction) -> FixedPoint:
    """The averaged symmetric iteration f <- (f + softmin f) / 2, accelerated; from zero when there is no guess."""
    at = rules.temperature(rules.blur)
    eps, damping, relaxation = at.eps, at.source_damping, rules.source
    iterations = 0
    if f is None:
        f = Potential(torch.zeros_like(cloud.weights), cloud.points)
        wide = replace(at, cut=at.cut + _SELF_HEADROOM)
        f = f.towards(reduction.couple(cloud, cloud, f, f, wide).rows(f.values, f, moments=1), 0.5)
    for search in range(_SEARCHES):
        coupling = reduction.couple(cloud, cloud, f, f, at)
        searched = f.values

        def sweep(values: torch.Tensor, coupling: Coupling = coupling, f: Potential = f) -> torch.Tensor:
            return coupling.rows(damping * values, replace(f, values=values), moments=0).values

        def rise(values: torch.Tensor, searched: torch.Tensor = searched) -> torch.Tensor:
            return _rise(searched, values, searched, values, damping)

        values, sweeps = _fixed_point(
            f.values, sweep, rise, coupling, cloud.weights, rules, relaxation, iterations, share=0.5
        )
        g = replace(f, values=values)
        f = coupling.rows(damping * values, g, moments=_moments(cloud))
        error, risen = _numbers(
            _marginal_error(values, f.values, cloud.weights, relaxation, at),
            _rise(searched, f.values, searched, f.values, damping),
        )
        iterations += sweeps + 1
        drift = risen / eps
        good = error <= rules.tolerance and _searched_near(coupling, drift)
        if good or iterations >= rules.max_iterations or search == _SEARCHES - 1:
            break
        at = _deepened(at, coupling, error, rules)
    seen = damping * g.values
    marginal = (
        cloud.weights * relaxation.kept(seen) * torch.exp(((g.values - f.values) / eps).clamp_max(LARGEST_EXPONENT))
    )
    plan = Plan(cloud, cloud, seen, seen, marginal, marginal, eps, rules.p)
    return FixedPoint(f, replace(f, values=g.values), plan, coupling, rules, error, drift, iterations)


def _moments(cloud: Cloud) -> int:
    """Derivatives that an answer needs: first ones, and on cells second ones, for the points inside."""
    return 2 if cloud.cell > 0 else 1


def _fixed_point(
    values: torch.Tensor,
    sweep: Callable[[torch.Tensor], torch.Tensor],
    rise: Callable[[torch.Tensor], torch.Tensor],
    coupling: Coupling,
    weights: torch.Tensor,
    rules: Rules,
    relaxation: Relaxation,
    done: int,
    *,
    share: float,
) -> tuple[torch.Tensor, int]:
    """Iterate values <- values + share (sweep(values) - values), accelerated, until the tolerance holds.

    values: softmins on a side with these weights and relaxation. rise: how far these are above those that active blocks
    were searched for; too far ends the iterations. done: sweeps of the allowed ones that are spent. Returns the best
    values and the number of sweeps. What a sweep must know as numbers comes from the device in one transfer.
    """
    at = rules.temperature(rules.blur)
    anderson = Anderson(weights * relaxation.kept(relaxation.damping(at.eps) * values))
    best, best_error = values, math.inf
    allowed = max(1, rules.max_iterations - done)
    for iteration in range(allowed):
        new = sweep(values)
        error, risen = _numbers(_marginal_error(values, new, weights, relaxation, at), rise(new))
        if iteration == 0:
            coupling.settle()
        elif not error < _WORSE * best_error:  # also catches NaN
            anderson.reset()
            values = best
            best_error = math.inf  # the plain step from the best values is accepted whatever it gives
            continue
        image = values + share * (new - values)
        if error < best_error:
            best, best_error = image, error
        if error <= rules.tolerance or (iteration > 0 and not coupling.complete and risen > _STALE * at.eps):
            return image, iteration + 1
        values = anderson.step(values, image)
    return best, allowed


def _searched_near(coupling: Coupling, drift: float) -> bool:
    """True when no block can be missing: the potentials have risen by ``drift`` (in eps) since the search."""
    return coupling.complete or drift <= _DRIFT


def _deepened(at: Temperature, coupling: Coupling, error: float, rules: Rules) -> Temperature:
    """For the next search: a deeper cut where what was left out is what the marginals miss."""
    misses = error > rules.tolerance and coupling.dropped > rules.tolerance / 10
    return replace(at, cut=at.cut + _DEEPER) if misses else at


def _numbers(*scalars: torch.Tensor) -> list[float]:
    """Scalars of a device in one transfer: each one makes the program wait for the device."""
    return torch.stack(scalars).tolist()


def _rise(old_f: torch.Tensor, f: torch.Tensor, old_g: torch.Tensor, g: torch.Tensor, damping: float) -> torch.Tensor:
    """How much f_i + damping g_j may have risen for any pair, f of the rows and g of the columns."""
    return (f - old_f).max() + damping * (g - old_g).max()


def _marginal_error(
    old: torch.Tensor, new: torch.Tensor, weights: torch.Tensor, relaxation: Relaxation, at: Temperature
) -> torch.Tensor:
    """Total variation between the plan's marginal on one side and what it should be, over the mass of the plan.

    old, new: softmins before and after an update; the marginal is off by the factor exp((old - new) / eps).
    """
    should = weights * relaxation.kept(relaxation.damping(at.eps) * old)
    excess = torch.expm1(((old - new) / at.eps).clamp_max(LARGEST_EXPONENT)).abs()
    total = should.sum()
    return ((should * excess).sum() / total).masked_fill(total <= _NO_MASS, 0.0)

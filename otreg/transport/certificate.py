"""Two-sided bounds on entropic transport costs, from potentials that need not have converged.

Any potentials give a lower bound by weak duality, and a feasible plan made from theirs gives an upper bound: balanced,
by the rounding of Altschuler, Weed and Rigollet 2017 (algorithm 2), whose cost is bounded by convexity of the entropy,
so that no plan is ever stored; where a side is relaxed, the plan itself is feasible there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

from otreg.transport.pyramid import Cloud
from otreg.transport.reductions.base import Coupling, Potential
from otreg.transport.relaxation import Relaxation

Sides = tuple[Relaxation, Relaxation]

# Largest exponent of a ratio of masses: exp(300) is absurd but finite.
LARGEST_EXPONENT = 300.0


@dataclass(frozen=True)
class Bounds:
    """lower <= OT_eps <= upper, in units of cost (length^2) times mass."""

    lower: float
    upper: float


@dataclass(frozen=True)
class Plan:
    """What the bounds need of exp((f_i + g_j - C_ij) / eps) a_i b_j.

    f, g: potentials; rows, columns: its marginals.
    """

    source: Cloud
    target: Cloud
    f: torch.Tensor
    g: torch.Tensor
    rows: torch.Tensor
    columns: torch.Tensor
    eps: float
    p: int = 2


def dual_value(plan: Plan, sides: Sides) -> float:
    """<a, -phi*(-f)> + <b, -phi*(-g)> - eps (mass of the plan - mass a mass b): a lower bound of OT_eps."""
    a, b = plan.source.weights, plan.target.weights
    earned = (a * sides[0].conjugate(plan.f)).sum() + (b * sides[1].conjugate(plan.g)).sum()
    return float(earned - plan.eps * (plan.rows.sum() - a.sum() * b.sum()))


def primal_value(plan: Plan, sides: Sides) -> float:
    """<P, C> + eps KL(P | a b) + rho KL(rows | a) + rho KL(columns | b) of the plan itself.

    An upper bound of OT_eps when the marginals of balanced sides are exact.
    """
    a, b = plan.source.weights, plan.target.weights
    linear = (plan.rows * plan.f).sum() + (plan.columns * plan.g).sum()
    entropy = linear - plan.eps * (plan.rows.sum() - a.sum() * b.sum())
    prices = sides[0].marginal_price(plan.rows, a) + sides[1].marginal_price(plan.columns, b)
    return float(entropy + prices)


def shrinking_factors(marginal: torch.Tensor, measure: torch.Tensor) -> torch.Tensor:
    """min(1, measure / marginal): scales a plan's rows (or columns) down to at most the measure."""
    return torch.where(marginal > measure, measure / marginal.clamp_min(1e-300), torch.ones_like(measure))


def rounded_value(
    plan: Plan, row_factors: torch.Tensor, column_factors: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor
) -> float:
    """Upper bound of the balanced OT_eps: cost of the scaled plan plus the rank-one repair of its marginals.

    row_factors, column_factors: scalings <= 1; rows, columns: marginals of the scaled plan, at most a and b. With Delta
    the missing mass, the feasible plan is (1 - Delta) Q1 + Delta Q2, and <., C> + eps KL(. | a b) is convex.
    """
    a, b, eps = plan.source.weights, plan.target.weights, plan.eps
    f = plan.f + eps * row_factors.clamp_min(1e-300).log()
    g = plan.g + eps * column_factors.clamp_min(1e-300).log()
    kept = float(rows.sum())
    # (1 - Delta) (<Q1, C> + eps KL(Q1 | a b)), by the form of Q1.
    value = float((rows * f).sum() + (columns * g).sum())
    if kept > 0:
        value -= kept * eps * math.log(kept)
    # KL and the convex combination count in probabilities: for another mass they add this.
    mass = float(a.sum())
    value += eps * mass * (math.log(mass) - 1 + mass)
    missing_a = (a - rows).clamp_min(0)
    missing_b = (b - columns).clamp_min(0)
    missing = float(missing_a.sum())
    if missing <= 0 or float(missing_b.sum()) <= 0:
        return value
    p, q = missing_a / missing, missing_b / missing_b.sum()  # probabilities
    cost = _mean_cost(p, plan.source.points, q, plan.target.points, plan.p)
    entropy = (
        torch.special.xlogy(p, p / a.clamp_min(1e-300)).sum() + torch.special.xlogy(q, q / b.clamp_min(1e-300)).sum()
    )
    return value + missing * float(cost + eps * entropy)


def _mean_cost(p: torch.Tensor, x: torch.Tensor, q: torch.Tensor, y: torch.Tensor, power: int) -> torch.Tensor:
    """sum_ij p_i q_j |x_i - y_j|^power / power for probabilities p, q; for power 1 an upper bound of it."""
    centre = p @ x
    x, y = x - centre, y - centre
    square = (p * x.square().sum(1)).sum() + (q * y.square().sum(1)).sum() - 2 * (p @ x) @ (q @ y)
    if power == 2:
        return square / 2
    return square.clamp_min(0).sqrt()  # by Jensen


def bounds(plan: Plan, coupling: Coupling, f: Potential, sides: Sides, dropped: float) -> Bounds:
    """Lower and upper bound of the cost between the two clouds, truncation and rounding included.

    f: the softmin on the rows; dropped: bound on the relative mass lost to truncation. One or two more softmins.
    """
    a, b, eps = plan.source.weights, plan.target.weights, plan.eps
    # Softmins that miss a share of their sum come out too high; the plan's rows say how much mass that is.
    largest_share = float((plan.rows / a.clamp_min(1e-300))[a > 0].max())
    lost = dropped * largest_share * float(a.sum())
    rounding = eps * coupling.rounding * max(float(plan.rows.sum()), float(a.sum()))
    lower = dual_value(plan, sides) - eps * lost - rounding
    if all(side.rho is None for side in sides):
        upper = _rounded(plan, coupling, f)
    else:
        upper = math.inf if sides[1].rho is None else primal_value(plan, sides)
        if sides[0].rho is not None:  # else the rows must stay what they are
            # Scale the columns to what they must be, and pay for the rows that result.
            wanted = b * sides[1].kept(plan.g)
            g = plan.g + eps * (wanted / plan.columns.clamp_min(1e-300)).clamp_min(1e-300).log()
            soft = coupling.rows(g, f, moments=0).values
            rows = a * torch.exp(((plan.f - soft) / eps).clamp_max(LARGEST_EXPONENT))
            upper = min(upper, primal_value(replace(plan, g=g, rows=rows, columns=wanted), sides))
    return Bounds(lower, max(lower, upper + rounding))


def _rounded(plan: Plan, coupling: Coupling, f: Potential) -> float:
    """Cost of a plan with exactly the right marginals on both sides."""
    a, b, eps = plan.source.weights, plan.target.weights, plan.eps
    row_factors = shrinking_factors(plan.rows, a)
    column_factors = shrinking_factors(plan.columns, b)
    # Row sums of the plan with rows and columns scaled.
    scaled = plan.g + eps * column_factors.clamp_min(1e-300).log()
    soft = coupling.rows(scaled, f, moments=0).values
    rows = torch.minimum(a, a * row_factors * torch.exp(((plan.f - soft) / eps).clamp_max(LARGEST_EXPONENT)))
    if plan.source is plan.target:
        columns = rows
    else:
        # Rows are exact up to rounding, so scaling them changes the columns by next to nothing; never above b.
        columns = plan.columns * column_factors
        columns = columns * (rows.sum() / columns.sum().clamp_min(1e-300)).clamp_max(1.0)
    return rounded_value(plan, row_factors, column_factors, rows, columns)

"""The Sinkhorn loop, written once: annealing over a pyramid, then accelerated iterations until the tolerance holds.

Two problems go through it: the cross problem (source, target) with Gauss-Seidel updates, and the self problems
(source, source), (target, target) of the debiasing, whose symmetric fixed point is averaged. Backends, levels, unbalance
and acceleration are arguments to the loop, not copies of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from otreg.transport.anderson import Anderson
from otreg.transport.annealing import blur_schedule
from otreg.transport.certificate import (
    Bounds,
    Plan,
    dual_value,
    rounded_value,
    shrinking_factors,
    unbalanced_primal_value,
)
from otreg.transport.pyramid import Cloud, Pyramid
from otreg.transport.reductions.base import Coupling, Potential, Reduction
from otreg.transport.relaxation import Relaxation

# An accelerated iterate this much worse than the best one so far is thrown away with the memory that made it.
_WORSE = 4.0
# The first sweep of a self problem starts from a zero potential, up to this far (in units of eps) below the solution.
_SELF_HEADROOM = 12.0


@dataclass(frozen=True)
class Rules:
    """What the loop is asked to do; lengths in frame units.

    blur, relaxation: the problem. tolerance: marginal error at which to stop. max_iterations: sweeps at the last blur.
    ratio: of consecutive blurs. over_relaxation: of the updates along the path. cut: block pairs below exp(-cut) of a
    row's mass are left out. cell: largest edge of a cell over the blur; path_cell: the same along the path.
    """

    blur: float
    relaxation: Relaxation
    tolerance: float
    max_iterations: int
    ratio: float
    over_relaxation: float
    cut: float
    cell: float
    path_cell: float

    @property
    def eps(self) -> float:
        return self.blur**2

    @property
    def damping(self) -> float:
        return self.relaxation.damping(self.eps)


@dataclass(frozen=True)
class Solution:
    """Potentials of one problem at the last level of its pyramids, with what certifies them.

    value: the dual value; bounds: on the optimal cost of the (quantised) problem; marginal_error: mass that the plan
    puts in the wrong place, over the mass that it moves; dropped: bound on the relative mass lost to truncation;
    coarse_value: the value with cells of ``path_cell``, None if the levels are the same; iterations: sweeps in all.
    """

    source_level: int
    target_level: int
    f: Potential
    g: Potential
    value: float
    bounds: Bounds
    marginal_error: float
    dropped: float
    coarse_value: float | None
    iterations: int


def solve_cross(
    source: Pyramid,
    target: Pyramid,
    rules: Rules,
    reduction: Reduction,
    warm_start: tuple[Potential, Potential] | None = None,
) -> Solution:
    """Potentials between two measures.

    warm_start: potentials on ``levels[0]`` of both, from a nearby problem at about the same blur: no annealing then.
    """
    fine = source.level(rules.cell * rules.blur), target.level(rules.cell * rules.blur)
    iterations = 0
    coarse_value = None
    if warm_start is None:
        (k, l), f, g, iterations = _anneal(source, target, rules, reduction)
        if (k, l) != fine:
            x, y = source.levels[k], target.levels[l]
            f, g, sweeps = _accelerate_cross(x, y, f, g, rules, reduction)
            iterations += sweeps
            coarse_value = dual_value(_final_plan(x, y, f, g, rules, reduction)[0], rules.relaxation)
            f, g = refine(source, f, k, fine[0]), refine(target, g, l, fine[1])
    else:
        f = warm_start[0].map(lambda values: source.coarsen(values, fine[0]))
        g = warm_start[1].map(lambda values: target.coarsen(values, fine[1]))
    x, y = source.levels[fine[0]], target.levels[fine[1]]
    f, g, sweeps = _accelerate_cross(x, y, f, g, rules, reduction)
    plan, f, g, marginal_error, coupling = _final_plan(x, y, f, g, rules, reduction)
    return Solution(
        source_level=fine[0],
        target_level=fine[1],
        f=f,
        g=g,
        value=dual_value(plan, rules.relaxation),
        bounds=_bounds(plan, coupling, f, rules),
        marginal_error=marginal_error,
        dropped=coupling.dropped,
        coarse_value=coarse_value,
        iterations=iterations + sweeps + 1,
    )


def solve_self(
    measure: Pyramid, rules: Rules, reduction: Reduction, warm_start: Potential | None = None
) -> Solution:
    """The symmetric potential of a measure with itself: local, so it needs no annealing.

    warm_start: a guess on ``levels[0]``.
    """
    level = measure.level(rules.cell * rules.blur)
    coarse_level = measure.level(rules.path_cell * rules.blur)
    coarse_value = None
    iterations = 0
    f: Potential | None = None
    if warm_start is not None:
        f = warm_start.map(lambda values: measure.coarsen(values, level))
    elif coarse_level != level:
        cloud = measure.levels[coarse_level]
        f, iterations = _accelerate_self(cloud, None, rules, reduction)
        plan, f, _, _ = _final_self_plan(cloud, f, rules, reduction)
        coarse_value = dual_value(plan, rules.relaxation)
        f = refine(measure, f, coarse_level, level)
    cloud = measure.levels[level]
    f, sweeps = _accelerate_self(cloud, f, rules, reduction)
    plan, f, marginal_error, coupling = _final_self_plan(cloud, f, rules, reduction)
    return Solution(
        source_level=level,
        target_level=level,
        f=f,
        g=f,
        value=dual_value(plan, rules.relaxation),
        bounds=_bounds(plan, coupling, f, rules),
        marginal_error=marginal_error,
        dropped=coupling.dropped,
        coarse_value=coarse_value,
        iterations=iterations + sweeps + 1,
    )


def extend(
    rows: Pyramid, level: int, f: Potential, columns: Cloud, g: Potential, rules: Rules, reduction: Reduction
) -> Potential:
    """f at the points of ``rows.levels[0]``, by the closed form softmin of g, with barycentres."""
    cloud = rows.levels[0]
    guess = refine(rows, f, level, 0)
    coupling = _couple(cloud, columns, guess, g, rules, reduction)
    return coupling.rows(rules.damping * g.values, guess, moments=True)


def infinite_blur_potentials(source: Cloud, target: Cloud, relaxation: Relaxation) -> tuple[Potential, Potential]:
    """The limit of the potentials as eps grows: means of the cost, which makes the loop translation-covariant.

    Balanced f(x) = sum_j b_j C(x, y_j) - half of the mean cost. Unbalanced, the limit is a constant that vanishes for
    unit masses, and the first sweep sets it right.
    """
    x, y = source.points, target.points
    a, b = source.weights / source.weights.sum(), target.weights / target.weights.sum()
    mean_x, mean_y = a @ x, b @ y
    half_variance_x = (a * (x - mean_x).square().sum(1)).sum() / 2
    half_variance_y = (b * (y - mean_y).square().sum(1)).sum() / 2
    image_f, image_g = mean_y.expand_as(x).contiguous(), mean_x.expand_as(y).contiguous()
    if relaxation.rho is not None:
        zeros = torch.zeros_like
        return Potential(zeros(source.weights), image_f), Potential(zeros(target.weights), image_g)
    half_mean_cost = ((mean_x - mean_y).square().sum() / 2 + half_variance_x + half_variance_y) / 2
    f = (x - mean_y).square().sum(1) / 2 + half_variance_y - half_mean_cost
    g = (y - mean_x).square().sum(1) / 2 + half_variance_x - half_mean_cost
    return Potential(f, image_f), Potential(g, image_g)


def _anneal(
    source: Pyramid, target: Pyramid, rules: Rules, reduction: Reduction
) -> tuple[tuple[int, int], Potential, Potential, int]:
    """One over-relaxed Gauss-Seidel sweep per blur, each on the level that its blur needs; stops before the last blur.

    Returns the levels for the last blur with ``path_cell``, the potentials there, and the sweeps done.
    """
    relaxation, omega = rules.relaxation, rules.over_relaxation
    k, l = len(source.levels) - 1, len(target.levels) - 1
    f, g = infinite_blur_potentials(source.levels[k], target.levels[l], relaxation)
    blurs = blur_schedule(_diameter(source, target, relaxation), rules.blur, rules.ratio)
    for blur in blurs[:-1]:
        eps = blur**2
        cell = rules.path_cell * blur
        finer = source.level(cell), target.level(cell)
        f, g = refine(source, f, k, finer[0]), refine(target, g, l, finer[1])
        k, l = finer
        x, y = source.levels[k], target.levels[l]
        damping = relaxation.damping(eps)
        coupling = reduction.couple(x, y, f, g, eps=eps, damping=damping, cut=rules.cut)
        f = _towards(f, coupling.rows(damping * g.values, f, moments=True), omega)
        seen = damping * f.values
        seen = seen + relaxation.best_shift(seen, damping * g.values, x.weights, y.weights)
        g = _towards(g, coupling.columns(seen, g, moments=True), omega)
    cell = rules.path_cell * rules.blur
    finest = source.level(cell), target.level(cell)
    return finest, refine(source, f, k, finest[0]), refine(target, g, l, finest[1]), len(blurs) - 1


def _accelerate_cross(
    source: Cloud, target: Cloud, f: Potential, g: Potential, rules: Rules, reduction: Reduction
) -> tuple[Potential, Potential, int]:
    """Gauss-Seidel sweeps at the last blur with Anderson acceleration of g -> f -> g."""
    damping, relaxation = rules.damping, rules.relaxation
    # One plain sweep with barycentres first: it renews what the search for active blocks relies on.
    coupling = _couple(source, target, f, g, rules, reduction)
    f = coupling.rows(damping * g.values, f, moments=True)
    g = coupling.columns(damping * f.values, g, moments=True)
    coupling = _couple(source, target, f, g, rules, reduction)
    row = f

    def sweep(values: torch.Tensor) -> torch.Tensor:
        nonlocal row
        row = coupling.rows(damping * values, row, moments=False)
        seen = damping * row.values
        seen = seen + relaxation.best_shift(seen, damping * values, source.weights, target.weights)
        return coupling.columns(seen, replace(g, values=values), moments=False).values

    values, sweeps = _fixed_point(g.values, sweep, coupling, target, rules, share=1.0)
    return row, replace(g, values=values), sweeps + 1


def _accelerate_self(
    cloud: Cloud, f: Potential | None, rules: Rules, reduction: Reduction
) -> tuple[Potential, int]:
    """The averaged symmetric iteration f <- (f + softmin f) / 2, accelerated; from zero when there is no guess."""
    damping = rules.damping
    if f is None:
        f = Potential(torch.zeros_like(cloud.weights), cloud.points)
        wide = replace(rules, cut=rules.cut + _SELF_HEADROOM)
        f = _towards(f, _couple(cloud, cloud, f, f, wide, reduction).rows(f.values, f, moments=True), 0.5)
    coupling = _couple(cloud, cloud, f, f, rules, reduction)
    potential = f

    def sweep(values: torch.Tensor) -> torch.Tensor:
        return coupling.rows(damping * values, replace(potential, values=values), moments=False).values

    values, sweeps = _fixed_point(f.values, sweep, coupling, cloud, rules, share=0.5)
    return replace(f, values=values), sweeps + 1


def _fixed_point(
    values: torch.Tensor,
    sweep: Callable[[torch.Tensor], torch.Tensor],
    coupling: Coupling,
    cloud: Cloud,
    rules: Rules,
    *,
    share: float,
) -> tuple[torch.Tensor, int]:
    """Iterate values <- values + share (sweep(values) - values), accelerated, until the tolerance holds.

    Returns the best values and the number of sweeps.
    """
    anderson = Anderson(cloud.weights * rules.relaxation.kept(rules.damping * values))
    best, best_error = values, math.inf
    for iteration in range(rules.max_iterations):
        new = sweep(values)
        error = _marginal_error(values, new, cloud.weights, rules)
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
        if error <= rules.tolerance:
            return image, iteration + 1
        values = anderson.step(values, image)
    return best, rules.max_iterations


def _final_plan(
    source: Cloud, target: Cloud, f: Potential, g: Potential, rules: Rules, reduction: Reduction
) -> tuple[Plan, Potential, Potential, float, Coupling]:
    """One more sweep over blocks searched anew, with barycentres: the plan whose rows are exact, and its error."""
    eps, damping = rules.eps, rules.damping
    coupling = _couple(source, target, f, g, rules, reduction)
    f = coupling.rows(damping * g.values, f, moments=True)
    new = coupling.columns(damping * f.values, g, moments=True)
    seen_f, seen_g = damping * f.values, damping * g.values
    rows = source.weights * torch.exp((seen_f - f.values) / eps)
    columns = target.weights * torch.exp(((seen_g - new.values) / eps).clamp_max(300))
    error = _marginal_error(g.values, new.values, target.weights, rules)
    plan = Plan(source, target, seen_f, seen_g, rows, columns, eps)
    return plan, f, replace(new, values=g.values), error, coupling


def _final_self_plan(
    cloud: Cloud, f: Potential, rules: Rules, reduction: Reduction
) -> tuple[Plan, Potential, float, Coupling]:
    """The symmetric plan of a self problem over blocks searched anew, with barycentres."""
    eps, seen = rules.eps, rules.damping * f.values
    coupling = _couple(cloud, cloud, f, f, rules, reduction)
    new = coupling.rows(seen, f, moments=True)
    marginal = cloud.weights * torch.exp(((seen - new.values) / eps).clamp_max(300))
    error = _marginal_error(f.values, new.values, cloud.weights, rules)
    plan = Plan(cloud, cloud, seen, seen, marginal, marginal, eps)
    return plan, replace(new, values=f.values), error, coupling


def _bounds(plan: Plan, coupling: Coupling, f: Potential, rules: Rules) -> Bounds:
    """Lower and upper bound of the cost between the two clouds, truncation included."""
    a, b, eps, relaxation = plan.source.weights, plan.target.weights, plan.eps, rules.relaxation
    lower = dual_value(plan, relaxation) - eps * coupling.dropped * float(a.sum() * b.sum())
    if relaxation.rho is not None:
        return Bounds(lower, unbalanced_primal_value(plan, relaxation))
    row_factors = shrinking_factors(plan.rows, a)
    column_factors = shrinking_factors(plan.columns, b)
    rows = _scaled_marginal(coupling.rows, plan.f, plan.g, row_factors, column_factors, a, f, eps)
    if plan.source is plan.target:
        columns = rows
    else:
        # Rows are exact up to rounding, so scaling them changes the columns by next to nothing; never above b.
        columns = plan.columns * column_factors
        columns = columns * (rows.sum() / columns.sum().clamp_min(1e-300)).clamp_max(1.0)
    return Bounds(lower, max(lower, rounded_value(plan, row_factors, column_factors, rows, columns)))


def _scaled_marginal(
    softmin: Callable[..., Potential],
    f: torch.Tensor,
    g: torch.Tensor,
    row_factors: torch.Tensor,
    column_factors: torch.Tensor,
    a: torch.Tensor,
    guess: Potential,
    eps: float,
) -> torch.Tensor:
    """Row sums of the plan with rows and columns scaled."""
    scaled_g = g + eps * column_factors.clamp_min(1e-300).log()
    soft = softmin(scaled_g, guess, moments=False).values
    return torch.minimum(a, a * row_factors * torch.exp(((f - soft) / eps).clamp_max(300)))


def _marginal_error(old: torch.Tensor, new: torch.Tensor, weights: torch.Tensor, rules: Rules) -> float:
    """Total variation between the plan's marginal and what it should be, over the mass of the plan.

    old, new: softmins before and after an update; the marginal is off by the factor exp((old - new) / eps).
    """
    should = weights * rules.relaxation.kept(rules.damping * old)
    excess = torch.expm1(((old - new) / rules.eps).clamp_max(300)).abs()
    return float((should * excess).sum() / should.sum())


def _couple(source: Cloud, target: Cloud, f: Potential, g: Potential, rules: Rules, reduction: Reduction) -> Coupling:
    return reduction.couple(source, target, f, g, eps=rules.eps, damping=rules.damping, cut=rules.cut)


def _towards(old: Potential, softmin: Potential, omega: float) -> Potential:
    """The relaxed update old + omega (softmin - old), values and gradients alike."""
    return Potential(
        old.values + omega * (softmin.values - old.values), old.image + omega * (softmin.image - old.image)
    )


def refine(pyramid: Pyramid, potential: Potential, level: int, finer: int) -> Potential:
    """First-order extension from one level to a finer one, level by level."""
    for k in range(level, finer, -1):
        potential = potential.at(pyramid.levels[k], pyramid.levels[k - 1])
    return potential


def _diameter(source: Pyramid, target: Pyramid, relaxation: Relaxation) -> float:
    """Where annealing starts: the larger bounding-box diagonal; unbalanced, that of both together.

    Balanced transport splits the translation off by itself, so the distance between the measures does not count.
    """
    x, y = source.levels[-1].points, target.levels[-1].points
    boxes = [x, y] if relaxation.rho is None else [torch.cat([x, y])]
    return max(float((p.max(0).values - p.min(0).values).norm()) for p in boxes)

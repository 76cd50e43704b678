"""The Sinkhorn loop, written once: annealing over a pyramid, then accelerated iterations until the tolerance holds.

Two problems go through it: the cross problem (source, target) with Gauss-Seidel updates, and the self problems
(source, source), (target, target) of the debiasing, whose symmetric fixed point is averaged. Backends, levels,
unbalance and acceleration are arguments to the loop, not copies of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial

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
# A warm start that ends above this marginal error (or NaN) was none: the problem is solved anew, with annealing.
_LUKEWARM = 0.05
# Searches for active blocks at one level: the second one mends what moving potentials made the first one miss.
_SEARCHES = 4
# A plan with less mass than this is empty: nothing lies within reach, and nothing is in the wrong place.
_NO_MASS = 1e-200
# Largest exponent of a ratio of masses: exp(300) is absurd but finite.
_HUGE = 300.0


@dataclass(frozen=True)
class Rules:
    """What the loop is asked to do; lengths in frame units.

    blur, relaxation: the problem. tolerance: marginal error at which to stop. max_iterations: sweeps at the last blur.
    ratio: of consecutive blurs. path_sweeps, over_relaxation: of the updates along the path. cut: what holds less than
    exp(-cut) of a row's mass is left out. cell: largest edge of a cell over the blur; path_cell: the same on the path.
    """

    blur: float
    relaxation: Relaxation
    tolerance: float
    max_iterations: int
    ratio: float
    path_sweeps: int
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

    def path_level(self, pyramid: Pyramid, blur: float) -> int:
        """The level for the sweeps at a blur along the path. Cells must be small against the reach, too."""
        reach = math.inf if self.relaxation.rho is None else math.sqrt(self.relaxation.rho)
        return pyramid.level(self.path_cell * min(blur, reach))

    def final_level(self, pyramid: Pyramid) -> int:
        """The level of the answer: finer than that of the path, unless the path ran on the points themselves."""
        reach = math.inf if self.relaxation.rho is None else math.sqrt(self.relaxation.rho)
        path = self.path_level(pyramid, self.blur)
        return min(pyramid.level(self.cell * min(self.blur, reach)), max(path - 1, 0))


@dataclass(frozen=True)
class Solution:
    """Potentials of one problem at the last level of its pyramids, with what certifies them.

    g: what the rows see on the columns, f = softmin(g) on the rows. marginal_error: mass that the plan puts in the
    wrong place, over the mass that it moves. coarse: computes the value with the path's larger cells, None if the
    levels are the same. iterations: sweeps in all. plan, coupling: for the value and its bounds, on demand.
    """

    source_level: int
    target_level: int
    f: Potential
    g: Potential
    plan: Plan
    coupling: Coupling
    rules: Rules
    marginal_error: float
    coarse: Callable[[], float] | None
    iterations: int

    @cached_property
    def value(self) -> float:
        """The dual value."""
        return dual_value(self.plan, self.rules.relaxation)

    @cached_property
    def bounds(self) -> Bounds:
        """Lower and upper bound of the optimal cost between the two clouds, truncation included; one more softmin."""
        return _bounds(self.plan, self.coupling, self.f, self.rules)

    @cached_property
    def coarse_value(self) -> float | None:
        """The value with the path's larger cells; None if the answer lives on those, i.e. on the points themselves."""
        return None if self.coarse is None else self.coarse()

    @property
    def dropped(self) -> float:
        """Bound on the relative mass lost to truncation."""
        return self.coupling.dropped


def solve_cross(
    source: Pyramid,
    target: Pyramid,
    rules: Rules,
    reduction: Reduction,
    warm_start: tuple[Potential, Potential] | None = None,
) -> Solution:
    """Potentials between two measures.

    warm_start: potentials on ``levels[0]`` of both, from a nearby problem at about the same blur. No annealing then,
    unless it turns out that the problem was not that near.
    """
    fine = rules.final_level(source), rules.final_level(target)
    path = rules.path_level(source, rules.blur), rules.path_level(target, rules.blur)

    def at(levels: tuple[int, int], f: Potential, g: Potential) -> Solution:
        return _solve_cross_level(source.levels[levels[0]], target.levels[levels[1]], f, g, rules, reduction)

    def coarsened(f: Potential, g: Potential, start: tuple[int, int], end: tuple[int, int]) -> Solution:
        return at(
            end,
            f.map(lambda values: source.coarsen(values, end[0], start=start[0])),
            g.map(lambda values: target.coarsen(values, end[1], start=start[1])),
        )

    iterations = 0
    if warm_start is not None:
        warm = coarsened(*warm_start, start=(0, 0), end=fine)
        iterations = warm.iterations
        if warm.marginal_error <= max(_LUKEWARM, rules.tolerance):
            again = partial(coarsened, warm.f, warm.g, start=fine, end=path)
            coarse = None if path == fine else lambda: again().value
            return replace(warm, source_level=fine[0], target_level=fine[1], coarse=coarse)
    f, g, sweeps = _anneal(source, target, rules, reduction)
    solution = at(path, f, g)
    iterations += sweeps + solution.iterations
    coarse = None
    if path != fine:
        coarse = partial(float, solution.value)
        f, g = refine(source, solution.f, path[0], fine[0]), refine(target, solution.g, path[1], fine[1])
        solution = at(fine, f, g)
        iterations += solution.iterations
    return replace(solution, source_level=fine[0], target_level=fine[1], coarse=coarse, iterations=iterations)


def solve_self(measure: Pyramid, rules: Rules, reduction: Reduction, warm_start: Potential | None = None) -> Solution:
    """The symmetric potential of a measure with itself: local, so it needs no annealing.

    warm_start: a guess on ``levels[0]``.
    """
    fine, path = rules.final_level(measure), rules.path_level(measure, rules.blur)
    coarse: Callable[[], float] | None = None
    if warm_start is not None:
        f = warm_start.map(lambda values: measure.coarsen(values, fine))
        solution = _solve_self_level(measure.levels[fine], f, rules, reduction)
        again = partial(_solve_self_level, measure.levels[path], None, rules, reduction)
        coarse = None if path == fine else lambda: again().value
        return replace(solution, source_level=fine, target_level=fine, coarse=coarse)
    solution = _solve_self_level(measure.levels[path], None, rules, reduction)
    iterations = solution.iterations
    if path != fine:
        coarse = partial(float, solution.value)
        f = refine(measure, solution.f, path, fine)
        solution = _solve_self_level(measure.levels[fine], f, rules, reduction)
        iterations += solution.iterations
    return replace(solution, source_level=fine, target_level=fine, coarse=coarse, iterations=iterations)


def extend(
    rows: Pyramid, level: int, f: Potential, columns: Cloud, g: Potential, rules: Rules, reduction: Reduction
) -> Potential:
    """softmin of g at the points of ``rows.levels[0]``, with barycentres; f guesses it on ``rows.levels[level]``."""
    return extend_to(rows.levels[0], refine(rows, f, level, 0), columns, g, rules, reduction)


def extend_to(
    points: Cloud, guess: Potential, columns: Cloud, g: Potential, rules: Rules, reduction: Reduction
) -> Potential:
    """softmin of g at any points, with barycentres; guess: about what it will be there."""
    coupling = _couple(points, columns, guess, g, rules, reduction)
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


def _anneal(source: Pyramid, target: Pyramid, rules: Rules, reduction: Reduction) -> tuple[Potential, Potential, int]:
    """Over-relaxed Gauss-Seidel sweeps, a few per blur on the level that the blur needs; stops before the last blur.

    Returns the potentials on the path's levels for the last blur, and the sweeps done.
    """
    relaxation, omega = rules.relaxation, rules.over_relaxation
    i, j = len(source.levels) - 1, len(target.levels) - 1
    f, g = infinite_blur_potentials(source.levels[i], target.levels[j], relaxation)
    blurs = blur_schedule(_diameter(source, target, relaxation), rules.blur, rules.ratio)
    for blur in blurs:
        eps = blur**2
        finer = rules.path_level(source, blur), rules.path_level(target, blur)
        f, g = refine(source, f, i, finer[0]), refine(target, g, j, finer[1])
        i, j = finer
        if blur == rules.blur:
            break
        x, y = source.levels[i], target.levels[j]
        damping = relaxation.damping(eps)
        coupling = reduction.couple(x, y, f, g, eps=eps, damping=damping, cut=rules.cut)
        for _ in range(rules.path_sweeps):
            f = _towards(f, coupling.rows(damping * g.values, f, moments=True), omega)
            seen = damping * f.values
            seen = seen + relaxation.best_shift(seen, damping * g.values, x.weights, y.weights)
            g = _towards(g, coupling.columns(seen, g, moments=True), omega)
    return f, g, rules.path_sweeps * (len(blurs) - 1)


def _solve_cross_level(
    source: Cloud, target: Cloud, f: Potential, g: Potential, rules: Rules, reduction: Reduction
) -> Solution:
    """Gauss-Seidel sweeps at the last blur, with Anderson acceleration of g -> f -> g.

    Active blocks are searched for the potentials at hand, which move; so the answer is checked on blocks searched
    anew, and when it is not good enough there, the sweeps go on on those.
    """
    eps, damping, relaxation = rules.eps, rules.damping, rules.relaxation
    a, b = source.weights, target.weights
    iterations = 0
    for _ in range(_SEARCHES):
        coupling = _couple(source, target, f, g, rules, reduction)
        row = f

        def sweep(values: torch.Tensor, coupling: Coupling = coupling, g: Potential = g) -> torch.Tensor:
            nonlocal row
            row = coupling.rows(damping * values, row, moments=False)
            seen = damping * row.values
            seen = seen + relaxation.best_shift(seen, damping * values, a, b)
            return coupling.columns(seen, replace(g, values=values), moments=False).values

        values, sweeps = _fixed_point(g.values, sweep, coupling, target, rules, iterations, share=1.0)
        iterations += sweeps + 1
        # One more sweep with barycentres, over blocks searched anew: the plan whose rows are exact, and its error.
        g = replace(g, values=values)
        coupling = _couple(source, target, row, g, rules, reduction)
        f = coupling.rows(damping * g.values, row, moments=True)
        new = coupling.columns(damping * f.values, g, moments=True)
        error = _marginal_error(g.values, new.values, b, rules)
        g = replace(new, values=g.values)
        if error <= rules.tolerance or iterations >= rules.max_iterations:
            break
    seen_f, seen_g = damping * f.values, damping * g.values
    rows = a * torch.exp((seen_f - f.values) / eps)
    columns = b * torch.exp(((seen_g - new.values) / eps).clamp_max(_HUGE))
    plan = Plan(source, target, seen_f, seen_g, rows, columns, eps)
    return Solution(0, 0, f, g, plan, coupling, rules, error, None, iterations)


def _solve_self_level(cloud: Cloud, f: Potential | None, rules: Rules, reduction: Reduction) -> Solution:
    """The averaged symmetric iteration f <- (f + softmin f) / 2, accelerated; from zero when there is no guess."""
    eps, damping = rules.eps, rules.damping
    iterations = 0
    if f is None:
        f = Potential(torch.zeros_like(cloud.weights), cloud.points)
        wide = replace(rules, cut=rules.cut + _SELF_HEADROOM)
        f = _towards(f, _couple(cloud, cloud, f, f, wide, reduction).rows(f.values, f, moments=True), 0.5)
    for _ in range(_SEARCHES):
        coupling = _couple(cloud, cloud, f, f, rules, reduction)

        def sweep(values: torch.Tensor, coupling: Coupling = coupling, f: Potential = f) -> torch.Tensor:
            return coupling.rows(damping * values, replace(f, values=values), moments=False).values

        values, sweeps = _fixed_point(f.values, sweep, coupling, cloud, rules, iterations, share=0.5)
        iterations += sweeps + 1
        g = replace(f, values=values)
        coupling = _couple(cloud, cloud, g, g, rules, reduction)
        f = coupling.rows(damping * values, g, moments=True)
        error = _marginal_error(values, f.values, cloud.weights, rules)
        if error <= rules.tolerance or iterations >= rules.max_iterations:
            break
        f = replace(f, values=values)
    seen = damping * g.values
    marginal = cloud.weights * torch.exp(((seen - f.values) / eps).clamp_max(_HUGE))
    plan = Plan(cloud, cloud, seen, seen, marginal, marginal, eps)
    return Solution(0, 0, f, replace(f, values=g.values), plan, coupling, rules, error, None, iterations)


def _fixed_point(
    values: torch.Tensor,
    sweep: Callable[[torch.Tensor], torch.Tensor],
    coupling: Coupling,
    cloud: Cloud,
    rules: Rules,
    done: int,
    *,
    share: float,
) -> tuple[torch.Tensor, int]:
    """Iterate values <- values + share (sweep(values) - values), accelerated, until the tolerance holds.

    done: sweeps of the allowed ones that are spent. Returns the best values and the number of sweeps.
    """
    anderson = Anderson(cloud.weights * rules.relaxation.kept(rules.damping * values))
    best, best_error = values, math.inf
    allowed = max(1, rules.max_iterations - done)
    for iteration in range(allowed):
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
    return best, allowed


def _bounds(plan: Plan, coupling: Coupling, f: Potential, rules: Rules) -> Bounds:
    """Lower and upper bound of the cost between the two clouds, truncation and rounding included."""
    a, b, eps, relaxation = plan.source.weights, plan.target.weights, plan.eps, rules.relaxation
    rounding = eps * coupling.rounding * float(a.sum())
    lower = dual_value(plan, relaxation) - eps * coupling.dropped * float(a.sum() * b.sum()) - rounding
    if relaxation.rho is not None:
        return Bounds(lower, unbalanced_primal_value(plan, relaxation) + rounding)
    row_factors = shrinking_factors(plan.rows, a)
    column_factors = shrinking_factors(plan.columns, b)
    rows = _scaled_marginal(coupling.rows, plan.f, plan.g, row_factors, column_factors, a, f, eps)
    if plan.source is plan.target:
        columns = rows
    else:
        # Rows are exact up to rounding, so scaling them changes the columns by next to nothing; never above b.
        columns = plan.columns * column_factors
        columns = columns * (rows.sum() / columns.sum().clamp_min(1e-300)).clamp_max(1.0)
    return Bounds(lower, max(lower, rounded_value(plan, row_factors, column_factors, rows, columns) + rounding))


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
    return torch.minimum(a, a * row_factors * torch.exp(((f - soft) / eps).clamp_max(_HUGE)))


def _marginal_error(old: torch.Tensor, new: torch.Tensor, weights: torch.Tensor, rules: Rules) -> float:
    """Total variation between the plan's marginal and what it should be, over the mass of the plan.

    old, new: softmins before and after an update; the marginal is off by the factor exp((old - new) / eps).
    """
    should = weights * rules.relaxation.kept(rules.damping * old)
    excess = torch.expm1(((old - new) / rules.eps).clamp_max(_HUGE)).abs()
    total = float(should.sum())
    return float((should * excess).sum()) / total if total > _NO_MASS else 0.0


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

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
from otreg.transport.certificate import Bounds, Plan, dual_value, primal_value, rounded_value, shrinking_factors
from otreg.transport.pyramid import Cloud, Pyramid
from otreg.transport.reductions.base import Coupling, Potential, Reduction, Temperature
from otreg.transport.relaxation import Relaxation, best_shift

# An accelerated iterate this much worse than the best one so far is thrown away with the memory that made it.
_WORSE = 4.0
# The first sweep of a self problem starts from a zero potential, up to this far (in units of eps) below the solution.
_SELF_HEADROOM = 12.0
# A warm start that ends above this marginal error (or NaN) was none: the problem is solved anew, with annealing.
_LUKEWARM = 0.05
# Searches for active blocks at one level: the second one mends what moving potentials made the first one miss.
_SEARCHES = 12
# Iterations end early when potentials have risen by this much since the search; truncation deeper by this much where
# what was left out keeps the marginals from converging.
_STALE, _DEEPER = 3.0, 4.0
# How far the potentials may rise above those that active blocks were searched for, in units of eps: what was dropped is
# then up to e times as much as it says.
_DRIFT = 1.0
# Measures of at most so many points are not merged into cells at the last blur, or at all.
_SMALL, _TINY = 4096, 1024
# A plan with less mass than this is empty: nothing lies within reach, and nothing is in the wrong place.
_NO_MASS = 1e-200
# Largest exponent of a ratio of masses: exp(300) is absurd but finite.
_HUGE = 300.0


Pair = tuple[Potential, Potential]


@dataclass(frozen=True)
class Rules:
    """What the loop is asked to do; lengths in frame units.

    blur, p, source, target: the problem, with the relaxations of its two sides. least_reach: the smaller of both, inf
    if there is none; all problems of one divergence are quantised alike. tolerance: marginal error at which to stop.
    value_tolerance: error of the divergence that is asked for, over its value, or None. max_iterations: sweeps at the
    last blur. ratio: of consecutive blurs. path_sweeps, over_relaxation: of the updates along the path. cut: what holds
    less than exp(-cut) of a row's mass is left out. cell: largest edge of a cell over the blur; path_cell: the same on
    the path.
    """

    blur: float
    p: int
    source: Relaxation
    target: Relaxation
    least_reach: float
    tolerance: float
    value_tolerance: float | None
    max_iterations: int
    ratio: float
    path_sweeps: int
    over_relaxation: float
    cut: float
    cell: float
    path_cell: float

    @property
    def eps(self) -> float:
        return self.temperature(self.blur).eps

    @property
    def sides(self) -> tuple[Relaxation, Relaxation]:
        return self.source, self.target

    @property
    def balanced(self) -> bool:
        """True when both sides keep their mass exactly."""
        return self.source.rho is None and self.target.rho is None

    def of_source(self) -> Rules:
        """The rules of the source's problem with itself."""
        return replace(self, target=self.source)

    def of_target(self) -> Rules:
        """The rules of the target's problem with itself."""
        return replace(self, source=self.target)

    def reversed(self) -> Rules:
        """The rules of the problem with source and target swapped."""
        return replace(self, source=self.target, target=self.source)

    def temperature(self, blur: float) -> Temperature:
        """The coupling's view of the problem at a blur."""
        eps = blur**self.p
        return Temperature(self.p, eps, self.source.damping(eps), self.target.damping(eps), self.cut)

    def path_level(self, pyramid: Pyramid, blur: float) -> int:
        """The level for the sweeps at a blur along the path. Cells must be small against the reach, too.

        Tiny measures stay as they are: where the map jumps, cells are a bad start for points.
        """
        if len(pyramid.levels[0]) <= _TINY:
            return 0
        return pyramid.level(self.path_cell * min(blur, self.least_reach))

    def final_level(self, pyramid: Pyramid) -> int:
        """The level of the answer: finer than that of the path, unless the path ran on the points themselves.

        Small measures are not worth merging.
        """
        if len(pyramid.levels[0]) <= _SMALL:
            return 0
        path = self.path_level(pyramid, self.blur)
        return min(pyramid.level(self.cell * min(self.blur, self.least_reach)), max(path - 1, 0))


@dataclass(frozen=True)
class Solution:
    """Potentials of one problem at the last level of its pyramids, with what certifies them.

    g: what the rows see on the columns, f = softmin(g) on the rows. marginal_error: mass that the plan puts in the
    wrong place, over the mass that it moves. drift: how far the potentials have risen since blocks were searched, in
    units of eps. coarse: computes the value with the path's larger cells, None if the
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
    drift: float
    coarse: Callable[[], float] | None
    iterations: int

    @cached_property
    def value(self) -> float:
        """The dual value."""
        return dual_value(self.plan, self.rules.sides)

    @cached_property
    def bounds(self) -> Bounds:
        """Lower and upper bound of the optimal cost between the two clouds, truncation included; one more softmin."""
        return _bounds(self.plan, self.coupling, self.f, self.rules, self.dropped)

    @cached_property
    def coarse_value(self) -> float | None:
        """The value with the path's larger cells; None if the answer lives on those, i.e. on the points themselves."""
        return None if self.coarse is None else self.coarse()

    @property
    def dropped(self) -> float:
        """Bound on the relative mass lost to truncation."""
        return 0.0 if self.coupling.complete else self.coupling.dropped * math.exp(min(max(self.drift, 0.0), _HUGE))

    @property
    def settled(self) -> bool:
        """True when the active blocks were searched for potentials near these."""
        return _searched_near(self.coupling, self.drift)


def solve_cross(
    source: Pyramid,
    target: Pyramid,
    rules: Rules,
    reduction: Reduction,
    warm_start: tuple[Potential, Potential] | None = None,
    *,
    moved: bool = True,
) -> Solution:
    """Potentials between two measures.

    warm_start: potentials on ``levels[0]`` of both, from a nearby problem at about the same blur. No annealing then,
    unless it turns out that the problem was not that near. moved: whether the points have moved by more than a small
    part of the blur since; then the long waves are mended on the path's cells first, which cost a sixteenth of the
    last.
    """
    fine = rules.final_level(source), rules.final_level(target)
    path = rules.path_level(source, rules.blur), rules.path_level(target, rules.blur)

    def at(levels: tuple[int, int], f: Potential, g: Potential) -> Solution:
        return _solve_cross_level(source.levels[levels[0]], target.levels[levels[1]], f, g, rules, reduction)

    iterations = 0
    solution: Solution | None = None
    if warm_start is not None:
        levels = path if moved else fine
        f = warm_start[0].map(lambda values: source.coarsen(values, levels[0]))
        g = warm_start[1].map(lambda values: target.coarsen(values, levels[1]))
        warm = at(levels, f, g)
        iterations = warm.iterations
        if warm.marginal_error <= max(_LUKEWARM, rules.tolerance):
            solution = warm
    if solution is None:
        levels = path
        f, g, sweeps = _anneal(source, target, rules, reduction)
        solution = at(path, f, g)
        iterations += sweeps + solution.iterations
    coarse: Callable[[], float] | None = None
    if levels != fine:
        coarse = partial(float, solution.value)
        f, g = refine(source, solution.f, path[0], fine[0]), refine(target, solution.g, path[1], fine[1])
        solution = at(fine, f, g)
        iterations += solution.iterations
    elif path != fine:
        f = solution.f.map(lambda values: source.coarsen(values, path[0], start=fine[0]))
        g = solution.g.map(lambda values: target.coarsen(values, path[1], start=fine[1]))

        def coarse() -> float:
            return at(path, f, g).value

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


def infinite_blur_potentials(source: Cloud, target: Cloud, rules: Rules) -> tuple[Potential, Potential]:
    """The limit of the potentials as eps grows: means of the cost, which makes the loop translation-covariant.

    Balanced p = 2: f(x) = sum_j b_j C(x, y_j) - half of the mean cost. Otherwise zero: unbalanced, the limit is a
    constant that vanishes for unit masses, and the first sweep sets it right.
    """
    x, y = source.points, target.points
    if not rules.balanced or rules.p == 1:
        return Potential(torch.zeros_like(source.weights), x), Potential(torch.zeros_like(target.weights), y)
    a, b = source.weights / source.weights.sum(), target.weights / target.weights.sum()
    mean_x, mean_y = a @ x, b @ y
    half_variance_x = (a * (x - mean_x).square().sum(1)).sum() / 2
    half_variance_y = (b * (y - mean_y).square().sum(1)).sum() / 2
    half_mean_cost = ((mean_x - mean_y).square().sum() / 2 + half_variance_x + half_variance_y) / 2
    f = (x - mean_y).square().sum(1) / 2 + half_variance_y - half_mean_cost
    g = (y - mean_x).square().sum(1) / 2 + half_variance_x - half_mean_cost
    image_f, image_g = mean_y.expand_as(x).contiguous(), mean_x.expand_as(y).contiguous()
    return Potential(f, image_f), Potential(g, image_g)


def refine(pyramid: Pyramid, potential: Potential, level: int, finer: int) -> Potential:
    """Taylor extension from one level to a finer one, level by level."""
    for k in range(level, finer, -1):
        potential = potential.at(pyramid.levels[k], pyramid.levels[k - 1])
    return potential


def _anneal(source: Pyramid, target: Pyramid, rules: Rules, reduction: Reduction) -> tuple[Potential, Potential, int]:
    """Over-relaxed Gauss-Seidel sweeps, a few per blur on the level that the blur needs; stops before the last blur.

    When mass is conserved, the potentials of two blurs are extrapolated to the next: they are smooth in eps, and what a
    smaller eps changes in them are long waves, which sweeps would take hundreds to build (the bias of annealing, Chizat
    2024). Returns the potentials on the path's levels for the last blur, and the sweeps done.
    """
    omega = rules.over_relaxation
    levels = len(source.levels) - 1, len(target.levels) - 1
    pair = infinite_blur_potentials(source.levels[levels[0]], target.levels[levels[1]], rules)
    past: list[tuple[float, Pair]] = []  # eps and potentials of the last two blurs, on the current level
    blurs = blur_schedule(_path_start(source, target, rules), rules.blur, rules.ratio)
    for blur in blurs:
        finer = rules.path_level(source, blur), rules.path_level(target, blur)

        def refined(pair: Pair, start: tuple[int, int] = levels, end: tuple[int, int] = finer) -> Pair:
            return refine(source, pair[0], start[0], end[0]), refine(target, pair[1], start[1], end[1])

        at = rules.temperature(blur)
        pair, past, levels = refined(pair), [(eps, refined(old)) for eps, old in past], finer
        if rules.balanced and len(past) == 2:
            (eps, old), (last_eps, last) = past
            share = (at.eps - last_eps) / (last_eps - eps)
            pair = _towards(old[0], last[0], 1 + share), _towards(old[1], last[1], 1 + share)
        if blur == rules.blur:
            break
        f, g = pair
        x, y = source.levels[levels[0]], target.levels[levels[1]]
        coupling = reduction.couple(x, y, f, g, at)
        for sweep in range(rules.path_sweeps):
            moments = int(sweep == rules.path_sweeps - 1)
            f = _relaxed(f, coupling.rows(at.target_damping * g.values, f, moments=moments), omega)
            seen = _shifted(at.source_damping * f.values, at.target_damping * g.values, x, y, rules)
            g = _relaxed(g, coupling.columns(seen, g, moments=moments), omega)
            if sweep == 0:
                coupling.settle()
        pair = f, g
        past = [*past[-1:], (at.eps, pair)]
    return *pair, rules.path_sweeps * (len(blurs) - 1)


def _solve_cross_level(
    source: Cloud, target: Cloud, f: Potential, g: Potential, rules: Rules, reduction: Reduction
) -> Solution:
    """Gauss-Seidel sweeps at the last blur, with Anderson acceleration of g -> f -> g.

    Active blocks are searched for the potentials at hand, which move; an answer is believed on blocks that were
    searched for potentials not far from it.
    """
    at = rules.temperature(rules.blur)
    a, b = source.weights, target.weights
    eps, source_damping, target_damping = at.eps, at.source_damping, at.target_damping
    iterations = 0
    for search in range(_SEARCHES):
        coupling = reduction.couple(source, target, f, g, at)
        searched = f.values, g.values
        state = [f]  # the last rows

        def sweep(
            values: torch.Tensor, coupling: Coupling = coupling, g: Potential = g, state: list[Potential] = state
        ) -> torch.Tensor:
            state[0] = row = coupling.rows(target_damping * values, state[0], moments=0)
            seen = _shifted(source_damping * row.values, target_damping * values, source, target, rules)
            return coupling.columns(seen, replace(g, values=values), moments=0).values

        def stale(
            values: torch.Tensor,
            searched: tuple[torch.Tensor, torch.Tensor] = searched,
            state: list[Potential] = state,
        ) -> bool:
            return _rise(searched[0], state[0].values, searched[1], values, target_damping) > _STALE * eps

        values, sweeps = _fixed_point(g.values, sweep, stale, coupling, b, rules, rules.target, iterations, share=1.0)
        # One more sweep with derivatives: the plan whose rows are exact, and its error in the columns.
        g = replace(g, values=values)
        f = coupling.rows(target_damping * values, state[0], moments=2)
        seen_f, seen_g = source_damping * f.values, target_damping * values
        new = coupling.columns(seen_f, g, moments=2)
        error = _marginal_error(values, new.values, b, rules.target, at)
        iterations += sweeps + 1
        drift = max(
            _rise(searched[0], f.values, searched[1], new.values, target_damping),
            _rise(searched[1], new.values, searched[0], f.values, source_damping),
        )
        drift /= eps
        good = error <= rules.tolerance and _searched_near(coupling, drift)
        if good or iterations >= rules.max_iterations or search == _SEARCHES - 1:
            break
        at = _deepened(at, coupling, error, rules)
        g = new
    rows = a * rules.source.kept(seen_f)
    columns = b * rules.target.kept(seen_g) * torch.exp(((g.values - new.values) / eps).clamp_max(_HUGE))
    plan = Plan(source, target, seen_f, seen_g, rows, columns, eps, rules.p)
    g = replace(new, values=g.values)
    return Solution(0, 0, f, g, plan, coupling, rules, error, drift, None, iterations)


def _solve_self_level(cloud: Cloud, f: Potential | None, rules: Rules, reduction: Reduction) -> Solution:
    """The averaged symmetric iteration f <- (f + softmin f) / 2, accelerated; from zero when there is no guess."""
    at = rules.temperature(rules.blur)
    eps, damping, relaxation = at.eps, at.source_damping, rules.source
    iterations = 0
    if f is None:
        f = Potential(torch.zeros_like(cloud.weights), cloud.points)
        wide = replace(at, cut=at.cut + _SELF_HEADROOM)
        f = _towards(f, reduction.couple(cloud, cloud, f, f, wide).rows(f.values, f, moments=1), 0.5)
    for search in range(_SEARCHES):
        coupling = reduction.couple(cloud, cloud, f, f, at)
        searched = f.values

        def sweep(values: torch.Tensor, coupling: Coupling = coupling, f: Potential = f) -> torch.Tensor:
            return coupling.rows(damping * values, replace(f, values=values), moments=0).values

        def stale(values: torch.Tensor, searched: torch.Tensor = searched) -> bool:
            return _rise(searched, values, searched, values, damping) > _STALE * eps

        values, sweeps = _fixed_point(
            f.values, sweep, stale, coupling, cloud.weights, rules, relaxation, iterations, share=0.5
        )
        g = replace(f, values=values)
        f = coupling.rows(damping * values, g, moments=2)
        error = _marginal_error(values, f.values, cloud.weights, relaxation, at)
        iterations += sweeps + 1
        drift = _rise(searched, f.values, searched, f.values, damping) / eps
        good = error <= rules.tolerance and _searched_near(coupling, drift)
        if good or iterations >= rules.max_iterations or search == _SEARCHES - 1:
            break
        at = _deepened(at, coupling, error, rules)
    seen = damping * g.values
    marginal = cloud.weights * relaxation.kept(seen) * torch.exp(((g.values - f.values) / eps).clamp_max(_HUGE))
    plan = Plan(cloud, cloud, seen, seen, marginal, marginal, eps, rules.p)
    return Solution(0, 0, f, replace(f, values=g.values), plan, coupling, rules, error, drift, None, iterations)


def _fixed_point(
    values: torch.Tensor,
    sweep: Callable[[torch.Tensor], torch.Tensor],
    stale: Callable[[torch.Tensor], bool],
    coupling: Coupling,
    weights: torch.Tensor,
    rules: Rules,
    relaxation: Relaxation,
    done: int,
    *,
    share: float,
) -> tuple[torch.Tensor, int]:
    """Iterate values <- values + share (sweep(values) - values), accelerated, until the tolerance holds.

    values: softmins on a side with these weights and relaxation. stale: whether these are too far from those that
    active blocks were searched for, which ends the iterations. done: sweeps of the allowed ones that are spent. Returns
    the best values and the number of sweeps.
    """
    at = rules.temperature(rules.blur)
    anderson = Anderson(weights * relaxation.kept(relaxation.damping(at.eps) * values))
    best, best_error = values, math.inf
    allowed = max(1, rules.max_iterations - done)
    for iteration in range(allowed):
        new = sweep(values)
        error = _marginal_error(values, new, weights, relaxation, at)
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
        if error <= rules.tolerance or (iteration > 0 and not coupling.complete and stale(new)):
            return image, iteration + 1
        values = anderson.step(values, image)
    return best, allowed


def _bounds(plan: Plan, coupling: Coupling, f: Potential, rules: Rules, dropped: float) -> Bounds:
    """Lower and upper bound of the cost between the two clouds, truncation and rounding included."""
    a, b, eps, sides = plan.source.weights, plan.target.weights, plan.eps, rules.sides
    # Softmins that miss a share of their sum come out too high; the plan's rows say how much mass that is.
    largest_share = float((plan.rows / a.clamp_min(1e-300))[a > 0].max())
    lost = dropped * largest_share * float(a.sum())
    rounding = eps * coupling.rounding * max(float(plan.rows.sum()), float(a.sum()))
    lower = dual_value(plan, sides) - eps * lost - rounding
    if rules.balanced:
        upper = _rounded(plan, coupling, f)
    else:
        upper = math.inf if rules.target.rho is None else primal_value(plan, sides)
        if rules.source.rho is not None:  # else the rows must stay what they are
            # Scale the columns to what they must be, and pay for the rows that result.
            wanted = b * rules.target.kept(plan.g)
            g = plan.g + eps * (wanted / plan.columns.clamp_min(1e-300)).clamp_min(1e-300).log()
            soft = coupling.rows(g, f, moments=0).values
            rows = a * torch.exp(((plan.f - soft) / eps).clamp_max(_HUGE))
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
    rows = torch.minimum(a, a * row_factors * torch.exp(((plan.f - soft) / eps).clamp_max(_HUGE)))
    if plan.source is plan.target:
        columns = rows
    else:
        # Rows are exact up to rounding, so scaling them changes the columns by next to nothing; never above b.
        columns = plan.columns * column_factors
        columns = columns * (rows.sum() / columns.sum().clamp_min(1e-300)).clamp_max(1.0)
    return rounded_value(plan, row_factors, column_factors, rows, columns)


def _searched_near(coupling: Coupling, drift: float) -> bool:
    """True when no block can be missing: the potentials have risen by ``drift`` (in eps) since the search."""
    return coupling.complete or drift <= _DRIFT


def _deepened(at: Temperature, coupling: Coupling, error: float, rules: Rules) -> Temperature:
    """For the next search: a deeper cut where what was left out is what the marginals miss."""
    misses = error > rules.tolerance and coupling.dropped > rules.tolerance / 10
    return replace(at, cut=at.cut + _DEEPER) if misses else at


def _rise(old_f: torch.Tensor, f: torch.Tensor, old_g: torch.Tensor, g: torch.Tensor, damping: float) -> float:
    """How much f_i + damping g_j may have risen for any pair, f of the rows and g of the columns."""
    return float((f - old_f).max() + damping * (g - old_g).max())


def _marginal_error(
    old: torch.Tensor, new: torch.Tensor, weights: torch.Tensor, relaxation: Relaxation, at: Temperature
) -> float:
    """Total variation between the plan's marginal on one side and what it should be, over the mass of the plan.

    old, new: softmins before and after an update; the marginal is off by the factor exp((old - new) / eps).
    """
    should = weights * relaxation.kept(relaxation.damping(at.eps) * old)
    excess = torch.expm1(((old - new) / at.eps).clamp_max(_HUGE)).abs()
    total = float(should.sum())
    return float((should * excess).sum()) / total if total > _NO_MASS else 0.0


def _shifted(seen_f: torch.Tensor, seen_g: torch.Tensor, source: Cloud, target: Cloud, rules: Rules) -> torch.Tensor:
    """What the columns see of the rows, with the best constant: see :func:`best_shift`."""
    return seen_f + best_shift(seen_f, seen_g, source.weights, target.weights, rules.sides)


def _relaxed(old: Potential, softmin: Potential, omega: float) -> Potential:
    """The relaxed update old + omega (softmin - old), with the derivatives of the softmin."""
    return replace(softmin, values=old.values + omega * (softmin.values - old.values))


def _towards(old: Potential, softmin: Potential, omega: float) -> Potential:
    """old + omega (softmin - old), values and gradients alike."""
    return Potential(
        old.values + omega * (softmin.values - old.values), old.image + omega * (softmin.image - old.image)
    )


def _path_start(source: Pyramid, target: Pyramid, rules: Rules) -> float:
    """Where annealing starts: the larger bounding-box diagonal, or that of both together.

    Balanced transport with p = 2 splits the translation off by itself, so the distance between the measures does not
    count there.
    """
    x, y = source.levels[-1].points, target.levels[-1].points
    boxes = [x, y] if rules.balanced and rules.p == 2 else [torch.cat([x, y])]
    return max(float((p.max(0).values - p.min(0).values).norm()) for p in boxes)

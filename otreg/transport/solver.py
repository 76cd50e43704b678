"""The problems of a divergence, from the largest blur to the answer: anneal on coarse cells, finish on fine ones.

Two kinds go through the same loops: the cross problem (source, target), and the self problems (source, source) and
(target, target) of the debiasing. Backends, levels, unbalance and acceleration are arguments, not copies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from otreg.transport.annealing import anneal
from otreg.transport.extension import refine
from otreg.transport.fixed_point import FixedPoint, solve_cross_level, solve_self_level
from otreg.transport.pyramid import Pyramid
from otreg.transport.reductions.base import Potential, Reduction
from otreg.transport.rules import Rules

# A warm start that ends above this marginal error (or NaN) was none: the problem is solved anew, with annealing.
_LUKEWARM = 0.05


@dataclass(frozen=True)
class Solution:
    """The answer to one problem, at levels of its two pyramids.

    last: potentials there. coarse: computes the value with the path's larger cells; None if the levels are the same.
    iterations: sweeps in all.
    """

    last: FixedPoint
    source_level: int
    target_level: int
    coarse: Callable[[], float] | None
    iterations: int

    @cached_property
    def coarse_value(self) -> float | None:
        """The value with the path's larger cells; None if the answer lives on those, i.e. on the points themselves."""
        return None if self.coarse is None else self.coarse()


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

    def at(levels: tuple[int, int], f: Potential, g: Potential) -> FixedPoint:
        return solve_cross_level(source.levels[levels[0]], target.levels[levels[1]], f, g, rules, reduction)

    iterations = 0
    point: FixedPoint | None = None
    if warm_start is not None:
        levels = path if moved else fine
        f = warm_start[0].map(lambda values: source.coarsen(values, levels[0]))
        g = warm_start[1].map(lambda values: target.coarsen(values, levels[1]))
        warm = at(levels, f, g)
        iterations = warm.iterations
        if warm.marginal_error <= max(_LUKEWARM, rules.tolerance):
            point = warm
    if point is None:
        levels = path
        f, g, sweeps = anneal(source, target, rules, reduction)
        point = at(path, f, g)
        iterations += sweeps + point.iterations
    on_path = point
    if levels != fine:
        f, g = refine(source, on_path.f, path[0], fine[0]), refine(target, on_path.g, path[1], fine[1])
        last = at(fine, f, g)
        return Solution(last, fine[0], fine[1], lambda: on_path.value, iterations + last.iterations)
    if path == fine:
        return Solution(point, fine[0], fine[1], None, iterations)
    f = point.f.map(lambda values: source.coarsen(values, path[0], start=fine[0]))
    g = point.g.map(lambda values: target.coarsen(values, path[1], start=fine[1]))
    return Solution(point, fine[0], fine[1], lambda: at(path, f, g).value, iterations)


def solve_self(measure: Pyramid, rules: Rules, reduction: Reduction, warm_start: Potential | None = None) -> Solution:
    """The symmetric potential of a measure with itself: local, so it needs no annealing.

    warm_start: a guess on ``levels[0]``.
    """
    fine, path = rules.final_level(measure), rules.path_level(measure, rules.blur)

    def at(level: int, f: Potential | None) -> FixedPoint:
        return solve_self_level(measure.levels[level], f, rules, reduction)

    if warm_start is not None:
        point = at(fine, warm_start.map(lambda values: measure.coarsen(values, fine)))
        return Solution(point, fine, fine, None if path == fine else lambda: at(path, None).value, point.iterations)
    on_path = at(path, None)
    if path == fine:
        return Solution(on_path, fine, fine, None, on_path.iterations)
    point = at(fine, refine(measure, on_path.f, path, fine))
    return Solution(point, fine, fine, lambda: on_path.value, on_path.iterations + point.iterations)

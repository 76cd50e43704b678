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

    last: potentials there. coarse: computes the value with the path's larger cells, None if the levels are the same.
    iterations: sweeps in all.
    """

    last: FixedPoint
    source_level: int
    target_level: int
    coarse: Callable[[], float | None]
    iterations: int

    @cached_property
    def coarse_value(self) -> float | None:
        """The value with the path's larger cells; None if the answer lives on those, i.e. on the points themselves."""
        return self.coarse()


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

    warm_start: potentials on level 0 of both, from a nearby problem at about the same blur. No annealing then, unless
    it turns out that the problem was not that near. moved: whether the points have moved by more than a small part
    of the blur since; then the long waves are mended on the path's cells first, which cost a sixteenth of the last.
    """
    fine = rules.final_level(source), rules.final_level(target)

    def path_levels() -> tuple[int, int]:  # asked for late: they may have to be built
        return rules.path_level(source, rules.blur), rules.path_level(target, rules.blur)

    def at(levels: tuple[int, int], f: Potential, g: Potential) -> FixedPoint:
        return solve_cross_level(source[levels[0]], target[levels[1]], f, g, rules, reduction)

    def with_path_cells() -> float | None:
        path = path_levels()
        if path == fine:
            return None
        f = last.f.map(lambda values: source.coarsen(values, path[0], start=fine[0]))
        g = last.g.map(lambda values: target.coarsen(values, path[1], start=fine[1]))
        return at(path, f, g).value

    iterations = 0
    point: FixedPoint | None = None
    if warm_start is not None:
        levels = path_levels() if moved else fine
        f = warm_start[0].map(lambda values: source.coarsen(values, levels[0]))
        g = warm_start[1].map(lambda values: target.coarsen(values, levels[1]))
        warm = at(levels, f, g)
        iterations = warm.iterations
        if warm.marginal_error <= max(_LUKEWARM, rules.tolerance):
            point = warm
    if point is None:
        levels = path_levels()
        f, g, sweeps = anneal(source, target, rules, reduction)
        point = at(levels, f, g)
        iterations += sweeps + point.iterations
    if levels == fine:
        last = point
        return Solution(last, fine[0], fine[1], with_path_cells, iterations)
    on_path = point
    f, g = refine(source, on_path.f, levels[0], fine[0]), refine(target, on_path.g, levels[1], fine[1])
    last = at(fine, f, g)
    return Solution(last, fine[0], fine[1], lambda: on_path.value, iterations + last.iterations)


def solve_self(measure: Pyramid, rules: Rules, reduction: Reduction, warm_start: Potential | None = None) -> Solution:
    """The symmetric potential of a measure with itself: local, so it needs no annealing.

    warm_start: a guess on level 0.
    """
    fine = rules.final_level(measure)

    def at(level: int, f: Potential | None) -> FixedPoint:
        return solve_self_level(measure[level], f, rules, reduction)

    if warm_start is not None:
        point = at(fine, warm_start.map(lambda values: measure.coarsen(values, fine)))

        def with_path_cells() -> float | None:
            path = rules.path_level(measure, rules.blur)
            return None if path == fine else at(path, None).value

        return Solution(point, fine, fine, with_path_cells, point.iterations)
    path = rules.path_level(measure, rules.blur)
    on_path = at(path, None)
    if path == fine:
        return Solution(on_path, fine, fine, lambda: None, on_path.iterations)
    point = at(fine, refine(measure, on_path.f, path, fine))
    return Solution(point, fine, fine, lambda: on_path.value, on_path.iterations + point.iterations)

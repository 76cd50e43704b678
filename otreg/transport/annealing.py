"""The path of blurs, from the size of the measures down to the blur that was asked for, and the sweeps along it."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from otreg.transport.extension import refine
from otreg.transport.pyramid import Cloud, Pyramid
from otreg.transport.reductions.base import Potential, Reduction
from otreg.transport.relaxation import best_shift
from otreg.transport.rules import Rules

Pair = tuple[Potential, Potential]

# Where eps is that many times the rho of both sides, potentials are damped to a tenth in each update: one sweep forgets
# where it came from, so that larger blurs teach it nothing.
_FORGETFUL = 9.0


def blur_schedule(start: float, blur: float, ratio: float) -> list[float]:
    """Geometric blurs from about ``start`` down to ``blur``, which comes last; consecutive ones differ by ``ratio``.

    start, blur > 0; 0 < ratio < 1. When the start is below the blur, the blur alone.
    """
    blurs = [blur]
    while blurs[-1] < start:
        blurs.append(blurs[-1] / ratio)
    return blurs[::-1]


def anneal(source: Pyramid, target: Pyramid, rules: Rules, reduction: Reduction) -> tuple[Potential, Potential, int]:
    """Over-relaxed Gauss-Seidel sweeps, a few per blur on the level that the blur needs; stops before the last blur.

    When mass is conserved, the potentials of two blurs are extrapolated to the next: they are smooth in eps, and what a
    smaller eps changes in them are long waves, which sweeps would take hundreds to build (the bias of annealing, Chizat
    2024). Returns the potentials on the path's levels for the last blur, and the sweeps done.
    """
    omega = rules.over_relaxation
    levels = len(source.levels) - 1, len(target.levels) - 1
    pair = infinite_blur_potentials(source[levels[0]], target[levels[1]], rules)
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
            pair = old[0].towards(last[0], 1 + share), old[1].towards(last[1], 1 + share)
        if blur == rules.blur:
            break
        f, g = pair
        x, y = source[levels[0]], target[levels[1]]
        coupling = reduction.couple(x, y, f, g, at)
        for sweep in range(rules.path_sweeps):
            moments = int(sweep == rules.path_sweeps - 1)
            f = _relaxed(f, coupling.rows(at.target_damping * g.values, f, moments=moments), omega)
            seen = at.source_damping * f.values
            seen = seen + best_shift(seen, at.target_damping * g.values, x.weights, y.weights, rules.sides)
            g = _relaxed(g, coupling.columns(seen, g, moments=moments), omega)
            if sweep == 0:
                coupling.settle()
        pair = f, g
        past = [*past[-1:], (at.eps, pair)]
    return *pair, rules.path_sweeps * (len(blurs) - 1)


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


def _relaxed(old: Potential, softmin: Potential, omega: float) -> Potential:
    """The relaxed update old + omega (softmin - old), with the derivatives of the softmin."""
    return replace(softmin, values=old.values + omega * (softmin.values - old.values))


def _path_start(source: Pyramid, target: Pyramid, rules: Rules) -> float:
    """Where annealing starts: the larger bounding-box diagonal, or that of both together.

    Balanced transport with p = 2 splits the translation off by itself, so the distance between the measures does not
    count there. A reach on both sides lets it start at a few reaches.
    """
    x, y = source.levels[-1].points, target.levels[-1].points
    boxes = [x, y] if rules.balanced and rules.p == 2 else [torch.cat([x, y])]
    extent = max(float((p.max(0).values - p.min(0).values).norm()) for p in boxes)
    rhos = [math.inf if side.rho is None else side.rho for side in rules.sides]
    return min(extent, (_FORGETFUL * max(rhos)) ** (1 / rules.p))

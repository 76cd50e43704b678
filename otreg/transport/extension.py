"""Softmins as functions of space: the potentials extend in closed form to any point (Feydy 2020, section 3.3).

The loop leaves a potential on cells. At the points inside the cells it is known twice over: by the softmin itself,
exactly and at the price of a pass over pairs, and for p = 2 by its Taylor expansion around the cell's centroid, whose
second order (the covariance of the plan) came with the last sweep. The expansion is nearly free; a sample of blocks
says how good it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch

from otreg.transport.neighbours import nearest
from otreg.transport.pyramid import Cloud, Pyramid
from otreg.transport.reductions.base import Potential, Reduction
from otreg.transport.rules import Rules

# The sample that judges the expansion: so many runs of so many consecutive points.
_RUNS, _RUN_LENGTH = 24, 64


@final
@dataclass(frozen=True)
class Extension:
    """The softmin of g over ``columns`` as a function of space, known as ``f`` on one level of a pyramid.

    rules: of the problem in which the pyramid is the source.
    """

    pyramid: Pyramid
    level: int
    f: Potential
    columns: Cloud
    g: Potential
    rules: Rules
    reduction: Reduction

    def expanded(self) -> Potential | None:
        """At the pyramid's points, by Taylor expansion (no error on level 0); None where no Jacobian is known."""
        if self.level > 0 and self.f.jacobian is None:
            return None
        return refine(self.pyramid, self.f, self.level, 0)

    def exact(self) -> Potential:
        """At the pyramid's points, by one softmin."""
        if self.level == 0:
            return self.f
        return self.at(self.pyramid[0], refine(self.pyramid, self.f, self.level, 0))

    def at(self, points: Cloud, guess: Potential) -> Potential:
        """At any points, by one softmin; guess: about what comes out."""
        temperature = self.rules.temperature(self.rules.blur)
        coupling = self.reduction.couple(points, self.columns, guess, self.g, temperature)
        return coupling.rows(temperature.target_damping * self.g.values, guess, moments=1)

    def anywhere(self, points: Cloud) -> Potential:
        """At any points, whose guess comes from the nearest cell."""
        known = self.pyramid[self.level].points
        near = nearest(known, points.points)[:, 0]
        guess = self.f.map(lambda values: values[near]).upper_bound(known[near], points.points, self.rules.p)
        return self.at(points, guess)


def refine(pyramid: Pyramid, potential: Potential, level: int, finer: int) -> Potential:
    """Taylor extension from one level to a finer one, level by level."""
    for k in range(level, finer, -1):
        potential = potential.at(pyramid[k], pyramid[k - 1])
    return potential


def sample_rows(cloud: Cloud) -> torch.Tensor:
    """(k,) indices of some short runs of consecutive points, spread over the cloud."""
    if len(cloud) <= _RUNS * _RUN_LENGTH:
        return torch.arange(len(cloud), device=cloud.points.device)
    first = torch.linspace(0, len(cloud) - _RUN_LENGTH, _RUNS, device=cloud.points.device).long()
    return (first[:, None] + torch.arange(_RUN_LENGTH, device=cloud.points.device)).flatten()
